# SPDX-License-Identifier: MIT
"""Which clips go: oldest first, and never more than the limits ask for."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from edge.errors import StorageError
from edge.record.census import Census
from edge.record.folder import list_files, read_clips
from edge.record.trust import LEAP, TrustedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from edge.record.census import Tally
    from edge.record.store import ClipStore, Entry
    from edge.types import Utc

MB: Final = 1_000_000
MOST_AT_ONCE: Final = 200
"""So many clips go in one call, so that the next clip does not wait for minutes after
somebody has lowered a limit; the rest goes in the next calls."""

_TIME: Final = "%Y%m%dT%H%M%S"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the clips may take; 0: no such limit.

    `min_per_label` is the number of the newest clips of each label that no limit deletes;
    a clip counts for the label in its name, the first that it has.
    """

    max_age_days: float = 0.0
    max_total_mb: int = 0
    min_free_mb: int = 0
    min_per_label: int = 0


@dataclass(frozen=True, slots=True)
class Excess:
    """By how much the limits are broken: bytes too many, and the last number that is too old."""

    size_bytes: int = 0
    too_old: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done; `enough` is False where the limits are broken and nothing more may go."""

    deleted: int
    freed_bytes: int
    enough: bool


def choose(
    clips: Iterable[Entry], counts: Counter[str], excess: Excess, min_per_label: int
) -> Iterator[Entry]:
    """Give the clips that must go; stop at the first with which all limits hold.

    Parameters
    ----------
    clips : oldest first; taken one by one.
    counts : how many clips of each label there are from the first of `clips` on; counted down.
    """
    over_bytes = excess.size_bytes
    for clip in clips:
        if over_bytes <= 0 and clip.number > excess.too_old:
            return
        counts[clip.label] -= 1  # now: of how many newer ones it has
        if clip.kept or counts[clip.label] < min_per_label:
            continue
        over_bytes -= clip.size_bytes
        yield clip


def last_too_old(tallies: Iterable[Tally], now: datetime, max_age_days: float) -> int:
    """Return the highest number that is too old; 0: none is.

    A clip is too old when its own time is, or that of a later one: numbers know the order
    where clocks don't. Times from an unsynchronised clock, and those from the future, are no
    times. The first clip that is young enough ends it, so that one false time among later
    clips condemns nothing.
    """
    oldest = f"{now - timedelta(days=max_age_days):{_TIME}}"
    future = f"{now + LEAP:{_TIME}}"
    found = 0
    for tally in tallies:
        if not tally.last_timed:
            continue
        if tally.newest_time < oldest:
            found = tally.last_timed
            continue
        for name in sorted(list_files(tally.bucket)):
            if not name.time.endswith("Z") or name.time > future:
                continue
            if name.time >= oldest:
                return found
            found = name.number
    return found


class Retention:
    """Keeps the limits of a store.

    Used by the thread that writes the clips, before it writes one. Costs one look at each
    folder of a thousand clips, a reading of those that changed, and of the oldest ones when
    something must go.

    Parameters
    ----------
    store : the clips.
    limits : what they may take.
    free_bytes : returns how much of the disk is free; statvfs where it isn't given.
    mono_s : the monotonic clock.
    """

    def __init__(
        self,
        store: ClipStore,
        limits: Limits,
        *,
        free_bytes: Callable[[Path], int] | None = None,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._limits = limits
        self._free_bytes = free_bytes or _free_bytes
        self._mono_s = mono_s
        self._census = Census(store.directory)
        self._clock: TrustedClock | None = None

    def make_room(self, needed_bytes: int, now: Utc | None) -> Outcome:
        """Delete what must go so that all limits hold with `needed_bytes` more.

        Parameters
        ----------
        now : None, or not synchronised: no clip is too old.

        Where more is needed than all clips together may take, nothing is deleted in vain.
        Raises `StorageError` when the disk refuses.
        """
        if 0 < self._limits.max_total_mb * MB < needed_bytes:
            return Outcome(deleted=0, freed_bytes=0, enough=False)
        try:
            tallies = self._census.take()
            excess = self._excess(tallies, needed_bytes, now)
            deleted, freed_bytes = self._delete(tallies, excess)
        except OSError as error:
            raise StorageError(
                f"no room can be made in {self._store.directory}: {error.strerror}",
                "make the folder readable and writable for this user",
            ) from error
        more_may_go = deleted == MOST_AT_ONCE
        return Outcome(deleted, freed_bytes, more_may_go or freed_bytes >= excess.size_bytes)

    def _excess(self, tallies: list[Tally], needed_bytes: int, now: Utc | None) -> Excess:
        limits = self._limits
        over_bytes = 0
        if limits.max_total_mb:
            total_bytes = sum(tally.size_bytes for tally in tallies)
            over_bytes = total_bytes + needed_bytes - limits.max_total_mb * MB
        if limits.min_free_mb:
            free_bytes = self._free_bytes(self._store.directory)
            over_bytes = max(over_bytes, limits.min_free_mb * MB + needed_bytes - free_bytes)
        return Excess(max(over_bytes, 0), self._too_old(tallies, now))

    def _too_old(self, tallies: list[Tally], now: Utc | None) -> int:
        if self._clock is None:
            self._clock = TrustedClock()
            self._clock.begin(_newest_time(tallies), self._mono_s())
        trusted = self._clock.read(now, self._mono_s())
        if trusted is None or not self._limits.max_age_days:
            return 0
        return last_too_old(tallies, trusted, self._limits.max_age_days)

    def _delete(self, tallies: list[Tally], excess: Excess) -> tuple[int, int]:
        if not (excess.size_bytes or excess.too_old):
            return 0, 0
        counts: Counter[str] = Counter()
        for tally in tallies:
            counts.update(tally.labels)
        clips = _oldest_first(tallies, counts)
        deleted = freed_bytes = 0
        chosen = choose(clips, counts, excess, self._limits.min_per_label)
        for clip in islice(chosen, MOST_AT_ONCE):
            freed = self._store.delete(clip)
            deleted += freed > 0
            freed_bytes += freed
        return deleted, freed_bytes


def _oldest_first(tallies: Iterable[Tally], counts: Counter[str]) -> Iterator[Entry]:
    """Give the clips of all folders; of one in which all are kept only the counts go down."""
    for tally in tallies:
        if tally.kept == tally.clips:
            counts.subtract(tally.labels)
        else:
            yield from read_clips(tally.bucket)


def _newest_time(tallies: list[Tally]) -> datetime | None:
    """Return the time of the newest folder that has one."""
    for tally in reversed(tallies):
        with suppress(ValueError):
            return datetime.strptime(tally.newest_time[:-1], _TIME).replace(tzinfo=UTC)
    return None


def _free_bytes(directory: Path) -> int:
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize
