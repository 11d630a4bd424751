# SPDX-License-Identifier: MIT
"""Levels that are too high become events: pure, on sample time and the local time of day.

============  ======================================================================
kind          what is compared with the limit
============  ======================================================================
level         LAeq over the last `average_s`
rise          LAeq of one second above the background: L90 of the last `background_s`
tonal         how far a third octave stands out of both its neighbours, over what makes
              a tone prominent: 15 dB up to 125 Hz, 8 dB up to 400 Hz, 5 dB above
============  ======================================================================

Source: ISO 1996-2:2017, Annex K (prominent tones by third octaves).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from edge.dsp.levels import decibels
from edge.types import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.dsp.bands import Band
    from edge.types import Bands, Edge, Level

Kind = Literal["level", "rise", "tonal"]

FULL_SCORE_DB: Final = 10.0
"""So far over its limit an event has a score of 1; at the limit it has 0.5."""

QUIETEST_TONE_DBFS: Final = -100.0
"""A band below this is a converter's own, whatever its neighbours are."""

_NEVER: Final = np.iinfo(np.int64).min

# Highest nominal frequency, and by how much a tone must stand out.
_PROMINENT: Final = ((125.0, 15.0), (400.0, 8.0), (math.inf, 5.0))


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """When a level is an event.

    limit_db : level: in dBFS (who knows the calibration subtracts its offset); rise: dB over
        the background; tonal: dB over what makes a tone prominent.
    release_db : it ends when it is so far under the limit.
    min_s : so long it must be over the limit before it is an event.
    hold_s : an event survives a pause of this length.
    cooldown_s : after an event the alarm rests; what goes on then begins a new one.
    hours : minutes of the local day, from and to, that it holds in; None: always. It may
        cross midnight.

    Raises `ValueError` for a negative time or hysteresis.
    """

    name: str
    kind: Kind
    limit_db: float
    release_db: float = 2.0
    average_s: int = 60
    background_s: int = 600
    min_s: int = 1
    hold_s: int = 5
    cooldown_s: int = 60
    hours: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        times = (
            self.average_s - 1,
            self.background_s - 1,
            self.min_s,
            self.hold_s,
            self.cooldown_s,
        )
        if min(*times, self.release_db) < 0:
            raise ValueError(f"times and hysteresis of an alarm must not be negative: {self}")

    def holds_at(self, minute_of_day: int | None) -> bool:
        """Whether it is on at a local time; None: the time is not known, and it is."""
        if self.hours is None or minute_of_day is None:
            return True
        start, stop = self.hours
        if start <= stop:
            return start <= minute_of_day < stop
        return minute_of_day >= start or minute_of_day < stop


class _Past:
    """The last seconds, as figures in rings: an hour of them costs 10 us a second, L90 60 us.

    Parameters
    ----------
    length_s : how far it reaches back, through gaps.
    """

    def __init__(self, length_s: int, rate_hz: int) -> None:
        self._length_s = length_s
        self._rate_hz = rate_hz
        self._end = np.full(length_s, _NEVER)  # sample index
        self._heard_s = np.zeros(length_s)
        self._energy = np.zeros(length_s)  # times seconds
        self._laeq_dbfs = np.zeros(length_s)
        self._place = 0

    def add(self, one: Level) -> None:
        """Add a second, the last one of the past from now on."""
        place, self._place = self._place, (self._place + 1) % self._length_s
        heard_s = one.n_samples / self._rate_hz
        self._end[place] = one.end_index
        self._heard_s[place] = heard_s
        self._energy[place] = heard_s * 10.0 ** (one.laeq_dbfs / 10.0)
        self._laeq_dbfs[place] = one.laeq_dbfs

    def forget(self, sample_index: int) -> None:
        """Drop the seconds that end more than the length before this sample."""
        gone = self._end <= sample_index - self._length_s * self._rate_hz
        self._end[gone] = _NEVER
        self._heard_s[gone] = self._energy[gone] = 0.0

    def heard_s(self) -> float:
        return float(self._heard_s.sum())

    def leq_dbfs(self) -> float:
        return decibels(float(self._energy.sum() / self._heard_s.sum()))

    def l90_dbfs(self) -> float:
        return float(np.percentile(self._laeq_dbfs[self._end != _NEVER], 10))


class Alarm:
    """Follows one rule, second by second.

    A second with a gap in it counts by what was heard; an average or background of which less
    than half was heard makes no alarm. An onset lies where the first second over the limit
    began (for an average: its last second), an offset where the last one ended.

    Keeps four numbers for each second of `average_s` or `background_s`.

    Parameters
    ----------
    rate_hz, stream_id : of the stream.
    """

    def __init__(self, rule: AlarmRule, rate_hz: int, stream_id: str) -> None:
        self.rule = rule
        self._rate_hz = rate_hz
        self._stream_id = stream_id
        self._past = _Past(rule.average_s if rule.kind == "level" else rule.background_s, rate_hz)
        self._over_s = 0
        self._start = self._last_over = self._ready = 0
        self._most_over_db = 0.0
        self._open = False

    @property
    def is_open(self) -> bool:
        """Whether its event goes on."""
        return self._open

    def level(self, measured: Level, minute_of_day: int | None) -> list[Event]:
        """Take one second; return the onset or offset that it makes, if any."""
        if self.rule.kind == "tonal":
            return []
        if self.rule.kind == "level":
            self._past.forget(measured.end_index)
            self._past.add(measured)
            over_db = self._average_over_db()
        else:
            self._past.forget(measured.sample_index)
            over_db = self._rise_over_db(measured)
            self._past.add(measured)
        return self._follow(measured.sample_index, measured.end_index, over_db, minute_of_day)

    def bands(
        self, measured: Bands, grid: Sequence[Band], minute_of_day: int | None
    ) -> list[Event]:
        """Take the bands of one second; return the onset or offset that they make, if any."""
        if self.rule.kind != "tonal":
            return []
        over_db = None if measured.gap else prominence_db(measured, grid) - self.rule.limit_db
        return self._follow(measured.sample_index, measured.end_index, over_db, minute_of_day)

    def skip(self, sample_index: int) -> list[Event]:
        """Return the offset of what was unheard for longer than its hold by `sample_index`."""
        unheard = sample_index - self._last_over
        return [self._end()] if self._open and unheard > self.rule.hold_s * self._rate_hz else []

    def close(self, sample_index: int) -> list[Event]:
        """Return the offset of what goes on when the stream ends."""
        if not self._open:
            return []
        self._last_over = min(self._last_over, max(sample_index, self._start + 1))
        return [self._end()]

    def _average_over_db(self) -> float | None:
        heard_s = self._past.heard_s()
        if heard_s == 0.0 or heard_s < self.rule.average_s / 2:
            return None
        return self._past.leq_dbfs() - self.rule.limit_db

    def _rise_over_db(self, measured: Level) -> float | None:
        """Return how far one second is over background and limit."""
        if self._past.heard_s() < self.rule.background_s / 2:
            return None
        return measured.laeq_dbfs - self._past.l90_dbfs() - self.rule.limit_db

    def _follow(
        self, start: int, end: int, over_db: float | None, minute_of_day: int | None
    ) -> list[Event]:
        limit_db = -self.rule.release_db if self._open else 0.0
        rests = not self._open and start < self._ready
        if (
            over_db is not None
            and over_db >= limit_db
            and not rests
            and self.rule.holds_at(minute_of_day)
        ):
            return self._go_on(start, end, over_db)
        self._over_s = 0
        if self._open and end - self._last_over > self.rule.hold_s * self._rate_hz:
            return [self._end()]
        return []

    def _go_on(self, start: int, end: int, over_db: float) -> list[Event]:
        if self._over_s == 0 and not self._open:
            self._start, self._most_over_db = start, over_db
        self._over_s += 1
        self._last_over = end
        self._most_over_db = max(self._most_over_db, over_db)
        if self._open or self._over_s < self.rule.min_s:
            return []
        self._open = True
        return [self._event("onset", None)]

    def _end(self) -> Event:
        self._open, self._over_s = False, 0
        self._ready = self._last_over + self.rule.cooldown_s * self._rate_hz
        return self._event("offset", self._last_over)

    def _event(self, edge: Edge, offset_index: int | None) -> Event:
        share = self._most_over_db / FULL_SCORE_DB
        return Event(
            edge=edge,
            event_id=f"{self._stream_id}-{self._start}-{self.rule.name}",
            label=self.rule.name,
            score=min(max(0.5 + 0.5 * share, 0.0), 1.0),
            onset_index=self._start,
            offset_index=offset_index,
        )


def prominence_db(measured: Bands, grid: Sequence[Band]) -> float:
    """Return how far the most prominent third octave is over what makes a tone, in dB.

    Below 0 there is no tone. Bands under `QUIETEST_TONE_DBFS` are none.
    """
    thirds = [place for place, band in enumerate(grid) if band.per_octave == 3]
    most = -math.inf
    for before, place, after in zip(thirds, thirds[1:], thirds[2:], strict=False):
        level = measured.levels_dbfs[place]
        if level >= QUIETEST_TONE_DBFS:
            neighbour = max(measured.levels_dbfs[before], measured.levels_dbfs[after])
            needed = next(db for top, db in _PROMINENT if grid[place].nominal_hz <= top)
            most = max(most, float(level - neighbour) - needed)
    return most
