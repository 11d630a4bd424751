# SPDX-License-Identifier: MIT
"""The instrument's own thread: seconds become minutes, hours, days, and alarms.

==========  =======================================  ==========================
thread      calls                                    waits
==========  =======================================  ==========================
capture     `level`, `bands`, `miss`                 never
measure     `run`: adds up, compares, keeps, tells   for the disk
==========  =======================================  ==========================
"""

from __future__ import annotations

import logging
import queue
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge.measure.alarm import Alarm
from edge.measure.summary import Summary
from edge.types import Bands, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.dsp.bands import Band
    from edge.measure.alarm import AlarmRule
    from edge.types import Event

log = logging.getLogger(__name__)

MINUTE_S: Final = 60
BACKLOG: Final = 1200  # seconds and bands that wait for a stuck disk: ten minutes


class Measuring:
    """Adds up what was measured, in the order of the stream.

    A minute is 60 s on the grid of the sample index; it is told when the bands of its last
    second are there. A rule in dB is compared in dBFS: `offset_db` says the difference, and
    without a calibration such a rule rests.

    Parameters
    ----------
    rate_hz, stream_id : of the stream.
    grid : the bands' places; empty: no bands come.
    rules : the alarms, each with whether its limit is in dB (else in dBFS).
    offset_db : dBFS to dB SPL now; None: not calibrated.
    minute_of_day : the local time of a sample index; None: nobody knows.
    tell : takes an onset or offset.
    minute : takes a finished minute: where it began, and what was heard in it.
    hear : takes each second of levels and of bands before it is added up.
    paused : whether no alarm is to begin now, and those that go on are to end.
    """

    def __init__(
        self,
        *,
        rate_hz: int,
        stream_id: str,
        grid: Sequence[Band],
        rules: Sequence[tuple[AlarmRule, bool]],
        offset_db: Callable[[], float | None],
        minute_of_day: Callable[[int], int | None],
        tell: Callable[[Event], None],
        minute: Callable[[int, Summary], None],
        hear: Callable[[Level | Bands], None],
        paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._rate_hz = rate_hz
        self._stream_id = stream_id
        self._grid = grid
        self._rules = rules
        self._offset_db = offset_db
        self._minute_of_day = minute_of_day
        self._tell = tell
        self._minute = minute
        self._hear = hear
        self._paused = paused
        self._inbox: queue.SimpleQueue[Level | Bands | int | None] = queue.SimpleQueue()
        self._ended = False
        self._alarms: list[Alarm] = []
        self._compared_with: object = ...  # the offset that the alarms were made for
        self._minutes: dict[int, Summary] = {}
        self._heard_to = 0
        self.lost = 0
        """Seconds and bands that found no place to wait."""

    @property
    def alarms(self) -> tuple[str, ...]:
        """Names of the alarms that are on now."""
        return tuple(alarm.rule.name for alarm in self._alarms if alarm.is_open)

    def level(self, measured: Level) -> None:
        """Take one second."""
        self._offer(measured)

    def bands(self, measured: Bands) -> None:
        """Take the bands of one second."""
        self._offer(measured)

    def miss(self, end_index: int) -> None:
        """Note that nothing more will be heard of what lies before `end_index`."""
        self._offer(end_index)

    def stop(self) -> None:
        """Make `run` come to its end after everything that came before."""
        self._inbox.put(None)

    def run(self) -> None:
        """Work until `stop`, then end what goes on."""
        while not self._ended:
            self._take(self._inbox.get())
        self.finish()

    def work_off(self) -> None:
        """Do what is due in the caller's thread: a replay has no measure thread."""
        while not self._inbox.empty():
            self._take(self._inbox.get())

    def finish(self) -> None:
        """End the alarms; tell the minute at hand, however much of it there is."""
        for alarm in self._alarms:
            self._tell_all(alarm.close(self._heard_to))
        self._close_minutes(self._heard_to + MINUTE_S * self._rate_hz)

    def _offer(self, item: Level | Bands | int) -> None:
        if self._inbox.qsize() < BACKLOG:
            self._inbox.put(item)
        else:
            self.lost += 1

    def _take(self, item: Level | Bands | int | None) -> None:
        match item:
            case None:
                self._ended = True
            case int():
                self._pass_over(item)
            case _:
                self._add(item)

    def _pass_over(self, sample_index: int) -> None:
        for alarm in self._alarms:
            self._tell_all(alarm.skip(sample_index))
        self._close_minutes(sample_index)

    def _add(self, item: Level | Bands) -> None:
        self._hear(item)
        self._renew_alarms()
        summary = self._summary(item.sample_index)
        if isinstance(item, Level):
            summary.add(item, self._rate_hz)
            self._heard_to = item.end_index
        else:
            summary.add_bands(item, self._rate_hz)
        self._compare(item)
        # Bands come last.
        if isinstance(item, Bands) or not self._grid:
            self._close_minutes(item.end_index)

    def _compare(self, item: Level | Bands) -> None:
        if not self._alarms:
            return
        paused, minute_of_day = self._paused(), self._minute_of_day(item.sample_index)
        for alarm in self._alarms:
            if paused:
                self._tell_all(alarm.close(item.end_index))
            elif isinstance(item, Level):
                self._tell_all(alarm.level(item, minute_of_day))
            else:
                self._tell_all(alarm.bands(item, self._grid, minute_of_day))

    def _tell_all(self, events: list[Event]) -> None:
        for event in events:
            self._tell(event)

    def _renew_alarms(self) -> None:
        """Make those alarms anew whose limit in dB a calibration has moved."""
        offset_db = self._offset_db()
        if offset_db == self._compared_with:
            return
        self._compared_with = offset_db
        resting = [rule.name for rule, in_db in self._rules if in_db and offset_db is None]
        if resting:
            log.warning("alarms in dB rest until there is a calibration: %s", ", ".join(resting))
        going_on = {alarm.rule: alarm for alarm in self._alarms}
        rules = [
            self._in_dbfs(rule, in_db, offset_db)
            for rule, in_db in self._rules
            if rule.name not in resting
        ]
        self._alarms = [
            going_on.pop(rule) if rule in going_on else Alarm(rule, self._rate_hz, self._stream_id)
            for rule in rules
        ]
        for alarm in going_on.values():
            self._tell_all(alarm.close(self._heard_to))

    @staticmethod
    def _in_dbfs(rule: AlarmRule, in_db: bool, offset_db: float | None) -> AlarmRule:  # noqa: FBT001 - as in `rules`
        return replace(rule, limit_db=rule.limit_db - (offset_db or 0.0)) if in_db else rule

    def _summary(self, sample_index: int) -> Summary:
        minute = sample_index // (MINUTE_S * self._rate_hz)
        return self._minutes.setdefault(minute, Summary())

    def _close_minutes(self, heard_to: int) -> None:
        for minute in sorted(self._minutes):
            start = minute * MINUTE_S * self._rate_hz
            if start + MINUTE_S * self._rate_hz <= heard_to:
                summary = self._minutes.pop(minute)
                if summary.heard_s:
                    self._minute(start, summary)
