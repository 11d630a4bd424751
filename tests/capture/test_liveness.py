# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from edge.capture.liveness import Liveness
from edge.types import Period

RATE_HZ = 16000


def states(samples: np.ndarray, size: int = 320) -> list[str]:
    liveness = Liveness(RATE_HZ)
    if samples.ndim == 1:
        samples = samples[:, np.newaxis]
    return [
        liveness.process(Period(start, samples[start : start + size], 0.0))
        for start in range(0, len(samples), size)
    ]


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
def test_a_second_of_exact_zeros_is_zeros_and_not_before(dtype: type) -> None:
    told = states(np.zeros(2 * RATE_HZ, dtype=dtype))
    assert told == ["ok"] * 49 + ["zeros"] * 51


@pytest.mark.parametrize("value", [1, -1, 1234, 32767, -32768])
def test_one_value_for_a_second_is_stuck(value: int) -> None:
    assert states(np.full(2 * RATE_HZ, value, dtype=np.int16))[-1] == "stuck"


def test_channels_that_stick_at_different_values_are_stuck() -> None:
    stuck = np.tile(np.array([[5, -700]], dtype=np.int16), (2 * RATE_HZ, 1))
    assert states(stuck)[-1] == "stuck"


def test_one_live_channel_is_life() -> None:
    samples = np.zeros((2 * RATE_HZ, 2), dtype=np.int16)
    samples[:, 1] = np.random.default_rng(0).integers(-5, 6, 2 * RATE_HZ)
    assert set(states(samples)) == {"ok"}


def test_an_offset_with_less_than_a_microphones_noise_is_dc() -> None:
    ripple = np.random.default_rng(0).integers(0, 2, 2 * RATE_HZ)
    assert states((9000 + ripple).astype(np.int16))[-1] == "dc"


def test_a_dead_channel_beside_one_with_an_offset_is_dc() -> None:
    samples = np.zeros((2 * RATE_HZ, 2), dtype=np.int16)
    samples[:, 1] = 9000 + np.arange(2 * RATE_HZ) % 2
    assert states(samples)[-1] == "dc"


def test_a_quiet_room_is_alive() -> None:
    """One bit of noise around zero is the quietest there is."""
    noise = np.random.default_rng(0).integers(-1, 1, 3 * RATE_HZ).astype(np.int16)
    assert set(states(noise)) == {"ok"}


def test_the_first_sound_brings_it_back() -> None:
    samples = np.zeros(4 * RATE_HZ, dtype=np.int16)
    samples[2 * RATE_HZ :: 10] = 100
    told = states(samples)
    assert told[99] == "zeros"
    assert set(told[100:]) == {"ok"}


def test_a_drift_that_never_leaves_the_last_bits_in_one_period_is_alive() -> None:
    ramp = (np.arange(3 * RATE_HZ) // 200).astype(np.int16)
    assert set(states(ramp)) == {"ok"}


def test_not_a_number_counts_as_alive() -> None:
    assert set(states(np.full(2 * RATE_HZ, np.nan, dtype=np.float32))) == {"ok"}


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinity_for_a_second_is_stuck(value: float) -> None:
    assert states(np.full(2 * RATE_HZ, value, dtype=np.float32))[-1] == "stuck"


def test_a_reset_begins_the_second_anew() -> None:
    liveness = Liveness(RATE_HZ)
    period = Period(0, np.zeros((RATE_HZ, 1), dtype=np.int16), 0.0)
    assert liveness.process(period) == "zeros"
    liveness.reset()
    assert liveness.process(Period(0, period.samples[:320], 0.0)) == "ok"
