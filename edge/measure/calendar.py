# SPDX-License-Identifier: MIT
"""Minutes become hours and days of the local calendar. Pure.

A day on which the clocks change has 23 or 25 hours, and an hour that comes twice is two. A
minute belongs to the hour and day in which it began.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from edge.measure.summary import Summary, lden_dbfs, part_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

Kind = Literal["hour", "day"]
PARTS: Final = ("day", "evening", "night")

KEPT_HOURS: Final = 26
KEPT_DAYS: Final = 2
"""So many of each stay open for a clock that steps back."""


@dataclass(frozen=True, slots=True)
class Minute:
    """What was heard in a minute that began at `start` (aware), and whether the clock was right.

    `offset_db` made its dBFS dB SPL; None: it was not calibrated.
    """

    start: datetime
    summary: Summary
    clock_synchronised: bool
    offset_db: float | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """An hour or day and what was heard in it.

    start : aware, local.
    number : 1; a higher one stands for those told before: the clock had stepped back, and
        more was heard of the same hour or day.
    length_s : 82,800 to 90,000 for a day.
    parts : of a day: "day", "evening", "night", those that were heard.
    clock_synchronised : in every minute of it.
    offset_db : makes its dBFS dB SPL, that of its newest minute; those of another offset were
        moved by the difference. None: not every minute was calibrated.
    """

    kind: Kind
    start: datetime
    number: int
    length_s: float
    summary: Summary
    parts: dict[str, Summary]
    clock_synchronised: bool
    offset_db: float | None = None

    @property
    def name(self) -> str:
        """A name that nothing else has, as hour-20261125T10+0100-1, for ids."""
        start = f"{self.start:%Y%m%dT%H%z}" if self.kind == "hour" else f"{self.start:%Y%m%d}"
        return f"{self.kind}-{start}-{self.number}"

    @property
    def coverage(self) -> float:
        """How much of it was heard, 0..1."""
        return min(self.summary.heard_s / self.length_s, 1.0)

    def lden_dbfs(self) -> float | None:
        """Return the day-evening-night level; None unless each part was heard."""
        return lden_dbfs(self.parts)

    def part_coverage(self, part: str) -> float:
        """Return how much of "day", "evening" or "night" was heard, 0..1."""
        hours = {"day": 12.0, "evening": 4.0, "night": self.length_s / 3600.0 - 16.0}
        heard_s = self.parts[part].heard_s if part in self.parts else 0.0
        return min(heard_s / (3600.0 * hours[part]), 1.0)


@dataclass(slots=True)
class _Span:
    """An hour or day at hand, or told and kept."""

    parts: dict[str, Summary] = field(default_factory=dict)
    clock_synchronised: bool = True
    number: int = 1
    offset_db: float | None = None
    calibrated: bool = True  # every minute: another may have come from another microphone

    def add(self, minute: Minute, part: str) -> None:
        self.calibrated &= minute.offset_db is not None
        if minute.offset_db is not None and minute.offset_db != self.offset_db:
            if self.offset_db is not None:
                # Another gain or microphone: what was heard keeps its sound pressure level.
                moved_db = self.offset_db - minute.offset_db
                self.parts = {name: one.moved(moved_db) for name, one in self.parts.items()}
            self.offset_db = minute.offset_db
        self.parts.setdefault(part, Summary()).merge(minute.summary)
        self.clock_synchronised &= minute.clock_synchronised


class Calendar:
    """Adds minutes up; an hour or day is finished when a minute of another one comes.

    A clock that steps back leads into an hour that was told: its minutes are added to it and
    it is told again, under the next number. Of one that is too long ago to be kept, only what
    is new is told, under a number that was never used.

    Keeps the summaries of `KEPT_HOURS` and `KEPT_DAYS`.

    Parameters
    ----------
    zone : of the calendar; None: that of the system.
    """

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._hours: OrderedDict[datetime, _Span] = OrderedDict()
        self._days: OrderedDict[datetime, _Span] = OrderedDict()
        self._at_hand: dict[Kind, datetime] = {}
        self._horizon: dict[Kind, datetime] = {}  # the newest that was forgotten
        self._highest = 1

    def restore(self, minutes: Iterable[Minute]) -> None:
        """Take minutes of an earlier run, as they were written; what they finish was told then.

        What lies before the first of them counts as told, too.
        """
        for minute in minutes:
            hour, day = self._hour_and_day(minute)
            self._horizon.setdefault("hour", _utc(hour) - timedelta(seconds=1))
            self._horizon.setdefault("day", _utc(day) - timedelta(seconds=1))
            self.add(minute)

    def add(self, minute: Minute) -> list[Finished]:
        """Take a minute; return the hour and the day that it finishes, seldom any."""
        hour, day = self._hour_and_day(minute)
        done = self._move("hour", self._hours, hour, KEPT_HOURS)
        done += self._move("day", self._days, day, KEPT_DAYS)
        self._hours[_utc(hour)].add(minute, "hour")
        self._days[_utc(day)].add(minute, part_of_day(hour.hour))
        return done

    def so_far(self) -> list[Finished]:
        """Return the hour and the day at hand; they go on."""
        spans: tuple[tuple[Kind, OrderedDict[datetime, _Span]], ...] = (
            ("hour", self._hours),
            ("day", self._days),
        )
        return [
            self._finished(kind, spans[at], at)
            for kind, spans in spans
            if (at := self._at_hand.get(kind))
        ]

    def _move(
        self, kind: Kind, spans: OrderedDict[datetime, _Span], local: datetime, most: int
    ) -> list[Finished]:
        """Go to a span, which is made; return the one at hand before it."""
        at, before = _utc(local), self._at_hand.get(kind)
        if at == before:
            return []
        self._at_hand[kind] = at
        done = [self._finished(kind, spans[before], before)] if before else []
        if at in spans:
            spans[at].number += 1
            spans.move_to_end(at)
        else:
            spans[at] = _Span(number=self._first_number(kind, at))
        self._highest = max(self._highest, spans[at].number)
        while len(spans) > most:
            forgotten, _ = spans.popitem(last=False)
            self._horizon[kind] = max(forgotten, self._horizon.get(kind, forgotten))
        return done

    def _first_number(self, kind: Kind, at: datetime) -> int:
        """Return 1 for what can't have been told before, else a number that was never used."""
        horizon = self._horizon.get(kind)
        return 1 if horizon is None or at > horizon else self._highest + 1

    def _finished(self, kind: Kind, span: _Span, at: datetime) -> Finished:
        whole = Summary()
        for summary in span.parts.values():
            whole.merge(summary)
        start = at.astimezone(self._zone)
        length = timedelta(hours=1) if kind == "hour" else self._next_midnight(start) - at
        parts = {part: one.moved(0.0) for part, one in span.parts.items()} if kind == "day" else {}
        return Finished(
            kind=kind,
            start=start,
            number=span.number,
            length_s=length.total_seconds(),
            summary=whole,
            parts=parts,
            clock_synchronised=span.clock_synchronised,
            offset_db=span.offset_db if span.calibrated else None,
        )

    def _hour_and_day(self, minute: Minute) -> tuple[datetime, datetime]:
        """Return when the local hour and day of a minute begin."""
        start = minute.start.astimezone(self._zone)
        return start.replace(minute=0, second=0, microsecond=0), self._midnight(start)

    def _midnight(self, local: datetime) -> datetime:
        """Return the beginning of a local day: what time of UTC it is depends on that day."""
        naive = datetime(local.year, local.month, local.day)  # noqa: DTZ001 - made local below
        return naive.replace(tzinfo=self._zone) if self._zone else naive.astimezone()

    def _next_midnight(self, local: datetime) -> datetime:
        return _utc(self._midnight(local + timedelta(hours=36 - local.hour)))


def _utc(moment: datetime) -> datetime:
    """Return the key of a moment: two local times of a change of clocks must not be one."""
    return moment.astimezone(UTC)
