# SPDX-License-Identifier: MIT
"""Model files that describe themselves: one JSON document in the metadata, key `edge`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

from edge.errors import ModelError
from edge.model.frontend import front_end_from_json, front_end_to_json
from edge.model.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.dsp.spec import LogMelSpec
    from edge.model.session import Tensor

METADATA_KEY: Final = "edge"
SCHEMA: Final = 1
MOST_HITS: Final = 50  # as many as the settings allow
Activation = Literal["none", "sigmoid", "softmax"]

_DESCRIBE: Final = "describe it with `edge model describe`"
_FIELDS: Final[Mapping[str, type]] = {
    "schema": int,
    "name": str,
    "version": str,
    "licence": str,
    "source": str,
    "labels": list,
    "negative_labels": list,
    "thresholds": dict,
    "front_end": dict,
    "patch_frames": int,
    "patch_hop": int,
    "activation": str,
    "scores_output": str,
}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model file says of itself, checked against the model in it.

    labels : one per score, in the model's order, each once.
    negative_labels : those that never make events ("other").
    patch_frames, patch_hop : frames in a patch, and from one patch to the next.
    thresholds : score that makes a detection, per label, as far as it was learned.
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
    licence: str = ""
    source: str = ""


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
    document = _document(text, path)
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
        licence=document["licence"],
        source=document["source"],
    )
    _check_description(info)
    _check_tensors(info, session)
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
) -> ModelInfo:
    """Write the model at `path` with its description to `out`, and return what is read back.

    `out` may be `path`. It is replaced in one step, and only by a description that fits.
    `scores_output` None is the model's first output.

    Raises `ModelError` as `read_model`, or if `out` can't be written.
    """
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
    }
    text = json.dumps(document, ensure_ascii=False)
    _fitting(text, session, path)
    _write(path, out, text)
    return read_model(out)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, out: Path, description: str) -> None:
    import onnx  # tens of megabytes that the listening process never needs

    model = onnx.load(path)
    others = {one.key: one.value for one in model.metadata_props}
    onnx.helper.set_model_props(model, {**others, METADATA_KEY: description})
    draft = out.with_name(f".{out.name}.part")
    try:
        draft.write_bytes(model.SerializeToString(deterministic=True))
        draft.replace(out)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ModelError(f"{out} can't be written: {error.strerror}") from error


def _document(text: str | None, path: Path) -> dict[str, Any]:
    if text is None:
        raise ModelError(f"{path} does not say what it hears", _DESCRIBE)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(f"{path}: its description is not JSON: {error}", _DESCRIBE) from error
    if not isinstance(document, dict) or type(document.get("schema")) is not int:
        raise ModelError(f"{path}: its description has no schema number", _DESCRIBE)
    if document["schema"] != SCHEMA:
        raise ModelError(
            f"{path}: schema {document['schema']} of the description is unknown",
            f"this version reads schema {SCHEMA}: update edge, or {_DESCRIBE}",
        )
    for name, kind in _FIELDS.items():
        if type(document.get(name)) is not kind:
            what = "missing" if name not in document else f"{document[name]!r}"
            raise ModelError(f"{path}: {name} is {what}, not a {kind.__name__}", _DESCRIBE)
    if type(document.get("min_hits", {})) is not dict:
        raise ModelError(f"{path}: min_hits is {document['min_hits']!r}, not a dict", _DESCRIBE)
    return document


def _check_description(info: ModelInfo) -> None:
    labels = info.labels
    if not labels:
        raise ModelError(f"{info.path} names no labels", _DESCRIBE)
    if not all(isinstance(label, str) and label.strip() for label in labels):
        raise ModelError(f"{info.path} has an empty label", _DESCRIBE)
    if doubled := [label for label, count in Counter(labels).items() if count > 1]:
        raise ModelError(f"{info.path} names labels twice: {', '.join(doubled)}", _DESCRIBE)
    _check_rules(info)
    if not 1 <= info.patch_hop <= info.patch_frames:
        raise ModelError(
            f"patch_hop is {info.patch_hop}, not 1..{info.patch_frames} (patch_frames)", _DESCRIBE
        )
    if info.activation not in get_args(Activation):
        raise ModelError(
            f"activation is {info.activation!r}, not one of {', '.join(get_args(Activation))}",
            _DESCRIBE,
        )


def _check_rules(info: ModelInfo) -> None:
    named = [*info.negative_labels, *info.thresholds, *info.min_hits]
    if strangers := {repr(one) for one in named if one not in info.labels}:
        raise ModelError(f"{info.path} has no label {', '.join(sorted(strangers))}", _DESCRIBE)
    for label, threshold in info.thresholds.items():
        if type(threshold) not in {int, float} or not 0.0 < threshold <= 1.0:
            raise ModelError(f"threshold of {label} is {threshold!r}, not in 0..1", _DESCRIBE)
    for label, hits in info.min_hits.items():
        if type(hits) is not int or not 1 <= hits <= MOST_HITS:
            raise ModelError(f"min_hits of {label} is {hits!r}, not 1..{MOST_HITS}", _DESCRIBE)


def _check_tensors(info: ModelInfo, session: Session) -> None:
    if len(session.inputs) != 1:
        names = ", ".join(one.name for one in session.inputs)
        raise ModelError(f"{info.path} has several inputs ({names}), not one patch")
    patch_shape(session.inputs[0], info)
    scores = _output(info.scores_output, session)
    count = scores.shape[-1] if scores.shape else 1
    if count not in {None, len(info.labels)}:
        raise ModelError(
            f"{info.path} gives {count} scores but names {len(info.labels)} labels", _DESCRIBE
        )
    if info.embedding_output is not None:
        _output(info.embedding_output, session)


def _output(name: str, session: Session) -> Tensor:
    found = next((one for one in session.outputs if one.name == name), None)
    if found is None:
        names = ", ".join(one.name for one in session.outputs)
        raise ModelError(f"the model has no output {name!r}", f"its outputs are: {names}")
    return found


def patch_shape(tensor: Tensor, info: ModelInfo) -> tuple[int, ...]:
    """Return the shape in which the model takes a patch: with one axis of one channel, or none.

    Raises `ModelError` if a patch of the description does not fit the input.
    """
    frames, bands = info.patch_frames, info.front_end.n_mels
    layouts = [(1, frames, bands), (1, 1, frames, bands), (1, frames, bands, 1)]
    if tensor.kind == "tensor(float)":
        for layout in layouts:
            if len(layout) == len(tensor.shape) and all(
                size in {None, wanted} for size, wanted in zip(tensor.shape, layout, strict=True)
            ):
                return layout
    shape = " x ".join("any" if size is None else str(size) for size in tensor.shape)
    raise ModelError(
        f"{info.path} takes {tensor.kind} of {shape}, which a patch of {frames} frames x "
        f"{bands} bands does not fit",
        "give the front end, patch_frames and bands that it was trained with",
    )
