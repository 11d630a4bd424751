# SPDX-License-Identifier: MIT
"""The recordings to learn from: which class, which fold, whose work under which licence."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import soundfile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

RATE_HZ: Final = 16000
LABELS: Final = (
    "dog_bark",
    "rain",
    "sea_waves",
    "baby_cry",
    "clock_tick",
    "person_sneeze",
    "helicopter",
    "chainsaw",
    "rooster",
    "fire_crackling",
    "other",
)
OTHER: Final = LABELS.index("other")
FOLDS: Final = (1, 2, 4)
# The same sound under the field collection's name.
FIELD_NAMES: Final = {"dog": "dog_bark", "crackling_fire": "fire_crackling"}
# May hold one of the ten classes without saying so: neither an example nor a counter-example.
AMBIGUOUS: Final = {
    ("water", "sea_urban"),
    ("thunder", ""),
    ("other", "tool"),
    ("ambience", "construction_site"),
    ("ambience", "farm"),  # roosters crow in it
}
TRUSTED: Final = {"ok", "fair"}
FORBIDDEN_LICENCES: Final = {"BSB"}  # terms not confirmed


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording: `fold` keeps everything from one source or author together."""

    path: Path
    label: int
    fold: int
    official: bool
    author: str
    licence: str
    url: str


def read_clips(data: Path) -> list[Clip]:
    """Return what may be trained on, ESC-10's own clips first.

    `data` holds `esc10-dev` and `field-dev`, each with `meta.csv` and `audio/`.
    """
    esc10 = list(_esc10(data / "esc10-dev"))
    fold_of_author = {clip.author: clip.fold for clip in esc10}
    return esc10 + list(_field(data / "field-dev", fold_of_author))


def load(clip: Clip) -> NDArray[np.float32]:
    """Return (n_samples,) float32 at 16 kHz."""
    samples, rate_hz = soundfile.read(clip.path, dtype="float32", always_2d=True)
    if rate_hz != RATE_HZ:
        raise ValueError(f"{clip.path.name}: {rate_hz} Hz, not {RATE_HZ}")
    mono: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
    return mono


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "meta.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _esc10(folder: Path) -> Iterator[Clip]:
    for row in _rows(folder):
        yield Clip(
            path=folder / "audio" / row["flac"],
            label=LABELS.index(row["class"]),
            fold=int(row["fold"]),
            official=True,
            author=row["author"],
            licence=row["licence"],
            url=row["url"],
        )


def _field(folder: Path, fold_of_author: dict[str, int]) -> Iterator[Clip]:
    rows = _rows(folder)
    # A recording goes where an author of it is heard in ESC-10: the microphone is the same.
    fold_of_group = {
        row["group"]: fold_of_author[row["author"]]
        for row in rows
        if row["author"] in fold_of_author
    }
    for row in rows:
        name = FIELD_NAMES.get(row["class"], row["class"])
        label = LABELS.index(name) if name in LABELS else OTHER
        if row["licence_family"] in FORBIDDEN_LICENCES or not _trusted(row, label):
            continue
        yield Clip(
            path=folder / "audio" / row["flac"],
            label=label,
            fold=fold_of_group.get(row["group"], _spread(row["group"])),
            official=False,
            author=row["author"],
            licence=row["licence"],
            url=row["url"],
        )


def _trusted(row: dict[str, str], label: int) -> bool:
    if label != OTHER:
        return row["label_check"] in TRUSTED
    return not {(row["class"], row["subclass"]), (row["class"], "")} & AMBIGUOUS


def _spread(group: str) -> int:
    """Return a fold by chance, the same on every machine."""
    return FOLDS[hashlib.sha256(group.encode()).digest()[0] % len(FOLDS)]
