# SPDX-License-Identifier: MIT
"""Minutes become hours and days, each told once, whatever the clock does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.measure.calendar import Calendar, Finished, Minute
from edge.measure.summary import Summary
from tests.seconds import a_level

if TYPE_CHECKING:
    from collections.abc import Iterable

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 6, 1, 12, tzinfo=BERLIN)


def a_minute(start: datetime, laeq_dbfs: float = -50.0, *, synchronised: bool = True) -> Minute:
    summary = Summary()
    summary.add_energy(
        a_level(n_samples=48000 * 60, end_index=48000 * 60, laeq_dbfs=laeq_dbfs), 48000
    )
    return Minute(start, summary, synchronised)


def minutes(start: datetime, n: int) -> list[Minute]:
    utc = start.astimezone(UTC)
    return [a_minute(utc + timedelta(minutes=k)) for k in range(n)]


def told(calendar: Calendar, heard: Iterable[Minute]) -> list[Finished]:
    return [one for minute in heard for one in calendar.add(minute)]


def test_an_hour_is_finished_by_the_first_minute_of_the_next() -> None:
    calendar = Calendar(BERLIN)
    assert told(calendar, minutes(NOON, 60)) == []
    (hour,) = calendar.add(a_minute(NOON + timedelta(hours=1)))
    assert (hour.kind, hour.start, hour.number) == ("hour", NOON, 1)
    assert hour.summary.heard_s == 3600.0
    assert hour.coverage == 1.0
    assert hour.summary.leq_dbfs() == pytest.approx(-50.0)
    assert hour.name == "hour-20260601T12+0200-1"


def test_a_day_has_its_parts_and_lden() -> None:
    """The same level all day long: 6.4 dB more."""
    calendar = Calendar(BERLIN)
    done = told(calendar, minutes(datetime(2026, 6, 1, tzinfo=BERLIN), 1441))
    assert [one.kind for one in done] == ["hour"] * 24 + ["day"]
    day = done[-1]
    assert day.start == datetime(2026, 6, 1, tzinfo=BERLIN)
    assert day.name == "day-20260601-1"
    assert day.coverage == 1.0
    assert {part: one.heard_s / 3600 for part, one in day.parts.items()} == {
        "night": 8.0,
        "day": 12.0,
        "evening": 4.0,
    }
    assert [day.part_coverage(part) for part in ("day", "evening", "night")] == [1.0, 1.0, 1.0]
    assert day.lden_dbfs() == pytest.approx(-43.6, abs=0.05)


def test_a_day_of_which_a_part_was_not_heard_has_no_lden() -> None:
    calendar = Calendar(BERLIN)
    calendar.restore(minutes(NOON, 60))
    _, day = calendar.so_far()
    assert day.lden_dbfs() is None
    assert day.part_coverage("day") == pytest.approx(1 / 12)
    assert day.part_coverage("night") == 0.0


@pytest.mark.parametrize(("date", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_a_day_on_which_the_clocks_change_has_its_length(
    date: tuple[int, int, int], hours: int
) -> None:
    calendar = Calendar(BERLIN)
    done = told(calendar, minutes(datetime(*date, tzinfo=BERLIN), 60 * hours + 1))
    assert [one.kind for one in done] == ["hour"] * hours + ["day"]
    assert len({one.name for one in done}) == hours + 1
    assert done[-1].length_s == 3600 * hours
    assert done[-1].coverage == 1.0
    assert done[-1].part_coverage("night") == 1.0
    assert done[-1].number == 1


def test_the_calendar_of_the_system_is_used_where_none_is_given() -> None:
    calendar = Calendar()
    start = datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    calendar.add(a_minute(start))
    hour, day = calendar.so_far()
    assert hour.start == start.astimezone().replace(minute=0)
    assert (day.start.hour, day.start.minute) == (0, 0)


def test_minutes_that_are_missing_are_missing_in_the_coverage() -> None:
    calendar = Calendar(BERLIN)
    calendar.restore(minutes(NOON, 15))
    (hour,) = calendar.add(a_minute(NOON + timedelta(hours=5)))
    assert hour.coverage == 0.25


def test_a_clock_that_was_not_right_is_told() -> None:
    calendar = Calendar(BERLIN)
    calendar.add(a_minute(NOON, synchronised=False))
    calendar.add(a_minute(NOON + timedelta(minutes=1)))
    assert not calendar.add(a_minute(NOON + timedelta(hours=1)))[0].clock_synchronised


def test_a_clock_that_steps_back_tells_the_hour_again_with_all_of_it() -> None:
    calendar = Calendar(BERLIN)
    told(calendar, minutes(NOON, 61))
    done = told(calendar, minutes(NOON + timedelta(minutes=30), 31))
    assert [(one.start, one.number) for one in done] == [
        (NOON + timedelta(hours=1), 1),
        (NOON, 2),
    ]
    assert done[-1].summary.heard_s == 90 * 60
    assert done[-1].coverage == 1.0


def test_a_new_gain_in_mid_hour_moves_what_was_heard_before() -> None:
    """6 dB more gain: the same sound is 6 dBFS louder and has an offset 6 dB smaller."""
    calendar = Calendar(BERLIN)
    calendar.add(replace(a_minute(NOON + timedelta(minutes=1), -50.0), offset_db=130.0))
    calendar.add(replace(a_minute(NOON + timedelta(minutes=2), -44.0), offset_db=124.0))
    for span in calendar.so_far():
        assert span.offset_db == 124.0
        assert span.summary.leq_dbfs() == pytest.approx(-44.0)


def test_what_was_restored_is_not_told_and_goes_on() -> None:
    whole, restarted = Calendar(BERLIN), Calendar(BERLIN)
    heard = minutes(datetime(2026, 6, 1, tzinfo=BERLIN), 3000)
    done = told(whole, heard)
    restarted.restore(heard[:1000])
    again = told(restarted, heard[1000:])
    known = [one for one in done if one.kind == "day" or one.start >= heard[960].start]
    assert [one.name for one in again] == [one.name for one in known]
    for one, other in zip(again, known, strict=True):
        assert one.summary.to_json() == other.summary.to_json()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-3000, 3000), st.integers(1, 90)), max_size=6), st.data())
def test_no_minute_is_lost_and_no_name_comes_twice_whatever_the_clock_does(
    steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The clock jumps by so many minutes, then runs for some; the box restarts in between."""
    heard: list[Minute] = []
    now = NOON
    for jump, run in steps:
        now += timedelta(minutes=jump)
        heard += minutes(now, run)
        now += timedelta(minutes=run)
    cut = data.draw(st.integers(0, len(heard)))
    calendar = Calendar(BERLIN)
    done = told(calendar, heard[:cut])
    restarted = Calendar(BERLIN)
    restarted.restore(heard[:cut])
    done += told(restarted, heard[cut:]) + restarted.so_far()
    names = [one.name for one in done]
    assert len(names) == len(set(names))
    # The newest number of an hour holds all of it, and here none was forgotten.
    hours = {one.start.astimezone(UTC): one for one in done if one.kind == "hour"}
    assert sum(one.summary.heard_s for one in hours.values()) == 60.0 * len(heard)
