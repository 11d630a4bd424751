# SPDX-License-Identifier: MIT
"""Model files that describe themselves: one JSON document in the metadata, key `edge`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from edge import durable
from edge.errors import ModelError
from edge.model.description import (
    SCHEMA,
    check_description,
    check_tensors,
    read_document,
)
from edge.model.frontend import front_end_from_json, front_end_to_json
from edge.model.session import MOST_BYTES, Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edge.dsp.spec import LogMelSpec
    from edge.model.description import Activation

METADATA_KEY: Final = "edge"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model file says of itself, checked against the model in it.

    labels : one per score, in the model's order, each once.
    negative_labels : those that never make events ("other").
    groups : labels under one name ("dog": bark, howl); where there are any, they make the events.
    patch_frames, patch_hop : frames in a patch, and from one patch to the next.
    bands_first : whether the model takes a patch as (n_mels, patch_frames).
    thresholds : score that makes a detection, per label or group, as far as it was learned.
    min_hits : detections in a row that make an event, 1..50, likewise.
    activation : what is still to be done to `scores_output` to make scores of 0..1.
    embedding_output : None if the model has none.
    """

    name: str
    version: str
    path: Path
    sha256: str
    labels: tuple[str, ...]
    front_end: LogMelSpec
    patch_frames: int
    patch_hop: int
    scores_output: str
    activation: Activation = "none"
    embedding_output: str | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    min_hits: Mapping[str, int] = field(default_factory=dict)
    negative_labels: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bands_first: bool = False
    licence: str = ""
    source: str = ""

    @property
    def scored(self) -> tuple[str, ...]:
        """What has a score: the labels, and behind them the groups."""
        return (*self.labels, *self.groups)


def shipped_model() -> Path:
    """Return the path of the model in the package."""
    return Path(__file__).parent / "shipped" / "edge-esc10.onnx"


def read_model(path: Path) -> ModelInfo:
    """Return what the model file says of itself.

    Raises `ModelError` if it is no ONNX model, has no description, or one that does not fit
    the model: nothing has run by then.
    """
    return model_info(Session(path), path)


def model_info(session: Session, path: Path) -> ModelInfo:
    """Return the description of an open model; raises as `read_model`."""
    return _fitting(session.metadata.get(METADATA_KEY), session, path)


def _fitting(text: str | None, session: Session, path: Path) -> ModelInfo:
    """Return what a description says once it is seen to fit the model."""
    document = read_document(text, path)
    info = ModelInfo(
        name=document["name"],
        version=document["version"],
        path=path,
        sha256=_digest(path),
        labels=tuple(document["labels"]),
        front_end=front_end_from_json(document["front_end"]),
        patch_frames=document["patch_frames"],
        patch_hop=document["patch_hop"],
        scores_output=document["scores_output"],
        activation=cast("Activation", document["activation"]),
        embedding_output=document.get("embedding_output"),
        thresholds=document["thresholds"],
        min_hits=document.get("min_hits", {}),
        negative_labels=tuple(document["negative_labels"]),
        groups={name: tuple(of) for name, of in document.get("groups", {}).items()},
        bands_first=document.get("bands_first", False),
        licence=document["licence"],
        source=document["source"],
    )
    check_description(info)
    check_tensors(info, session)
    return info


def read_labels(path: Path) -> tuple[str, ...]:
    """Return labels from a file: one per line, or a CSV with the column `display_name`.

    Raises `ModelError` if the file can't be read or holds none.
    """
    import csv  # for describing a model, not for listening

    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"labels can't be read from {path}: {error}") from error
    head = lines[0].split(",") if lines else []
    if "display_name" in head:
        labels = tuple(row["display_name"] for row in csv.DictReader(lines))
    else:
        labels = tuple(line.strip() for line in lines if line.strip())
    if not labels:
        raise ModelError(f"{path} holds no labels", "write one per line, in the model's order")
    return labels


def describe(
    path: Path,
    out: Path,
    *,
    labels: Sequence[str],
    front_end: LogMelSpec,
    patch_frames: int,
    patch_hop: int,
    name: str,
    version: str,
    licence: str = "",
    source: str = "",
    activation: Activation = "none",
    scores_output: str | None = None,
    embedding_output: str | None = None,
    thresholds: Mapping[str, float] | None = None,
    min_hits: Mapping[str, int] | None = None,
    negative_labels: Sequence[str] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    bands_first: bool = False,
) -> ModelInfo:
    """Write the model at `path` with its description to `out`, and return what is read back.

    `out` may be `path`. It is replaced in one step, and only by a description that fits.
    `scores_output` None is the model's first output.

    Raises `ModelError` as `read_model`, or if `out` can't be written.
    """
    check_size(path)
    session = Session(path)
    document = {
        "schema": SCHEMA,
        "name": name,
        "version": version,
        "licence": licence,
        "source": source,
        "labels": list(labels),
        "negative_labels": list(negative_labels),
        "front_end": front_end_to_json(front_end),
        "patch_frames": patch_frames,
        "patch_hop": patch_hop,
        "activation": activation,
        "scores_output": scores_output or session.outputs[0].name,
        "embedding_output": embedding_output,
        "thresholds": dict(thresholds or {}),
        "min_hits": dict(min_hits or {}),
        "groups": {name: list(of) for name, of in (groups or {}).items()},
        "bands_first": bands_first,
    }
    text = json.dumps(document, ensure_ascii=False)
    _fitting(text, session, path)
    _write(path, out, text)
    return read_model(out)


def read_whole(path: Path) -> bytes:
    """Return a model file as it is, or, if its weights lie in other files, with them in it.

    Raises `ModelError` where one of those is missing, or is anywhere but beside it.
    """
    model = _load(path)
    content = path.read_bytes()
    return content if len(content) >= model.ByteSize() else model.SerializeToString()


def check_size(path: Path) -> None:
    """Raise `ModelError` for a model that is too large with the files that its weights lie in."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # onnx's own

    try:
        if path.stat().st_size > MOST_BYTES:
            return  # `Session` says so
        model = onnx.load(path, load_external_data=False)
        n_bytes = sum(_external_bytes(one, path.parent) for one in _tensors(model.graph))
    except (DecodeError, OSError, ValueError):
        return  # no model: likewise
    if n_bytes > MOST_BYTES:
        raise ModelError(
            f"{path} has {n_bytes / 1e6:.0f} MB of weights in files beside it, more than the"
            f" {MOST_BYTES / 1e6:.0f} of which a box can make use",
            "take a smaller model, or one with weights of 8 bits",
        )


def _tensors(graph: Any) -> Iterator[Any]:  # noqa: ANN401 - onnx ships no types
    """Give each tensor of a graph and of those in it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _tensors(inner)


def _external_bytes(tensor: Any, folder: Path) -> int:  # noqa: ANN401 - likewise
    told = {one.key: one.value for one in tensor.external_data}
    if "location" not in told:
        return 0
    size = (folder / told["location"]).stat().st_size
    return int(told.get("length") or size)


def _load(path: Path) -> Any:  # noqa: ANN401 - onnx ships no types
    import onnx  # tens of megabytes that the listening process never needs

    try:
        return onnx.load(path)
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"{path} can't be read whole: {str(error).splitlines()[0]:.300}",
            "its weights must be in it, or in files beside it",
        ) from error


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from error


def _write(path: Path, out: Path, description: str) -> None:
    import onnx

    model = _load(path)
    others = {one.key: one.value for one in model.metadata_props}
    onnx.helper.set_model_props(model, {**others, METADATA_KEY: description})
    draft = out.with_name(f".{out.name}.part")
    try:
        with draft.open("wb") as file:
            durable.write_through(file, model.SerializeToString(deterministic=True))
        draft.replace(out)
        durable.sync(out.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ModelError(f"{out} can't be written: {error.strerror}") from error
