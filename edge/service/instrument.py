# SPDX-License-Identifier: MIT
"""Builds what measures from the settings, and makes messages of what it finds."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge.clock import format_utc, utc_now
from edge.decibels import named
from edge.dsp.bands import bands_of
from edge.errors import ConfigError
from edge.measure.alarm import AlarmRule
from edge.measure.calendar import Calendar, Minute
from edge.measure.daybook import FOLDER, Daybook
from edge.publish import payloads
from edge.service.calibrated import CalibrationDesk
from edge.service.measuring import MINUTE_S, Measuring
from edge.types import Utc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.clock import StreamClock
    from edge.config.schema import Alarm, Settings
    from edge.measure.calendar import Finished
    from edge.measure.summary import Summary
    from edge.publish.payloads import Topics
    from edge.service.calibrated import Calibrated
    from edge.types import Event, Message, StreamFormat

log = logging.getLogger(__name__)


def alarm_rules(settings: Settings, labels: Sequence[str]) -> tuple[tuple[AlarmRule, bool], ...]:
    """Return the alarms of the settings, each with whether its limit is in dB (else dBFS).

    Raises `ConfigError` for a name that is a label of the model.
    """
    for number, alarm in enumerate(settings.level.alarms):
        if alarm.name in labels:
            raise ConfigError(
                f"level.alarms.{number}.name = {alarm.name!r} is a label already",
                "choose another name",
            )
    return tuple((_rule(alarm), alarm.in_db) for alarm in settings.level.alarms)


class Instrument:
    """Levels over minutes, hours and days, alarms, calibration: one for each stream.

    Parameters
    ----------
    labels : of the model; an alarm must not have the name of one.
    clock : None: in a replay, where nobody knows the time; then only alarms are told.
    tell : takes an onset or offset.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        stream: StreamFormat,
        stream_id: str,
        labels: Sequence[str],
        topics: Topics,
        clock: StreamClock | None,
        calibrated: Calibrated,
        tell: Callable[[Event], None],
        send: Callable[[Message], None],
        paused: Callable[[], bool] = lambda: False,
        calibration_told: Callable[[], None] = lambda: None,
    ) -> None:
        rules = alarm_rules(settings, labels)
        self.alarms = tuple(rule.name for rule, _ in rules)
        self._rate_hz = stream.rate_hz
        self._stream_id = stream_id
        self._grid = bands_of(stream.rate_hz) if settings.level.bands else ()
        self._topics = topics
        self._clock = clock
        self._calibrated = calibrated
        self._send = send
        self._calibration_told = calibration_told
        self._calendar = Calendar()
        days = settings.level.days
        self._daybook = Daybook(settings.state.path / FOLDER, days) if days and clock else None
        self._daybook_trouble = ""
        self.desk = CalibrationDesk(
            calibrated,
            stream,
            bands=settings.level.bands,
            now=self._now,
            told=self._tell_calibration,
        )
        self.measuring = Measuring(
            rate_hz=stream.rate_hz,
            stream_id=stream_id,
            grid=self._grid,
            rules=rules,
            offset_db=calibrated.offset_db,
            minute_of_day=self._minute_of_day,
            tell=tell,
            minute=self._minute,
            hear=self.desk.hear,
            paused=paused,
        )

    def run(self) -> None:
        """Measure until it is stopped (measure thread)."""
        self.begin()
        self.measuring.run()

    def begin(self) -> None:
        """Take up the day where the last run left it."""
        if self._clock:
            now = datetime.fromtimestamp(self._clock.wall_s(0), UTC)
            self._keep(lambda book: self._calendar.restore(book.recent(now)))
        self._tell_calibration(self._calibrated.facts())

    def figures(self) -> dict[str, Any]:
        """Return what `health` says."""
        return {
            "alarms": list(self.measuring.alarms),
            "levels_kept": self._daybook_trouble or ("ok" if self._daybook else "off"),
            "levels_lost": self.measuring.lost,
        }

    def _now(self) -> Utc:
        if self._clock is None:
            return utc_now()
        return self._clock.utc_of_mono(time.monotonic())

    def _tell_calibration(self, facts: dict[str, Any]) -> None:
        self._send(payloads.calibration(self._topics, facts))
        self._calibration_told()

    def _minute_of_day(self, sample_index: int) -> int | None:
        if self._clock is None:
            return None
        local = datetime.fromtimestamp(self._clock.wall_s(sample_index), UTC).astimezone()
        return local.hour * 60 + local.minute

    def _minute(self, start: int, summary: Summary) -> None:
        """Tell a finished minute, keep it, and tell the hour and day that it finishes."""
        if self._clock is None:
            return
        begins, ends = (self._clock.utc(start + k * MINUTE_S * self._rate_hz) for k in (0, 1))
        at = datetime.fromtimestamp(self._clock.wall_s(start), UTC)
        minute = Minute(at, summary, begins.synchronised, self._calibrated.offset_db())
        self._tell("minute", f"{self._stream_id}-{start}", minute, (begins, ends), {})
        self._keep(lambda book: book.append(minute))
        for done in self._calendar.add(minute):
            self._tell_finished(done)

    def _tell_finished(self, done: Finished) -> None:
        """Tell an hour or a day; of a day its parts and Lden too."""
        start_s = done.start.timestamp()
        times = tuple(
            Utc(format_utc(at_s), done.clock_synchronised)
            for at_s in (start_s, start_s + done.length_s)
        )
        extra: dict[str, Any] = {"coverage": round(done.coverage, 4)}
        if done.kind == "day":
            levels = {f"laeq_{part}": done.parts[part].leq_dbfs() for part in done.parts}
            extra |= named(levels | {"lden": done.lden_dbfs()}, done.offset_db)
            extra["coverage_by_part"] = {
                part: round(done.part_coverage(part), 4) for part in done.parts
            }
        # With the run in it: what a day book has lost makes another run tell an hour once more.
        message_id = f"{self._stream_id}-{done.name}"
        self._tell(done.kind, message_id, done, (times[0], times[1]), extra)

    def _tell(
        self,
        span: str,
        message_id: str,
        what: Minute | Finished,
        times: tuple[Utc, Utc],
        extra: dict[str, Any],
    ) -> None:
        summary = what.summary
        heard = {
            "heard_s": round(summary.heard_s, 3),
            "lost_s": round(summary.lost_s, 3),
            "clipped_samples": summary.clipped_samples,
        }
        self._send(
            payloads.level_over(
                self._topics,
                span,
                f"{message_id}-{span}",
                figures_dbfs=summary.figures(),
                bands_dbfs=self._named(summary.bands_dbfs()),
                times=times,
                offset_db=what.offset_db,
                extra=heard | extra,
            )
        )

    def _keep(self, what: Callable[[Daybook], None]) -> None:
        """Do something with the day book; say once when its disk fails, and when it's back."""
        if self._daybook is None:
            return
        try:
            what(self._daybook)
        except OSError as error:
            if not self._daybook_trouble:
                log.warning(
                    "levels of minutes can't be kept: %s; they are told all the same", error
                )
            self._daybook_trouble = error.strerror or str(error)
            return
        if self._daybook_trouble:
            log.warning("levels of minutes are kept again")
        self._daybook_trouble = ""

    def _named(self, bands_dbfs: Sequence[float] | None) -> dict[str, float]:
        kinds = {1: "octave", 3: "third_octave"}
        return {
            f"{kinds[band.per_octave]}_{band.nominal_hz:g}": dbfs
            for band, dbfs in zip(self._grid, bands_dbfs or (), strict=False)
        }


def _rule(alarm: Alarm) -> AlarmRule:
    return AlarmRule(
        name=alarm.name,
        kind=alarm.kind,
        limit_db=alarm.limit_db,
        release_db=alarm.release_db,
        average_s=alarm.average_s,
        background_s=alarm.background_s,
        min_s=alarm.min_s,
        hold_s=alarm.hold_s,
        cooldown_s=alarm.cooldown_s,
        hours=_hours(alarm.hours),
    )


def _hours(text: str) -> tuple[int, int] | None:
    """Return "HH:MM-HH:MM" as minutes of the day; None: always."""
    if not text:
        return None
    start, stop = (int(time[:2]) * 60 + int(time[3:]) for time in text.split("-"))
    return start, stop
