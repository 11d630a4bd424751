# SPDX-License-Identifier: MIT
"""How the files of a clip are called: one stem, known endings, folders of a thousand.

`0000042_20261122T221736Z_rain.flac` is in the folder `0000`. The number grows for ever, so
that "oldest first" depends on no clock. `Z` ends a time of a synchronised clock, `U` one
that can't be trusted; a clip of a recording that has no time is `untimed`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SIDECAR: Final = ".json"
KEEP: Final = ".keep"
SEALED: Final = ".age"
AUDIO: Final = (".flac", ".wav", ".flac.age", ".wav.age")
REPORT: Final = ".analysis.json"
DERIVED: Final = (
    REPORT,
    ".analysis.png",
    ".harmonic.flac",
    ".percussive.flac",
    *(f".component-{number}.flac" for number in range(1, 5)),
)
"""What the analysis makes of a clip."""

ENDINGS: Final = frozenset((SIDECAR, KEEP, *AUDIO, *DERIVED))
UNFINISHED: Final = ".part"
UNTIMED: Final = "untimed"

CLIPS_PER_FOLDER: Final = 1000
_WORD_LENGTH: Final = 40
_STEM: Final = re.compile(
    rf"(\d{{7}}|[1-9]\d{{7,17}})_(\d{{8}}T\d{{6}}[ZU]|{UNTIMED})_([a-z0-9_-]{{1,{_WORD_LENGTH}}})",
    re.ASCII,
)
_FOLDER: Final = re.compile(r"\d{4}|[1-9]\d{4,14}", re.ASCII)
_ISO_TIME: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?Z", re.ASCII)


class ClipName(NamedTuple):
    """What a stem says."""

    number: int
    time: str
    label: str

    @property
    def stem(self) -> str:
        """The name without an ending."""
        return f"{self.number:07}_{self.time}_{self.label}"

    @property
    def folder(self) -> str:
        """The name of the folder that the clip is in."""
        return folder_of(self.number)


def folder_of(number: int) -> str:
    """Return the name of the folder of clip `number`."""
    return f"{number // CLIPS_PER_FOLDER:04}"


def name_clip(number: int, sidecar: Mapping[str, Any]) -> ClipName:
    """Return the name of a clip: its first label, or its reason, and when it began."""
    labels = sidecar.get("labels") or [sidecar.get("reason", "")]
    began = _ISO_TIME.fullmatch(sidecar.get("start_time") or "")
    if began is None:
        return ClipName(number, UNTIMED, word(str(labels[0])))
    year, month, day, hour, minute, second = began.groups()
    trust = "Z" if sidecar.get("clock_synchronised") else "U"
    time = f"{year}{month}{day}T{hour}{minute}{second}{trust}"
    return ClipName(number, time, word(str(labels[0])))


def word(label: str) -> str:
    """Return a label as 1..40 of a-z 0-9 _ -, so that no label leads out of a folder."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9-]+", "_", plain).strip("_-")[:_WORD_LENGTH] or "sound"


def read_stem(stem: str) -> ClipName | None:
    """Return what a stem says; None for a name that is not ours."""
    found = _STEM.fullmatch(stem)
    return ClipName(int(found[1]), found[2], found[3]) if found else None


def split(file_name: str) -> tuple[str, str] | None:
    """Return stem and ending, as (`0000042_…_rain`, `.flac`); None for a name that is not ours.

    An unfinished file has its ending with `.part` after it. The stem is not read.
    """
    unfinished = file_name.startswith(".") and file_name.endswith(UNFINISHED)
    whole = file_name[1 : -len(UNFINISHED)] if unfinished else file_name
    stem, dot, rest = whole.partition(".")
    if dot + rest not in ENDINGS:
        return None
    return stem, f".{rest}{UNFINISHED}" if unfinished else f".{rest}"


def is_folder(name: str) -> bool:
    """Return whether a folder of this name would be one of ours."""
    return _FOLDER.fullmatch(name) is not None
