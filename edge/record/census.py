# SPDX-License-Identifier: MIT
"""How many clips there are and how much they take, without looking at each of them again."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.record.folder import buckets, find_orphans, read_clips

if TYPE_CHECKING:
    from pathlib import Path

    from edge.record.name import ClipName

SETTLED_NS: Final = 3_000_000_000
"""A folder that changed this shortly before a look may change again under the same stamp:
file systems keep times of 4 ms to 2 s."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a folder holds.

    `newest_time` is the latest of a synchronised clock, `last_timed` the number of the last
    clip that has one; "" and 0 where none has. `orphans` are no clips any more.
    """

    bucket: Path
    clips: int
    kept: int
    size_bytes: int
    labels: Counter[str]
    newest_time: str
    last_timed: int
    orphans: tuple[ClipName, ...]


class Census:
    """Tallies of all folders of a store.

    A folder's own time of change says whether anybody wrote or deleted in it, this process
    or another: only those folders are read again. So 100,000 clips cost 100 looks and about
    two folders, and there is no sum that could go wrong. Keeps a tally for each folder.

    Parameters
    ----------
    directory : of the store.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[Path, tuple[int, Tally]] = {}

    def take(self) -> list[Tally]:
        """Return the tallies, oldest folder first. Raises OSError."""
        known = {}
        for bucket in buckets(self._directory):
            try:
                changed_ns = bucket.stat().st_mtime_ns
            except FileNotFoundError:  # emptied meanwhile
                continue
            before = self._known.get(bucket)
            if before is None or before[0] != changed_ns:
                settled = abs(time.time_ns() - changed_ns) > SETTLED_NS
                before = (changed_ns if settled else -1, _tally(bucket))
            known[bucket] = before
        self._known = known
        return [tally for _, tally in known.values()]


def _tally(bucket: Path) -> Tally:
    clips = list(read_clips(bucket))
    timed = [clip for clip in clips if clip.time.endswith("Z")]
    return Tally(
        bucket=bucket,
        clips=len(clips),
        kept=sum(clip.kept for clip in clips),
        size_bytes=sum(clip.size_bytes for clip in clips),
        labels=Counter(clip.label for clip in clips),
        newest_time=max((clip.time for clip in timed), default=""),
        last_timed=max((clip.number for clip in timed), default=0),
        orphans=tuple(find_orphans(bucket)),
    )
