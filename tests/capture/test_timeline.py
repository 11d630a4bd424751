# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from edge.capture.timeline import Timeline

RATE_HZ = 48000
PERIOD = 960


def heard(
    timeline: Timeline, *, seconds: float, ppm: float, epoch_s: float = 0.0, granule: int = 1
) -> None:
    """Feed it what a reader sees: each pair late by a heavy-tailed wake-up."""
    rng = np.random.default_rng(7)
    true_hz = RATE_HZ * (1 + ppm / 1e6)
    for due in range(PERIOD, int(seconds * RATE_HZ), PERIOD):
        at_s = due / true_hz + min(rng.exponential(0.0002) ** 2 * 2000, 0.015)
        captured = int(at_s * true_hz) // granule * granule
        timeline.observe(epoch_s + at_s, captured)


@pytest.mark.parametrize("ppm", [-200, -37, 0, 200])
@pytest.mark.parametrize("gap_s", [0.05, 1.0, 10.0])
def test_after_half_a_minute_a_gap_is_known_within_a_fifth_of_a_millisecond(
    ppm: float, gap_s: float
) -> None:
    timeline = Timeline(RATE_HZ)
    heard(timeline, seconds=30, ppm=ppm)
    truth = (30 + gap_s) * RATE_HZ * (1 + ppm / 1e6)
    assert timeline.sample_index_at(30 + gap_s) == pytest.approx(truth, abs=0.0002 * RATE_HZ)


@pytest.mark.parametrize("ppm", [-200, 200])
def test_in_the_first_seconds_a_gap_is_known_within_two_milliseconds(ppm: float) -> None:
    timeline = Timeline(RATE_HZ)
    heard(timeline, seconds=2, ppm=ppm)
    truth = 5 * RATE_HZ * (1 + ppm / 1e6)
    assert timeline.sample_index_at(5) == pytest.approx(truth, abs=0.002 * RATE_HZ)


def test_a_pointer_that_moves_by_a_millisecond_costs_no_more_than_that() -> None:
    timeline = Timeline(RATE_HZ)
    heard(timeline, seconds=30, ppm=50, granule=48)
    truth = 31 * RATE_HZ * (1 + 50e-6)
    assert timeline.sample_index_at(31) == pytest.approx(truth, abs=48 + 10)


@pytest.mark.parametrize("true_hz", [44100, 47500, 96000])
def test_a_rate_that_no_crystal_has_is_measured_within_a_quarter_of_a_minute(true_hz: int) -> None:
    """What an overrun has lost is reckoned as before: it may be an error of the measurement."""
    timeline = Timeline(RATE_HZ)
    heard(timeline, seconds=5 * true_hz / RATE_HZ, ppm=1e6 * (true_hz / RATE_HZ - 1.0))
    assert timeline.measured_hz is None
    timeline = Timeline(RATE_HZ)
    heard(timeline, seconds=15 * true_hz / RATE_HZ, ppm=1e6 * (true_hz / RATE_HZ - 1.0))
    assert timeline.measured_hz == pytest.approx(true_hz, rel=1e-3)
    assert timeline.rate_hz == pytest.approx(RATE_HZ, rel=1e-3)


def test_months_of_skew_and_uptime_change_nothing() -> None:
    """The box has run for half a year; the card has gained most of an hour on its clock."""
    timeline = Timeline(RATE_HZ)
    epoch_s = 180 * 86400.0
    offset = round(epoch_s * RATE_HZ * 1.0002)
    rng = np.random.default_rng(3)
    for number in range(1, 3000):
        at_s = number * 0.02 + rng.exponential(0.0001)
        timeline.observe(epoch_s + at_s, offset + int(at_s * RATE_HZ * 1.0002))
    truth = offset + 61 * RATE_HZ * 1.0002
    assert timeline.sample_index_at(epoch_s + 61) == pytest.approx(truth, abs=10)
    assert timeline.rate_hz == pytest.approx(RATE_HZ * 1.0002, rel=5e-6)


def test_a_card_that_changes_its_pace_is_followed() -> None:
    timeline = Timeline(RATE_HZ)
    heard(timeline, seconds=60, ppm=-200)
    before = timeline.sample_index_at(60)
    for number in range(1, 60 * 50):
        timeline.observe(60 + number * 0.02, int(before + number * 0.02 * RATE_HZ * 1.0002))
    truth = before + 62 * RATE_HZ * 1.0002
    assert timeline.sample_index_at(122) == pytest.approx(truth, abs=0.0002 * RATE_HZ)


def test_late_wake_ups_never_pull_the_clock_back() -> None:
    timeline = Timeline(RATE_HZ)
    timeline.observe(1.0, 48000)
    timeline.observe(1.5, 60000)
    assert timeline.sample_index_at(2.0) == 96000


@pytest.mark.parametrize("ppm", [-200, 200])
def test_seconds_in_which_every_wake_up_is_late_change_nothing(ppm: float) -> None:
    """The machine was busy before the gap, as it is when gaps come."""
    timeline = Timeline(RATE_HZ)
    true_hz = RATE_HZ * (1 + ppm / 1e6)
    heard(timeline, seconds=30, ppm=ppm)
    for number in range(5 * 50):
        at_s = 30 + number * 0.02
        timeline.observe(at_s, int((at_s - 0.012) * true_hz))
    assert timeline.sample_index_at(36) == pytest.approx(36 * true_hz, abs=0.0002 * RATE_HZ)


def test_one_prompt_wake_up_a_second_is_enough() -> None:
    timeline = Timeline(RATE_HZ)
    for number in range(20 * 50):
        late_s = 0.0 if number % 50 == 20 else 0.005
        timeline.observe(number * 0.02, int((number * 0.02 - late_s) * RATE_HZ))
    assert timeline.sample_index_at(21) == pytest.approx(21 * RATE_HZ, abs=2)


@pytest.mark.parametrize("ppm", [-200, 200])
def test_gap_after_gap_the_rate_is_still_learned(ppm: float) -> None:
    """Each gap is told by the estimate itself: an error in it must not confirm itself."""
    timeline = Timeline(RATE_HZ)
    true_hz = RATE_HZ * (1 + ppm / 1e6)
    at_s, index, errors = 0.0, 0.0, []
    for _ in range(20):
        for _ in range(150):
            at_s += 0.02
            index += 0.02 * true_hz
            timeline.observe(at_s, int(index))
        at_s += 1.0
        told = timeline.sample_index_at(at_s)
        errors.append(told - index - true_hz)
        index = told
        timeline.restart()
        timeline.observe(at_s, int(index))
    assert np.abs(errors[:5]).max() < 0.001 * RATE_HZ
    assert np.abs(errors[5:]).max() < 0.0001 * RATE_HZ


def test_a_disturbed_slope_is_bounded() -> None:
    timeline = Timeline(RATE_HZ)
    timeline.observe(0.0, 0)
    timeline.observe(20.0, 40 * RATE_HZ)
    assert timeline.rate_hz == pytest.approx(RATE_HZ * 1.001)


def test_before_the_first_observation_it_refuses() -> None:
    timeline = Timeline(RATE_HZ)
    assert not timeline.known
    assert timeline.rate_hz == RATE_HZ
    with pytest.raises(ValueError, match="nothing was observed"):
        timeline.sample_index_at(1.0)
