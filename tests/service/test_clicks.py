# SPDX-License-Identifier: MIT
"""Clicks around a loop of arithmetic, whose length is known to the sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.service.clicks import Clicks

RATE_HZ = 48000


def around(
    period_size: int,
    delay: int,
    *,
    noise: float = 0.0,
    gain: float = 0.7,
    seconds: float = 4.0,
    echo: tuple[int, float] = (0, 0.0),
    waits_s: float = 0.0,
) -> Clicks:
    """Run clicks around a loop in which what is played is captured `delay` samples later.

    It comes once more so many samples after that, with the gain of the `echo`.
    """
    n_samples = round(seconds * RATE_HZ)
    cable = noise * np.random.default_rng(1).standard_normal(n_samples + delay + 9000)
    cable = cable.astype(np.float32)
    now = 0

    def play(sound: np.ndarray) -> None:
        for at, loud in ((now + delay, gain), (now + delay + echo[0], gain * echo[1])):
            cable[at : at + len(sound)] += loud * sound

    clicks = Clicks(RATE_HZ, play, lambda: waits_s, seed=3)
    for start in range(0, n_samples, period_size):
        now = start + period_size
        mono = cable[start:now].copy()
        play(clicks.process(mono, start))
    return clicks


@settings(max_examples=30, deadline=None)
@given(st.integers(16, 1024), st.integers(96, 4800))
def test_the_way_around_is_told_to_the_sample(period_size: int, delay: int) -> None:
    """A period and the delay, wherever in a period a click falls."""
    clicks = around(period_size, delay)
    assert clicks.lost == 0
    assert len(clicks.around_s) >= 8
    expected_s = (period_size + delay) / RATE_HZ
    np.testing.assert_allclose(clicks.around_s, expected_s, atol=1e-9)


def test_noise_of_the_room_is_no_click() -> None:
    clicks = around(240, 480, noise=0.005)
    assert len(clicks.around_s) >= 9
    assert np.median(clicks.around_s) == pytest.approx(720 / RATE_HZ, abs=3 / RATE_HZ)


@pytest.mark.parametrize("echo_ms", [2.5, 4.0, 12.5])
@pytest.mark.parametrize("echo_db", [-15.0, -20.0, -26.0])
def test_the_walls_are_not_the_way_around(echo_ms: float, echo_db: float) -> None:
    """A reflection comes sooner than the click can, or is fainter."""
    echo = (round(echo_ms * RATE_HZ / 1000), 10 ** (echo_db / 20))
    clicks = around(120, 528, echo=echo, waits_s=0.01)
    assert clicks.lost == 0
    np.testing.assert_allclose(clicks.around_s, 0.0135, atol=1e-9)


def test_a_reflection_almost_as_loud_as_the_click_is_not_the_way_around() -> None:
    clicks = around(120, 528, echo=(192, 0.9), waits_s=0.01)
    np.testing.assert_allclose(clicks.around_s, 0.0135, atol=1e-9)


def test_clicks_that_do_not_come_back_are_counted() -> None:
    clicks = around(240, 480, gain=0.0)
    assert clicks.around_s == []
    assert clicks.lost >= 4
