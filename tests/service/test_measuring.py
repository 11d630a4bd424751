# SPDX-License-Identifier: MIT
"""Seconds become minutes and alarms, in the order of the stream."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.dsp.bands import bands_of
from edge.measure.alarm import AlarmRule
from edge.service.measuring import BACKLOG, Measuring
from edge.types import Bands, Event
from tests.seconds import a_level

if TYPE_CHECKING:
    from edge.measure.summary import Summary

RATE_HZ = 8000
GRID = bands_of(RATE_HZ)
LOUD = AlarmRule("loud", "level", 60.0, average_s=1, hold_s=0, cooldown_s=0)


class Desk:
    """A measuring desk and everything that it tells."""

    def __init__(
        self, rules: tuple[tuple[AlarmRule, bool], ...] = (), *, bands: bool = True
    ) -> None:
        self.offset_db: float | None = None
        self.paused = False
        self.minutes: list[tuple[int, Summary]] = []
        self.events: list[Event] = []
        self.measuring = Measuring(
            rate_hz=RATE_HZ,
            stream_id="s",
            grid=GRID if bands else (),
            rules=rules,
            offset_db=lambda: self.offset_db,
            minute_of_day=lambda _: 0,
            tell=self.events.append,
            minute=lambda start, summary: self.minutes.append((start, summary)),
            hear=lambda _: None,
            paused=lambda: self.paused,
        )

    def hear(self, seconds: range, laeq_dbfs: float = -50.0, *, bands: bool = True) -> None:
        for second in seconds:
            level = a_level(second, RATE_HZ, laeq_dbfs=laeq_dbfs)
            self.measuring.level(level)
            if bands:
                measured = np.full(len(GRID), laeq_dbfs)
                self.measuring.bands(
                    Bands(level.sample_index, level.end_index, RATE_HZ, measured, gap=False)
                )
        self.measuring.work_off()


def test_a_minute_is_sixty_seconds_of_the_stream_and_is_told_once() -> None:
    desk = Desk()
    desk.hear(range(150))
    assert [start // RATE_HZ for start, _ in desk.minutes] == [0, 60]
    assert {summary.heard_s for _, summary in desk.minutes} == {60.0}
    assert desk.minutes[0][1].figures()["laeq"] == pytest.approx(-50.0)
    assert len(desk.minutes[0][1].bands_dbfs() or ()) == len(GRID)


def test_a_minute_waits_for_the_bands_of_its_last_second() -> None:
    desk = Desk()
    desk.hear(range(60), bands=False)
    desk.hear(range(60, 61), bands=False)
    assert desk.minutes == []
    measured = np.full(len(GRID), -50.0)
    desk.measuring.bands(Bands(59 * RATE_HZ, 60 * RATE_HZ, RATE_HZ, measured, gap=False))
    desk.measuring.work_off()
    assert len(desk.minutes) == 1


def test_without_bands_nothing_waits_for_them() -> None:
    desk = Desk(bands=False)
    desk.hear(range(61), bands=False)
    assert len(desk.minutes) == 1


def test_the_minute_at_hand_is_told_at_the_end() -> None:
    desk = Desk()
    desk.hear(range(70))
    desk.measuring.finish()
    assert [summary.heard_s for _, summary in desk.minutes] == [60.0, 10.0]


def test_a_minute_that_was_lost_is_none() -> None:
    desk = Desk()
    desk.hear(range(60))
    desk.hear(range(200, 300))
    assert [start // RATE_HZ for start, _ in desk.minutes] == [0, 180, 240]


def test_a_limit_in_db_rests_until_there_is_a_calibration() -> None:
    desk = Desk(((LOUD, True),))
    desk.hear(range(3), -10.0)
    assert desk.events == []
    desk.offset_db = 120.0
    desk.hear(range(3, 5), -59.0)
    assert [(one.edge, one.label) for one in desk.events] == [("onset", "loud")]
    assert desk.measuring.alarms == ("loud",)


def test_a_new_calibration_ends_what_the_old_one_began() -> None:
    desk = Desk(((LOUD, True),))
    desk.offset_db = 120.0
    desk.hear(range(3), -55.0)
    desk.offset_db = 100.0
    desk.hear(range(3, 6), -55.0)
    assert [one.edge for one in desk.events] == ["onset", "offset"]
    assert desk.measuring.alarms == ()


def test_a_new_calibration_leaves_alone_what_does_not_depend_on_it() -> None:
    """Its event goes on, and a background of minutes is not learned again."""
    desk = Desk(
        (
            (AlarmRule("loud", "level", -40.0, average_s=1), False),
            (AlarmRule("rise", "rise", 10.0, background_s=60), False),
        )
    )
    desk.hear(range(40), -50.0)
    desk.hear(range(40, 42), -30.0)
    assert [one.label for one in desk.events] == ["loud", "rise"]
    desk.offset_db = 120.0
    desk.hear(range(42, 44), -30.0)
    assert [one.edge for one in desk.events] == ["onset", "onset"]
    assert desk.measuring.alarms == ("loud", "rise")


def test_a_limit_in_dbfs_needs_no_calibration() -> None:
    desk = Desk(((AlarmRule("loud", "level", -40.0, average_s=1), False),))
    desk.hear(range(3), -30.0)
    desk.measuring.finish()
    assert [one.edge for one in desk.events] == ["onset", "offset"]
    assert desk.events[-1].offset_index == 3 * RATE_HZ


def test_a_stuck_disk_makes_nobody_wait_and_what_is_lost_is_counted() -> None:
    desk = Desk()
    for second in range(BACKLOG + 5):
        desk.measuring.level(a_level(second, RATE_HZ))
    assert desk.measuring.lost == 5


def test_its_thread_ends_with_everything_told() -> None:
    desk = Desk(((AlarmRule("loud", "level", -40.0, average_s=1), False),))
    thread = threading.Thread(target=desk.measuring.run)
    thread.start()
    for second in range(70):
        desk.measuring.level(a_level(second, RATE_HZ, laeq_dbfs=-30.0))
    desk.measuring.stop()
    thread.join(60.0)
    assert not thread.is_alive()
    assert [one.edge for one in desk.events] == ["onset", "offset"]
    assert [summary.heard_s for _, summary in desk.minutes] == [60.0, 10.0]


def test_a_pause_ends_an_alarm_at_once_and_begins_none_and_minutes_go_on() -> None:
    long = AlarmRule("loud", "level", -60.0, average_s=1, hold_s=3600, cooldown_s=0)
    desk = Desk(((long, False),))
    desk.hear(range(3))
    assert [event.edge for event in desk.events] == ["onset"]
    desk.paused = True
    desk.hear(range(3, 130))
    assert [event.edge for event in desk.events] == ["onset", "offset"]
    assert [start for start, _ in desk.minutes] == [0, 60 * RATE_HZ]
    desk.paused = False
    desk.hear(range(130, 133))
    assert [event.edge for event in desk.events] == ["onset", "offset", "onset"]
