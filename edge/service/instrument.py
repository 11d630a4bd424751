# SPDX-License-Identifier: MIT
"""Builds what measures from the settings, and makes messages of what it finds."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

from edge.dsp.bands import bands_of
from edge.errors import ConfigError
from edge.measure.alarm import AlarmRule
from edge.publish import payloads
from edge.service.measuring import MINUTE_S, Measuring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.clock import StreamClock
    from edge.config.schema import Alarm, Settings
    from edge.measure.summary import Summary
    from edge.publish.payloads import Topics
    from edge.types import Event, Message, StreamFormat

_NAME: Final = re.compile(r"[a-z0-9_]{1,40}")
_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_EXAMPLE: Final = 'write "22:00-06:00", or "" for always'


def alarm_rules(settings: Settings, labels: Sequence[str]) -> tuple[tuple[AlarmRule, bool], ...]:
    """Return the alarms of the settings, each with whether its limit is in dB (else dBFS).

    Raises `ConfigError` for a name that is none, or is a label of the model or of another
    alarm, and for hours that are none.
    """
    names = [alarm.name for alarm in settings.level.alarms]
    for number, alarm in enumerate(settings.level.alarms):
        key = f"level.alarms.{number}"
        if not _NAME.fullmatch(alarm.name):
            raise ConfigError(f"{key}.name = {alarm.name!r}", "write 1 to 40 of a-z 0-9 _")
        if alarm.name in labels or names.count(alarm.name) > 1:
            raise ConfigError(
                f"{key}.name = {alarm.name!r} is a label already", "choose another name"
            )
        if alarm.kind == "tonal" and not settings.level.bands:
            raise ConfigError(f"{key}: a tonal alarm needs the bands", "set level.bands = true")
    return tuple(
        (_rule(number, alarm), alarm.kind == "level" and alarm.unit == "db")
        for number, alarm in enumerate(settings.level.alarms)
    )


class Instrument:
    """Levels over minutes, alarms, and what they are called: one for each stream.

    Parameters
    ----------
    labels : of the model; an alarm must not have the name of one.
    clock : None: in a replay, where nobody knows the time of day.
    offset_db : dBFS to dB SPL now; None: not calibrated.
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
        offset_db: Callable[[], float | None],
        tell: Callable[[Event], None],
        send: Callable[[Message], None],
    ) -> None:
        rules = alarm_rules(settings, labels)
        self.alarms = tuple(rule.name for rule, _ in rules)
        self._rate_hz = stream.rate_hz
        self._stream_id = stream_id
        self._grid = bands_of(stream.rate_hz) if settings.level.bands else ()
        self._topics = topics
        self._clock = clock
        self._offset_db = offset_db
        self._send = send
        self.measuring = Measuring(
            rate_hz=stream.rate_hz,
            stream_id=stream_id,
            grid=self._grid,
            rules=rules,
            offset_db=offset_db,
            minute_of_day=self._minute_of_day,
            tell=tell,
            minute=self._minute,
        )

    def _minute_of_day(self, sample_index: int) -> int | None:
        if self._clock is None:
            return None
        local = datetime.fromtimestamp(self._clock.wall_s(sample_index)).astimezone()
        return local.hour * 60 + local.minute

    def _minute(self, start: int, summary: Summary) -> None:
        """Tell a finished minute (measure thread)."""
        if self._clock is None:
            return
        end = start + MINUTE_S * self._rate_hz
        self._send(
            payloads.level_over(
                self._topics,
                "minute",
                f"{self._stream_id}-{start}-minute",
                figures_dbfs=summary.figures(),
                bands_dbfs=self._named(summary.bands_dbfs()),
                times=(self._clock.utc(start), self._clock.utc(end)),
                offset_db=self._offset_db(),
                extra={
                    "heard_s": round(summary.heard_s, 3),
                    "lost_s": round(summary.lost_s, 3),
                    "clipped_samples": summary.clipped_samples,
                },
            )
        )

    def _named(self, bands_dbfs: Sequence[float] | None) -> dict[str, float]:
        kinds = {1: "octave", 3: "third_octave"}
        return {
            f"{kinds[band.per_octave]}_{band.nominal_hz:g}": dbfs
            for band, dbfs in zip(self._grid, bands_dbfs or (), strict=False)
        }


def _rule(number: int, alarm: Alarm) -> AlarmRule:
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
        hours=_hours(f"level.alarms.{number}.hours", alarm.hours),
    )


def _hours(key: str, text: str) -> tuple[int, int] | None:
    if not text:
        return None
    if not (found := _HOURS.fullmatch(text)):
        raise ConfigError(f"{key} = {text!r}", _EXAMPLE)
    from_h, from_min, to_h, to_min = map(int, found.groups())
    return from_h * 60 + from_min, to_h * 60 + to_min
