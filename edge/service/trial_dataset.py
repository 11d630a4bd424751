# SPDX-License-Identifier: MIT
"""A folder of clips whose class is known: `meta.csv` and `audio/`."""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from edge.model.registry import ModelInfo

COLUMNS: Final = ("flac", "class")
NOTHING: Final = "other"  # understood of every model: none of its labels
SHOWN: Final = 8  # of many names in a message


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of a data set and the name of its class."""

    path: Path
    kind: str


def read_dataset(folder: Path) -> list[Clip]:
    """Return the clips that `meta.csv` lists, each seen to be there.

    Raises `StorageError` for a folder without `meta.csv`, one without the columns or without
    rows, an empty class, and clips that `audio/` lacks.
    """
    path = folder / "meta.csv"
    rows = _rows(path)
    clips = []
    for number, row in enumerate(rows, start=2):
        name, kind = ((row[column] or "").strip() for column in COLUMNS)
        if not name or not kind:
            what = COLUMNS[0] if not name else COLUMNS[1]
            raise StorageError(f"line {number} of {path} has no {what}", "fill it in, or delete it")
        clips.append(Clip(folder / "audio" / name, kind))
    if missing := [one.path.name for one in clips if not one.path.is_file()]:
        raise StorageError(
            f"{folder / 'audio'} lacks {len(missing)} of the {len(clips)} clips that meta.csv"
            f" lists: {_listed(missing)}",
            "copy them there, or delete their lines",
        )
    return clips


def labels_of(
    kinds: Collection[str],
    model: ModelInfo,
    aliases: Mapping[str, str],
    given: Mapping[str, str],
) -> dict[str, str | None]:
    """Return the label of each class; None for one of whose sounds the model makes no events.

    `given`, what the user says, goes before the model's labels, and these before its `aliases`.

    Raises `StorageError` for a class without a label, for a label that is not the model's, and
    if not a single class has one.
    """
    if strangers := sorted(set(given) - set(kinds)):
        raise StorageError(
            f"no clip is of the class {_listed(strangers)}",
            f"the classes of the data set are: {', '.join(sorted(kinds))}",
        )
    found = {kind: _label(kind, model, aliases, given) for kind in sorted(kinds)}
    known = [*model.scored, NOTHING]
    if wrong := [label for label in found.values() if label is not None and label not in known]:
        raise StorageError(
            f"the model {model.name} has no label {_listed(wrong)}",
            f"its labels are: {', '.join(model.scored)}",
        )
    if unknown := [kind for kind, label in found.items() if label is None]:
        raise StorageError(
            f"the model {model.name} has no label for the class {_listed(unknown)}",
            _advice(unknown[0], model),
        )
    silent = {*model.negative_labels, NOTHING}
    labels = {kind: None if label in silent else label for kind, label in found.items()}
    if not any(labels.values()):
        raise StorageError(
            f"no class of the data set is one that the model {model.name} makes events of",
            "add clips of its labels: without them there is nothing to be right about",
        )
    return labels


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            columns = reader.fieldnames or []
            rows = list(reader)
    except FileNotFoundError as error:
        raise StorageError(
            f"{path} is not there",
            "name the folder that holds meta.csv, with the columns flac and class, and audio/",
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StorageError(f"{path} can't be read: {error}", "save it as CSV in UTF-8") from error
    if lacking := [column for column in COLUMNS if column not in columns]:
        raise StorageError(
            f"{path} has no column {' and no column '.join(lacking)}",
            f"its first line must name flac and class; it reads: {','.join(columns) or 'nothing'}",
        )
    if not rows:
        raise StorageError(f"{path} lists no clips", "add a line for each clip of audio/")
    return rows


def _label(
    kind: str, model: ModelInfo, aliases: Mapping[str, str], given: Mapping[str, str]
) -> str | None:
    if kind in given:
        return given[kind]
    return kind if kind in {*model.scored, NOTHING} else aliases.get(kind)


def _advice(kind: str, model: ModelInfo) -> str:
    near = difflib.get_close_matches(kind, model.scored, 1) or [model.scored[0]]
    return (
        f"say which label it is, as --class {kind}={near[0]}, or --class {kind}={NOTHING} if it is "
        f"none of them; the labels are: {', '.join(model.scored)}"
    )


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {more} more" if more > 0 else "")
