# SPDX-License-Identifier: MIT
"""The recordings to learn from: which class, which fold, whose work under which licence."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import soundfile
import soxr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

RATE_HZ: Final = 16000
FOLDS: Final = (1, 2, 4)
ESC10: Final = (
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
)
# What else is offered, and which classes of the field collection it gathers.
GATHERED: Final[Mapping[str, tuple[str, ...]]] = {
    "alarm": ("alarm", "smoke_alarm", "siren", "telephone", "doorbell", "bells", "car_horn"),
    "bird": ("birds",),
    "footsteps": ("footsteps",),
    "glass": ("glass_breaking",),
    "gunshot": ("gunshot", "explosion", "fireworks"),
    "insect": ("insects",),
    "music": ("music",),
    "speech": ("speech",),
    "thunder": ("thunder",),
}
LABELS: Final = (*ESC10, *GATHERED, "other")
OTHER: Final = LABELS.index("other")
# The field collection's names for what has a label.
FIELD_NAMES: Final = {
    "dog": "dog_bark",
    "crackling_fire": "fire_crackling",
    **{name: label for label, names in GATHERED.items() for name in names},
}
# Sounds that have been heard as counter-examples: whoever has clips of them may test with them.
COUNTER_EXAMPLES: Final = (
    *("airplane", "ambience", "applause", "cat", "cow", "crowd_cheer", "door_knock", "door_slam"),
    *("engine", "frog", "hen", "keyboard", "laughter", "machine_hum", "saw_drill", "scream"),
    *("sheep", "snoring", "train", "water", "wind"),
)
# May be examples without saying so, by class and subclass ("" for any): no word on these labels.
UNSURE: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("ambience", ""): ("bird", "footsteps", "insect", "music", "speech"),
    ("insects", ""): ("bird",),
    ("birds", ""): ("insect",),
    ("crowd_cheer", ""): ("speech",),
    ("laughter", ""): ("speech",),
    ("scream", ""): ("speech",),
    ("other", "vocal_grunt"): ("speech",),
    ("other", "smash"): ("glass",),
    ("other", "glass_hit_unbroken"): ("glass",),
    ("other", "gallop"): ("footsteps",),
    ("fireworks", ""): ("speech",),
}
# May hold one of ESC-10's ten: left out.
AMBIGUOUS: Final = {
    ("water", "sea_urban"),
    ("other", "tool"),
    ("ambience", "construction_site"),
    ("ambience", "farm"),  # roosters crow in it
}
# Single files of `field/`, by the beginning of their names.
SINGLE_FILES: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "198-209": ("speech", "LibriSpeech", "CC BY 4.0", "https://www.openslr.org/12/"),
    "3436-172162": ("speech", "LibriSpeech", "CC BY 4.0", "https://www.openslr.org/12/"),
    "5703-47212": ("speech", "LibriSpeech", "CC BY 4.0", "https://www.openslr.org/12/"),
    "456440": ("bird", "InspectorJ", "CC BY 3.0", "https://freesound.org/s/456440/"),
    "glacier": (
        "other",
        "NPS / Chris Gabriele",
        "public domain",
        "https://www.nps.gov/glba/learn/nature/soundclips.htm",
    ),
    "hungarian": (
        "music",
        "US Army Strings",
        "public domain",
        "https://musopen.org/music/43805-hungarian-dance-no-5-in-f-sharp-minor-woo-1-string-orchestra-arr/",
    ),
    "sorohanro": ("music", "Mihai Sorohan", "CC BY 3.0", "https://freesound.org/s/77711/"),
}
TRUSTED: Final = {"ok", "fair"}
FORBIDDEN_LICENCES: Final = {"BSB"}  # terms not confirmed: for tests, not for training


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording: `fold` keeps everything from one source or author together.

    kind : the class as its collection names it.
    unsure : labels that may be heard in it or not.
    trained : whether it may be learned from.
    """

    path: Path
    kind: str
    label: int
    fold: int
    official: bool
    author: str
    licence: str
    url: str
    unsure: tuple[int, ...] = ()
    trained: bool = True


def read_clips(data: Path) -> list[Clip]:
    """Return what there is, ESC-10's own clips first; not all of it may be trained on.

    `data` holds `esc10-dev` and `field-dev`, each with `meta.csv` and `audio/`, and `field`.
    """
    esc10 = list(_esc10(data / "esc10-dev"))
    fold_of_author = {clip.author: clip.fold for clip in esc10}
    return [*esc10, *_field(data / "field-dev", fold_of_author), *_singles(data / "field")]


def load(clip: Clip) -> NDArray[np.float32]:
    """Return (n_samples,) float32 at 16 kHz."""
    samples, rate_hz = soundfile.read(clip.path, dtype="float32", always_2d=True)
    mono: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
    return mono if rate_hz == RATE_HZ else soxr.resample(mono, rate_hz, RATE_HZ)


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "meta.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _esc10(folder: Path) -> Iterator[Clip]:
    for row in _rows(folder):
        yield Clip(
            path=folder / "audio" / row["flac"],
            kind=row["class"],
            label=LABELS.index(row["class"]),
            fold=int(row["fold"]),
            official=True,
            author=row["author"],
            licence=row["licence"],
            url=row["url"],
        )


def _field(folder: Path, fold_of_author: dict[str, int]) -> Iterator[Clip]:
    rows = _rows(folder)
    fold_of_group = _spread(rows, fold_of_author)
    for row in rows:
        kinds = ((row["class"], row["subclass"]), (row["class"], ""))
        if set(kinds) & AMBIGUOUS:
            continue
        name = FIELD_NAMES.get(row["class"], row["class"])
        label = LABELS.index(name) if name in LABELS else OTHER
        trusted = label == OTHER or row["label_check"] in TRUSTED
        unsure = {one for kind in kinds for one in UNSURE.get(kind, ())}
        yield Clip(
            path=folder / "audio" / row["flac"],
            kind=row["class"],
            label=label,
            fold=fold_of_group[row["group"]],
            official=False,
            author=row["author"],
            licence=row["licence"],
            url=row["url"],
            unsure=tuple(sorted(map(LABELS.index, unsure))),
            trained=trusted and row["licence_family"] not in FORBIDDEN_LICENCES,
        )


def _singles(folder: Path) -> Iterator[Clip]:
    for k, (beginning, (label, author, licence, url)) in enumerate(SINGLE_FILES.items()):
        for path in sorted(folder.glob(f"{beginning}*.ogg")):
            yield Clip(
                path=path,
                kind=label,
                label=LABELS.index(label),
                fold=FOLDS[k % len(FOLDS)],
                official=False,
                author=author,
                licence=licence,
                url=url,
            )


def _spread(rows: list[dict[str, str]], fold_of_author: dict[str, int]) -> dict[str, int]:
    """Return the fold of each group: each class spread evenly, the same on every machine."""
    # A recording goes where an author of it is heard in ESC-10: the microphone is the same.
    folds = {
        row["group"]: fold_of_author[row["author"]]
        for row in rows
        if row["author"] in fold_of_author
    }
    placed = Counter((row["class"], folds[row["group"]]) for row in rows if row["group"] in folds)
    for row in sorted(rows, key=_chance):
        if row["group"] not in folds:
            fold = min(FOLDS, key=lambda one: (placed[row["class"], one], one))
            folds[row["group"]] = fold
            placed[row["class"], fold] += 1
    return folds


def _chance(row: dict[str, str]) -> bytes:
    return hashlib.sha256(row["group"].encode()).digest()
