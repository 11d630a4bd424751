# SPDX-License-Identifier: MIT
"""A file that somebody brings becomes a model of the box, or is refused with the reason."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from edge import durable
from edge.errors import ModelError, StorageError
from edge.model.classifier import OnnxClassifier
from edge.model.frontend import PRESETS
from edge.model.grouping import audioset_groups
from edge.model.registry import METADATA_KEY, check_size, describe, read_whole
from edge.model.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.model.registry import ModelInfo

TFLITE: Final = b"TFL3"
_LONGEST_SOURCE: Final = 400  # letters: a digest follows


def describes_itself(file: Path) -> bool:
    """Return whether `bring` finds in a file what it hears. Raises `ModelError` for no model."""
    if _is_tflite(file):
        return True
    check_size(file)
    return METADATA_KEY in Session(file).metadata


def bring(
    file: Path, out: Path, *, name: str, labels: Sequence[str] = (), source: str = ""
) -> ModelInfo:
    """Put a model at `out`, in one step, once it was opened and tried; return what it says.

    Parameters
    ----------
    file : YAMNet's TensorFlow Lite file, which is converted, or an ONNX model that describes
        itself.
    labels : of a TensorFlow Lite file; (): those in it.
    source : where such a file is from; empty: its name.

    Raises `ModelError` for anything else, `StorageError` where it can't be written.
    """
    draft = out.with_name(f".{out.stem}.draft.onnx")
    try:
        if _is_tflite(file):
            _convert(file, draft, name, labels, source)
        else:
            _copy(file, draft)
        OnnxClassifier(draft)
        draft.replace(out)
        durable.sync(out.parent)
    except OSError as error:
        raise StorageError(f"{out} can't be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return OnnxClassifier(out).info


def _is_tflite(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            return content.read(8)[4:] == TFLITE
    except OSError as error:
        raise ModelError(f"{file} can't be read: {error.strerror}", "name a file") from error


def _convert(file: Path, draft: Path, name: str, labels: Sequence[str], source: str) -> None:
    from edge.model.converter import EMBEDDING, SCORES
    from edge.model.importer import import_tflite

    made = import_tflite(file)
    labels = labels or made.labels
    if not labels:
        raise ModelError(f"{file} has no labels in it", "name a file of them with --labels")
    draft.write_bytes(made.onnx)
    yamnet = PRESETS["yamnet"]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    describe(
        draft,
        draft,
        labels=labels,
        front_end=yamnet.front_end,
        patch_frames=yamnet.patch_frames,
        patch_hop=yamnet.patch_hop,
        name=name,
        version="1",
        licence="Apache-2.0",
        source=f"{(source or file.name)[:_LONGEST_SOURCE]}, sha256 {digest}",
        scores_output=SCORES,
        embedding_output=EMBEDDING,
        groups=audioset_groups(labels),
    )


def _copy(file: Path, draft: Path) -> None:
    if not describes_itself(file):
        raise ModelError(
            f"{file} does not say what it hears",
            "say it with `edge model describe FILE --labels … --front-end … --out …` first",
        )
    with draft.open("wb") as content:
        durable.write_through(content, read_whole(file))
