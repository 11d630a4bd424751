# SPDX-License-Identifier: MIT
"""Whether a description is one, and whether it fits the model that it stands in."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge.model.registry import ModelInfo
    from edge.model.session import Session, Tensor

SCHEMA: Final = 1
MOST_HITS: Final = 50  # as many as the settings allow
LONGEST_LABEL: Final = 200  # letters
LONGEST_TEXT: Final = 500  # of what is said beside the labels
LONGEST_PATCH_S: Final = 30
# Of a front end that makes all frames of a patch in one period of the sound card.
LONGEST_WHOLE_PATCH_S: Final = 10
MOST_IN_PATCH: Final = 2_000_000  # values in all windows of a patch: some 8 ms, 8 MB
FLOAT: Final = "tensor(float)"
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
# What came later: without it a description says what it always said.
_LATER_FIELDS: Final[Mapping[str, type]] = {"min_hits": dict, "groups": dict, "bands_first": bool}


def read_document(text: str | None, path: Path) -> dict[str, Any]:
    """Return a description with every field of its type. Raises `ModelError` for any other."""
    document = _parse(text, path)
    if document["schema"] != SCHEMA:
        raise ModelError(
            f"{path}: schema {document['schema']!r:.20} of the description is unknown",
            f"this version reads schema {SCHEMA}: update edge, or {_DESCRIBE}",
        )
    for name, kind in _FIELDS.items():
        if type(document.get(name)) is not kind:
            what = "missing" if name not in document else f"{document[name]!r:.80}"
            raise ModelError(f"{path}: {name} is {what}, not a {kind.__name__}", _DESCRIBE)
    for name in ("name", "version", "licence", "source"):
        text = document[name]
        if not text.isprintable() or len(text) > LONGEST_TEXT:
            raise ModelError(
                f"{path}: {name} can't be printed: {text!a:.80}",
                f"describe it with up to {LONGEST_TEXT} letters, without line breaks",
            )
    for name, kind in _LATER_FIELDS.items():
        if type(document.get(name, kind())) is not kind:
            what = f"{document[name]!r:.80}"
            raise ModelError(f"{path}: {name} is {what}, not a {kind.__name__}", _DESCRIBE)
    for name, members in document.get("groups", {}).items():
        if trouble := group_trouble(name, members, document["labels"]):
            raise ModelError(f"{path}: {trouble}", _DESCRIBE)
    return document


def _parse(text: str | None, path: Path) -> dict[str, Any]:
    if text is None:
        raise ModelError(f"{path} does not say what it hears", _DESCRIBE)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its description is not JSON: {error}", _DESCRIBE) from error
    if not isinstance(document, dict) or type(document.get("schema")) is not int:
        raise ModelError(f"{path}: its description has no schema number", _DESCRIBE)
    return document


def group_trouble(name: str, members: object, labels: Sequence[object]) -> str:
    """Return what is wrong with a group of a model's labels; empty: nothing."""
    if not name.strip() or not name.isprintable() or name in labels:
        return f"{name!r:.80} can't be the name of a group: it is a label, empty or not printable"
    if not isinstance(members, list | tuple) or not members:
        return f"group {name}: {members!r:.80} is no list of labels"
    if strangers := [one for one in members if one not in labels]:
        return f"group {name} has {', '.join(map(repr, strangers)):.200}, no labels of the model"
    return ""


def check_description(info: ModelInfo) -> None:
    """Raise `ModelError` for labels, rules and numbers that can't be."""
    labels = info.labels
    if not labels:
        raise ModelError(f"{info.path} names no labels", _DESCRIBE)
    if not all(isinstance(label, str) and label.strip() for label in labels):
        raise ModelError(f"{info.path} has an empty label", _DESCRIBE)
    if odd := [one for one in labels if not one.isprintable() or len(one) > LONGEST_LABEL]:
        raise ModelError(
            f"{info.path} has a label that can't be printed: {odd[0]!a:.80}",
            f"describe it with labels of up to {LONGEST_LABEL} letters, without line breaks",
        )
    if doubled := [label for label, count in Counter(labels).items() if count > 1]:
        raise ModelError(f"{info.path} names labels twice: {', '.join(doubled):.200}", _DESCRIBE)
    _check_rules(info)
    if not 1 <= info.patch_hop <= info.patch_frames:
        raise ModelError(
            f"patch_hop is {info.patch_hop!r:.40}, not 1..{info.patch_frames!r:.40} (patch_frames)",
            _DESCRIBE,
        )
    _check_patch(info)
    ears = info.front_end
    if ears.centring != "none" and ears.patch_samples(info.patch_frames) <= ears.win_length:
        raise ModelError(
            f"a patch of {info.patch_frames} frames is shorter than a window: it can't be centred",
            _DESCRIBE,
        )
    if info.activation not in get_args(Activation):
        raise ModelError(
            f"activation is {info.activation!r:.80}, not one of {', '.join(get_args(Activation))}",
            _DESCRIBE,
        )


def _check_patch(info: ModelInfo) -> None:
    ears = info.front_end
    most_s = LONGEST_WHOLE_PATCH_S if ears.by_patch else LONGEST_PATCH_S
    frames, values = info.patch_frames, max(ears.n_fft, ears.n_mels)
    if ears.patch_samples(frames) > most_s * ears.rate_hz or frames * values > MOST_IN_PATCH:
        raise ModelError(
            f"a patch of {frames!r:.40} frames is longer than {most_s} s, or has more than"
            f" {MOST_IN_PATCH} values in its windows of {ears.n_fft}",
            "take a model of shorter patches",
        )


def _check_rules(info: ModelInfo) -> None:
    named = [*info.negative_labels, *info.thresholds, *info.min_hits]
    if strangers := {repr(one) for one in named if one not in info.scored}:
        raise ModelError(f"{info.path} has no label {', '.join(sorted(strangers)):.200}", _DESCRIBE)
    for label, threshold in info.thresholds.items():
        if type(threshold) not in {int, float} or not 0.0 < threshold <= 1.0:
            raise ModelError(f"threshold of {label} is {threshold!r:.40}, not in 0..1", _DESCRIBE)
    for label, hits in info.min_hits.items():
        if type(hits) is not int or not 1 <= hits <= MOST_HITS:
            raise ModelError(f"min_hits of {label} is {hits!r:.40}, not 1..{MOST_HITS}", _DESCRIBE)


def check_tensors(info: ModelInfo, session: Session) -> None:
    """Raise `ModelError` where inputs and outputs are not as described."""
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
        raise ModelError(f"the model has no output {name!r:.80}", f"its outputs are: {names}")
    if found.kind != FLOAT:
        raise ModelError(
            f"the model's output {name!r} is {found.kind}, not {FLOAT}",
            "export it with scores of 32 bit floating point",
        )
    return found


def patch_shape(tensor: Tensor, info: ModelInfo) -> tuple[int, ...]:
    """Return the shape in which the model takes a patch: with one axis of one channel, or none.

    Raises `ModelError` if a patch of the description does not fit the input.
    """
    frames, bands = info.patch_frames, info.front_end.n_mels
    sides = (bands, frames) if info.bands_first else (frames, bands)
    layouts = [(1, *sides), (1, 1, *sides), (1, *sides, 1)]
    if tensor.kind == FLOAT:
        for layout in layouts:
            if len(layout) == len(tensor.shape) and all(
                size in {None, wanted} for size, wanted in zip(tensor.shape, layout, strict=True)
            ):
                return layout
    shape = " x ".join("any" if size is None else str(size) for size in tensor.shape)
    raise ModelError(
        f"{info.path} takes {tensor.kind} of {shape or 'a shape that it does not tell'}, which a"
        f" patch of {sides[0]} {'bands' if info.bands_first else 'frames'} x {sides[1]}"
        f" {'frames' if info.bands_first else 'bands'} does not fit",
        "give the front end, patch_frames, bands and their order that it was trained with",
    )
