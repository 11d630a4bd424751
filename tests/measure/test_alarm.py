# SPDX-License-Identifier: MIT
"""An alarm begins and ends where the levels say, once."""

from __future__ import annotations

import numpy as np
import pytest

from edge.dsp.bands import bands_of
from edge.measure.alarm import Alarm, AlarmRule, prominence_db
from edge.types import Bands, Event
from tests.seconds import a_level

RATE_HZ = 1000
GRID = bands_of(48000)
NIGHT = (22 * 60, 6 * 60)


def follow(rule: AlarmRule, laeq: list[float | None], minute: int | None = 0) -> list[Event]:
    """Feed seconds; None is one that was lost."""
    alarm = Alarm(rule, RATE_HZ, "s")
    events = []
    for second, dbfs in enumerate(laeq):
        if dbfs is not None:
            level = a_level(second, RATE_HZ, laeq_dbfs=dbfs)
            events += alarm.level(level, minute)
    return events + alarm.close(len(laeq) * RATE_HZ)


def spans(events: list[Event]) -> list[tuple[float, float]]:
    return [
        (one.onset_index / RATE_HZ, (one.offset_index or 0) / RATE_HZ)
        for one in events
        if one.edge == "offset"
    ]


def one_second(name: str = "loud", limit_db: float = -40.0, **more: object) -> AlarmRule:
    return AlarmRule(
        name, "level", limit_db, **({"average_s": 1, "hold_s": 0, "cooldown_s": 0} | more)
    )


def test_it_sounds_as_long_as_the_level_is_over_the_limit() -> None:
    events = follow(one_second(), [-50, -50, -39, -38, -50, -50])
    assert [one.edge for one in events] == ["onset", "offset"]
    assert spans(events) == [(2.0, 4.0)]
    assert {one.event_id for one in events} == {"s-2000-loud"}


def test_a_level_at_the_limit_is_over_it_and_one_under_is_not() -> None:
    assert spans(follow(one_second(), [-50, -40.0, -50, -50])) == [(1.0, 2.0)]
    assert follow(one_second(), [-50, -40.1, -50, -50]) == []


def test_an_event_goes_on_until_the_level_is_under_the_release() -> None:
    assert spans(follow(one_second(release_db=3.0), [-40, -42.9, -42.9, -43.1, -50])) == [(0, 3)]


def test_a_pause_shorter_than_the_hold_is_bridged() -> None:
    seconds = [-30, -50, -50, -30, -50, -50, -50, -50]
    assert spans(follow(one_second(hold_s=2), seconds)) == [(0, 4)]
    assert spans(follow(one_second(hold_s=1), seconds)) == [(0, 1), (3, 4)]


def test_it_must_last_before_it_is_an_event() -> None:
    assert follow(one_second(min_s=3), [-30, -30, -50, -30, -30, -50]) == []
    assert spans(follow(one_second(min_s=3), [-50, -30, -30, -30, -50, -50])) == [(1, 4)]


def test_after_an_event_it_rests() -> None:
    seconds = [-30, -50, -30, -50, -50, -50, -30, -50, -50]
    assert spans(follow(one_second(cooldown_s=4), seconds)) == [(0, 1), (6, 7)]


def test_what_begins_while_it_rests_and_goes_on_is_an_event_once_it_has_rested() -> None:
    """A sound that goes on all night must not go untold for having begun too early."""
    seconds = [-30, -50, *[-30] * 20, -50, -50]
    assert spans(follow(one_second(cooldown_s=4), seconds)) == [(0, 1), (5, 22)]
    assert spans(follow(one_second(cooldown_s=4, min_s=3), [-30] * 3 + seconds[1:])) == [
        (0, 3),
        (7, 24),
    ]


def test_a_level_over_a_time_is_the_energy_mean_of_it() -> None:
    """One second at -20 dBFS in ten is -30 on average; so is the second that it comes in."""
    rule = one_second(limit_db=-30.1, average_s=10, release_db=0.0)
    seconds = [-90.0] * 10 + [-20.0] + [-90.0] * 20
    assert spans(follow(rule, seconds)) == [(10, 20)]


def test_an_average_of_which_most_was_lost_makes_no_alarm() -> None:
    rule = one_second(limit_db=-40.0, average_s=10)
    lost = [None] * 20
    assert follow(rule, [*lost, -20.0, -20.0, -20.0]) == []
    assert follow(rule, [*lost, *[-20.0] * 6])


def test_what_lies_before_a_gap_is_no_part_of_an_average_behind_it() -> None:
    rule = one_second(limit_db=-40.0, average_s=10, hold_s=0)
    assert spans(follow(rule, [*[-20.0] * 12, *[None] * 30, *[-60.0] * 12])) == [(4, 12)]


def test_a_rise_is_over_the_background_of_the_last_minutes_not_over_a_limit() -> None:
    rule = AlarmRule("rise", "rise", 10.0, background_s=60, hold_s=0, cooldown_s=0)
    for background in (-80.0, -40.0):
        wandering = (background + np.random.default_rng(0).uniform(-1, 1, 60)).tolist()
        assert spans(follow(rule, [*wandering, background + 12, background, background])) == [
            (60, 61)
        ]
        assert follow(rule, [*wandering, background + 8, background]) == []


def test_a_background_that_is_not_known_makes_no_alarm() -> None:
    rule = AlarmRule("rise", "rise", 10.0, background_s=60)
    assert follow(rule, [-80.0] * 20 + [-20.0] * 5) == []


def test_what_lies_before_a_long_gap_is_no_background_behind_it() -> None:
    rule = AlarmRule("rise", "rise", 10.0, background_s=60, hold_s=0, cooldown_s=0)
    assert follow(rule, [*[-80.0] * 60, *[None] * 20, *[-40.0] * 5])
    assert follow(rule, [*[-80.0] * 60, *[None] * 70, *[-40.0] * 5]) == []


def test_an_event_ends_in_a_hole_that_is_longer_than_its_hold() -> None:
    alarm = Alarm(one_second(hold_s=5), RATE_HZ, "s")
    assert alarm.level(a_level(0, RATE_HZ, laeq_dbfs=-20.0), 0)
    assert alarm.skip(6 * RATE_HZ) == []
    (offset,) = alarm.skip(6 * RATE_HZ + 1)
    assert offset.offset_index == RATE_HZ
    assert alarm.skip(20 * RATE_HZ) == []


def test_an_average_over_a_gap_reaches_no_further_back_than_its_time() -> None:
    rule = one_second(limit_db=-40.0, average_s=2)
    assert spans(follow(rule, [-20.0, None, -90.0, -90.0])) == [(0, 1)]


def test_a_background_of_crumbs_is_none() -> None:
    alarm = Alarm(AlarmRule("rise", "rise", 10.0, background_s=60), RATE_HZ, "s")
    for second in range(60):
        crumb = a_level(second, RATE_HZ, laeq_dbfs=-80.0, n_samples=10)
        assert alarm.level(crumb, 0) == []
    assert alarm.level(a_level(60, RATE_HZ, laeq_dbfs=-40.0), 0) == []


def test_a_night_limit_holds_across_midnight_and_not_by_day() -> None:
    rule = one_second(hours=NIGHT)
    for minute, heard in ((23 * 60, 1), (0, 1), (5 * 60 + 59, 1), (6 * 60, 0), (12 * 60, 0)):
        assert len(spans(follow(rule, [-50, -30, -50, -50], minute))) == heard, minute


def test_with_a_time_that_nobody_knows_a_night_limit_holds() -> None:
    assert follow(one_second(hours=NIGHT), [-50, -30, -50, -50], None)


def test_the_score_says_how_far_over_the_limit_it_was() -> None:
    for over_db, score in ((0.0, 0.5), (5.0, 0.75), (10.0, 1.0), (30.0, 1.0)):
        offset = follow(one_second(), [-50, -40 + over_db, -50, -50])[-1]
        assert offset.score == pytest.approx(score)


def noise_with(nominal_hz: float, above_db: float, base: float = -60.0) -> Bands:
    levels = np.full(len(GRID), base)
    for place, band in enumerate(GRID):
        if band.per_octave == 3 and band.nominal_hz == nominal_hz:
            levels[place] += above_db
    return Bands(0, 48000, 48000, levels, gap=False)


@pytest.mark.parametrize(
    ("nominal_hz", "needed_db"), [(50, 15), (125, 15), (160, 8), (400, 8), (500, 5), (10000, 5)]
)
def test_a_tone_stands_out_as_far_as_the_standard_asks(nominal_hz: float, needed_db: float) -> None:
    assert prominence_db(noise_with(nominal_hz, needed_db + 1), GRID) == pytest.approx(1.0)
    assert prominence_db(noise_with(nominal_hz, needed_db - 1), GRID) == pytest.approx(-1.0)


def test_a_converters_own_noise_has_no_tones() -> None:
    assert prominence_db(noise_with(1000.0, 20.0, base=-140.0), GRID) == -np.inf


def test_a_tone_makes_an_event_and_a_gap_makes_none() -> None:
    rule = AlarmRule("tone", "tonal", 0.0, hold_s=0, cooldown_s=0)
    alarm = Alarm(rule, 48000, "s")
    heard = [noise_with(1000.0, above_db) for above_db in (0.0, 9.0, 9.0, 0.0, 0.0)]
    events = []
    for second, bands in enumerate(heard):
        at = Bands(second * 48000, (second + 1) * 48000, 48000, bands.levels_dbfs, gap=second == 2)
        events += alarm.bands(at, GRID, None)
    assert [(one.edge, one.onset_index, one.offset_index) for one in events] == [
        ("onset", 48000, None),
        ("offset", 48000, 96000),
    ]


def test_an_alarm_takes_only_what_it_listens_to() -> None:
    assert Alarm(one_second(), RATE_HZ, "s").bands(noise_with(1000.0, 30.0), GRID, None) == []
    assert follow(AlarmRule("tone", "tonal", 0.0), [-10.0] * 5) == []


def test_a_rule_with_a_negative_time_is_refused() -> None:
    for wrong in ({"min_s": -1}, {"release_db": -0.1}, {"average_s": 0}):
        with pytest.raises(ValueError, match="alarm"):
            one_second(**wrong)
