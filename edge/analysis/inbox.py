# SPDX-License-Identifier: MIT
"""The work list of the idle-time analysis: the folder of clips itself.

A clip whose sound can be read and that has no report yet is still to be done.
There is no second book that could disagree. Light: the standard library only.
"""

from __future__ import annotations

import errno
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SCHEMA: Final = "edge-analysis/1"  # described in `edge.analysis.report`
REPORT: Final = ".analysis.json"
SIDECAR: Final = ".json"
SOUNDS: Final = (".flac", ".wav")
KEEP: Final = ".keep"

# number, time or "untimed", label: the names that the recorder gives.
_STEM: Final = re.compile(r"(\d{7,})_(?:\d{8}T\d{6}[ZU]|untimed)_([a-z0-9_-]+)", re.ASCII)
_BUCKET: Final = re.compile(r"\d{4,}", re.ASCII)

_USE: Final = os.R_OK | os.W_OK | os.X_OK

# A folder that changed twice within one tick of the kernel's clock has one time for both.
_SETTLED_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that is to be analysed; `important`: kept, or recorded at a command."""

    number: int
    stem: str
    sound: Path
    important: bool

    @property
    def bucket(self) -> Path:
        """The folder in which everything of the clip lies."""
        return self.sound.parent

    @property
    def sidecar(self) -> Path:
        """What the recorder wrote about it."""
        return self.bucket / f"{self.stem}{SIDECAR}"

    @property
    def report(self) -> Path:
        """What marks it as done."""
        return self.bucket / f"{self.stem}{REPORT}"


@dataclass(frozen=True, slots=True)
class _Bucket:
    """What one bucket held when it was last listed."""

    changed_ns: int
    best: Clip | None
    waiting: int


class Inbox:
    """Gives the newest important clip that is still to be done.

    Keeps one clip and a count for each bucket (a thousand clips): a bucket is listed
    again only after something in it has changed. Ten thousand clips of four files each take
    some 0.1 s to list at first, then 0.1 ms and the bucket in which a report was written.

    Parameters
    ----------
    directory : the folder of clips; it need not exist yet.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._buckets: dict[str, _Bucket] = {}
        self.unreadable = ""
        """The last reason why a part of the folder could not be used, "" for none."""

    @property
    def waiting(self) -> int:
        """How many clips were to be done at the last look."""
        return sum(bucket.waiting for bucket in self._buckets.values())

    def next(self) -> Clip | None:
        """Return the clip to do now, or None; looks at the folder."""
        self.unreadable = ""
        names = self._names()
        self._buckets = {name: self._look(name) for name in names}
        return _best(bucket.best for bucket in self._buckets.values())

    def find(self, stem: str) -> Clip | None:
        """Return the clip of that stem if it is still to be done, and can be."""
        named = _STEM.fullmatch(stem)
        if not named:
            return None
        bucket = self._directory / f"{int(named[1]) // 1000:04d}"
        if not os.access(bucket, _USE):
            return None
        sounds = (bucket / f"{stem}{suffix}" for suffix in SOUNDS)
        sound = next((path for path in sounds if path.is_file()), None)
        if sound is None or (bucket / f"{stem}{REPORT}").exists():
            return None
        kept = (bucket / f"{stem}{KEEP}").exists()
        return Clip(int(named[1]), stem, sound, kept or named[2] == "command")

    def _names(self) -> list[str]:
        try:
            folders = self._directory.iterdir()
            return [folder.name for folder in folders if _BUCKET.fullmatch(folder.name)]
        except FileNotFoundError:
            return []  # nothing was ever recorded
        except OSError as error:
            self.unreadable = f"{self._directory}: {error.strerror}"
            return []

    def _look(self, name: str) -> _Bucket:
        bucket = self._directory / name
        try:
            changed_ns = bucket.stat().st_mtime_ns
            known = self._buckets.get(name)
            if known and known.changed_ns == changed_ns:
                return known
            # One clip whose report can't be written would keep all others waiting.
            if not os.access(bucket, _USE):
                raise PermissionError(errno.EACCES, "it may not be read and written")
            clips = list(_to_do(bucket))
        except OSError as error:
            self.unreadable = f"{bucket}: {error.strerror}"
            return _Bucket(-1, None, 0)
        settled = abs(time.time_ns() - changed_ns) > _SETTLED_NS
        return _Bucket(changed_ns if settled else -1, _best(iter(clips)), len(clips))


def _to_do(bucket: Path) -> Iterator[Clip]:
    with os.scandir(bucket) as listing:
        files = {entry.name for entry in listing if entry.is_file(follow_symlinks=False)}
    for name in files:
        stem, dot, suffix = name.partition(".")
        named = _STEM.fullmatch(stem)
        if not named or dot + suffix not in SOUNDS or stem + REPORT in files:
            continue
        if stem + SIDECAR in files:
            important = stem + KEEP in files or named[2] == "command"
            yield Clip(int(named[1]), stem, bucket / name, important)


def _best(clips: Iterable[Clip | None]) -> Clip | None:
    there = (clip for clip in clips if clip)
    return max(there, key=lambda clip: (clip.important, clip.number), default=None)
