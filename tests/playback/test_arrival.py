# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from edge.playback.arrival import Arrival

PERIOD_S = 120 / 48000


def told(brought_s: np.ndarray) -> np.ndarray:
    arrival = Arrival(48000)
    return np.array([arrival.observe(120, each) for each in brought_s.tolist()])


@pytest.mark.parametrize("ppm", [-1000, -200, 0, 200, 1000])
def test_the_end_of_a_period_is_told_from_reads_that_were_woken_up_late(ppm: int) -> None:
    """Most 50 us late, one in a hundred by 5 ms; the ends are right within 0.2 ms."""
    rng = np.random.default_rng(0)
    ends_s = 1000.0 + PERIOD_S * (1 + ppm * 1e-6) * np.arange(1, 8001)
    late_s = rng.exponential(50e-6, 8000) + 5e-3 * (rng.random(8000) < 0.01)
    off_s = told(np.maximum.accumulate(ends_s + late_s)) - ends_s
    assert off_s.min() >= 0
    assert off_s[100:].max() < 2e-4


def test_a_backlog_is_known_to_be_old() -> None:
    ends_s = PERIOD_S * np.arange(1, 101)
    brought_s = ends_s.copy()
    brought_s[50:60] = ends_s[59]  # ten periods at once, after a sleep of 25 ms
    np.testing.assert_allclose(told(brought_s), ends_s, atol=1e-4)


def test_a_gap_is_no_lateness() -> None:
    arrival = Arrival(48000)
    arrival.observe(120, 1.0)
    arrival.skip(4800)
    assert arrival.observe(120, 1.0 + 0.1 + PERIOD_S) == pytest.approx(1.1 + PERIOD_S)


@pytest.mark.parametrize("hole_s", [0.6, 3600.0])
def test_a_hole_that_nobody_told_of_is_not_taken_for_lateness_for_long(hole_s: float) -> None:
    arrival = Arrival(48000)
    arrival.observe(120, 1.0)
    assert arrival.observe(120, 1.0 + hole_s) == 1.0 + hole_s


def test_a_clock_that_was_taken_for_too_far_ahead_is_corrected_at_once() -> None:
    """As after a sleep of the machine, in which CLOCK_MONOTONIC stood still."""
    arrival = Arrival(48000)
    arrival.observe(120, 1.0)
    arrival.skip(48000 * 3600)
    assert arrival.observe(120, 1.0 + PERIOD_S) == 1.0 + PERIOD_S
