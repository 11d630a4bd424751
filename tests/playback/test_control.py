# SPDX-License-Identifier: MIT
"""On a simulated queue, whose clocks are as far apart as is said."""

from __future__ import annotations

import numpy as np
import pytest

from edge.playback.control import QueueControl
from edge.playback.resample import MAX_TRIM

TARGET_S = 0.01
PERIOD_S = 0.0025


def simulated(
    skew: float, seconds: float, late_s: float = 0.0, start_s: float = TARGET_S
) -> tuple[np.ndarray, np.ndarray]:
    """Return queue and trim after each period; what is seen is late by up to `late_s`."""
    control, rng = QueueControl(TARGET_S), np.random.default_rng(0)
    queued_s, queues, trims = start_s, [], []
    for _ in range(round(seconds / PERIOD_S)):
        seen_s = queued_s + late_s * rng.random()
        trim = control.update(seen_s, PERIOD_S)
        queued_s += PERIOD_S * (skew - trim)
        queues.append(queued_s)
        trims.append(trim)
    return np.array(queues), np.array(trims)


@pytest.mark.parametrize("skew", [-200e-6, 200e-6, -50e-6, 5e-6])
def test_the_queue_stays_near_its_target_and_comes_back_to_it(skew: float) -> None:
    queues, trims = simulated(skew, 60)
    assert np.abs(queues - TARGET_S).max() < 4e-4
    assert np.abs(queues[-400:] - TARGET_S).max() < 2e-6
    assert trims[-1] == pytest.approx(skew, abs=1e-6)


def test_clocks_as_far_apart_as_it_can_follow_move_it_by_two_milliseconds() -> None:
    queues, _ = simulated(900e-6, 120)
    assert np.abs(queues - TARGET_S).max() < 2.5e-3
    assert queues[-1] == pytest.approx(TARGET_S, abs=1e-4)


def test_threads_that_wake_up_late_do_not_bend_the_pitch() -> None:
    """A period seen up to 2 ms late moves the trim by less than 60 ppm."""
    _, trims = simulated(0.0, 60, late_s=2e-3)
    assert np.abs(trims[8000:]).max() < 60e-6
    assert np.abs(np.diff(trims)).max() < 10e-6


@pytest.mark.parametrize("start_s", [0.0, 0.03, 0.1])
def test_a_queue_far_off_is_led_back_without_overshooting_the_other_way(start_s: float) -> None:
    queues, trims = simulated(0.0, 240, start_s=start_s)
    assert np.abs(trims).max() <= MAX_TRIM
    assert queues[-1] == pytest.approx(TARGET_S, abs=1e-4)
    beyond_s = (queues - TARGET_S) * np.sign(TARGET_S - start_s)
    assert beyond_s.max() < 1.5e-3


def test_what_was_learned_of_the_clocks_survives_an_underrun() -> None:
    control = QueueControl(TARGET_S)
    queued_s = TARGET_S
    for _ in range(24000):
        queued_s += PERIOD_S * (150e-6 - control.update(queued_s, PERIOD_S))
    control.restart()
    assert control.trim == pytest.approx(150e-6, abs=2e-6)
