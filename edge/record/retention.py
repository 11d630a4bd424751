# SPDX-License-Identifier: MIT
"""Which clips go: oldest first, and never more than the limits ask for."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from edge.errors import StorageError
from edge.record.census import Census
from edge.record.folder import list_files, read_clips
from edge.trust import LEAP, TrustedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from edge.record.census import Tally
    from edge.record.store import ClipStore, Entry
    from edge.types import Utc

log = logging.getLogger(__name__)

MB: Final = 1_000_000
MOST_AT_ONCE: Final = 200
"""So many clips go in one call, so that the next clip does not wait for minutes after
somebody has lowered a limit; the rest goes in the next calls."""

MOST_STUCK: Final = 1000
"""Where so many can't be deleted it is not they: the disk can only be read, for one."""

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


@dataclass(slots=True)
class Excess:
    """By how much the limits are broken: bytes too many, and the last number that is too old."""

    size_bytes: int = 0
    too_old: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done; `enough` is False where the limits are broken and nothing more may go.

    `why` says then what is the matter; `stuck` clips could not be deleted.
    """

    deleted: int
    freed_bytes: int
    enough: bool
    why: str = ""
    stuck: int = 0


def choose(
    clips: Iterable[Entry], counts: Counter[str], excess: Excess, min_per_label: int
) -> Iterator[Entry]:
    """Give the clips that must go; stop when there is no excess any more.

    Parameters
    ----------
    clips : oldest first; taken one by one.
    counts : how many clips of each label there are from the first of `clips` on; counted down.
    excess : the caller takes from it what each clip has freed before the next one is asked for.
    """
    for clip in clips:
        if excess.size_bytes <= 0 and clip.number > excess.too_old:
            return
        counts[clip.label] -= 1  # now: of how many newer ones it has
        if clip.kept or counts[clip.label] < min_per_label:
            continue
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
    most_stuck : so many clips that can't be deleted are tried at a time.
    """

    def __init__(
        self,
        store: ClipStore,
        limits: Limits,
        *,
        free_bytes: Callable[[Path], int] | None = None,
        mono_s: Callable[[], float] = time.monotonic,
        most_stuck: int = MOST_STUCK,
    ) -> None:
        self._store = store
        self._limits = limits
        self._most_stuck = most_stuck
        self._free_bytes = free_bytes or _free_bytes
        self._mono_s = mono_s
        self._census = Census(store.directory)
        self._clock: TrustedClock | None = None
        self._stuck: set[str] = set()

    def make_room(self, needed_bytes: int, now: Utc | None) -> Outcome:
        """Delete what must go so that all limits hold with `needed_bytes` more.

        Parameters
        ----------
        now : None, or not synchronised: no clip is too old.

        Nothing is deleted in vain: not for a clip that is larger than all together may be, nor
        where others fill the disk so that all clips would not be enough. A clip that can't be
        deleted is passed over. Raises `StorageError` when the disk refuses.
        """
        limits = self._limits
        if 0 < limits.max_total_mb * MB < needed_bytes:
            size = f"retention.max_total_mb = {limits.max_total_mb}"
            why = f"{size} is less than the {needed_bytes / MB:.1f} MB of one clip"
            return Outcome(deleted=0, freed_bytes=0, enough=False, why=why)
        try:
            tallies = self._census.take()
            self._sweep(tallies)
            return self._keep_limits(tallies, needed_bytes, now)
        except OSError as error:
            raise StorageError(
                f"no room can be made in {self._store.directory}: {error.strerror}",
                "make the folder readable and writable for this user",
            ) from error

    def _keep_limits(self, tallies: list[Tally], needed_bytes: int, now: Utc | None) -> Outcome:
        over_bytes = self._over_total(tallies, needed_bytes)
        short_bytes = self._short_of_free(needed_bytes)
        in_vain = short_bytes > over_bytes and not self._may_free(tallies, short_bytes)
        size_bytes = over_bytes if in_vain else max(over_bytes, short_bytes)
        outcome = self._delete(tallies, Excess(size_bytes, self._too_old(tallies, now)))
        if not in_vain:
            return outcome
        size = f"retention.min_free_mb = {self._limits.min_free_mb}"
        why = f"other files fill the disk: deleting all clips that may go is not enough for {size}"
        return replace(outcome, enough=False, why=why)

    def _over_total(self, tallies: list[Tally], needed_bytes: int) -> int:
        if not self._limits.max_total_mb:
            return 0
        total_bytes = sum(tally.size_bytes for tally in tallies)
        return max(total_bytes + needed_bytes - self._limits.max_total_mb * MB, 0)

    def _short_of_free(self, needed_bytes: int) -> int:
        if not self._limits.min_free_mb:
            return 0
        free_bytes = self._free_bytes(self._store.directory)
        return max(self._limits.min_free_mb * MB + needed_bytes - free_bytes, 0)

    def _may_free(self, tallies: list[Tally], size_bytes: int) -> bool:
        """Return whether clips that may go have so many bytes; reads no more than needed."""
        if sum(tally.size_bytes for tally in tallies) < size_bytes:
            return False
        excess = Excess(size_bytes)
        for clip in self._choose(tallies, excess):
            excess.size_bytes -= clip.size_bytes
        return excess.size_bytes <= 0

    def _too_old(self, tallies: list[Tally], now: Utc | None) -> int:
        if self._clock is None:
            self._clock = TrustedClock()
            self._clock.begin(_newest_time(tallies), self._mono_s())
        trusted = self._clock.read(now, self._mono_s())
        if trusted is None or not self._limits.max_age_days:
            return 0
        return last_too_old(tallies, trusted, self._limits.max_age_days)

    def _choose(self, tallies: list[Tally], excess: Excess) -> Iterator[Entry]:
        if not (excess.size_bytes or excess.too_old):
            return iter(())
        counts: Counter[str] = Counter()
        for tally in tallies:
            counts.update(tally.labels)
        clips = _oldest_first(tallies, counts)
        return choose(clips, counts, excess, self._limits.min_per_label)

    def _delete(self, tallies: list[Tally], excess: Excess) -> Outcome:
        deleted = freed_bytes = 0
        stuck: dict[str, StorageError] = {}
        for clip in self._choose(tallies, excess):
            try:
                freed = self._store.delete(clip)
            except StorageError as error:
                stuck[clip.stem] = error
                freed = 0
            excess.size_bytes -= freed
            deleted += freed > 0
            freed_bytes += freed
            if deleted == MOST_AT_ONCE or len(stuck) == self._most_stuck:
                break
        self._tell(stuck)
        enough = excess.size_bytes <= 0 or deleted == MOST_AT_ONCE
        if stuck and not deleted and not enough:
            raise next(iter(stuck.values()))
        why = "" if enough else "no clip is left that may be deleted"
        return Outcome(deleted, freed_bytes, enough, why, len(stuck))

    def _tell(self, stuck: Mapping[str, StorageError]) -> None:
        """Log what could not be deleted, once."""
        new = stuck.keys() - self._stuck
        if new:
            stem = min(new)
            log.warning("%d clips can't be deleted, %s: %s", len(new), stem, stuck[stem].__cause__)
        self._stuck = set(stuck)

    def _sweep(self, tallies: list[Tally]) -> None:
        """Delete what was made of clips that are gone."""
        for tally in tallies:
            for orphan in tally.orphans:
                self._store.sweep(tally.bucket, orphan)


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
