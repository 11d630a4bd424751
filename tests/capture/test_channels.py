# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from edge.capture.channels import SURE_S, ChannelCheck
from edge.types import Period

RATE_HZ = 16000
SIZE = 320


def trouble(samples: np.ndarray, check: ChannelCheck | None = None) -> str:
    check = check or ChannelCheck(RATE_HZ, samples.shape[1])
    for start in range(0, len(samples), SIZE):
        check.process(Period(start, samples[start : start + SIZE], 0.0))
    return check.trouble


def sound(seconds: float = 5.0) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(round(seconds * RATE_HZ))
    return (1000 * noise).astype(np.int16)


def test_channels_that_hear_the_same_are_well() -> None:
    assert trouble(np.stack([sound(), sound() // 3], axis=1)) == ""


def test_channels_that_hear_different_things_are_well() -> None:
    assert trouble(np.stack([sound(), sound()[::-1]], axis=1)) == ""


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
def test_a_channel_that_hears_nothing_beside_one_that_does_is_named(dtype: type) -> None:
    """Also with an offset on it, which is no sound."""
    scale = {np.int16: 1, np.int32: 2**16, np.float32: 2.0**-15}[dtype]
    both = np.stack([sound(), np.full(5 * RATE_HZ, 300)], axis=1)
    assert "channel 1 is dead" in trouble((both * scale).astype(dtype))


def test_an_inverted_channel_is_said_to_cancel_the_other() -> None:
    noise = np.random.default_rng(1).integers(-100, 100, 5 * RATE_HZ)
    both = np.stack([sound(), noise - sound(), sound() // 2], axis=1).astype(np.int16)
    assert "channels 0 and 1 are of opposite polarity" in trouble(both)


def test_one_second_is_no_proof_and_a_mended_cable_is_believed() -> None:
    check = ChannelCheck(RATE_HZ, 2)
    good, bad = (np.stack([sound(1.0), sign * sound(1.0)], axis=1) for sign in (1, -1))
    assert trouble(np.tile(good, (4, 1)), check) == ""
    assert trouble(np.tile(bad, (SURE_S - 1, 1)), check) == ""
    assert trouble(bad, check) != ""
    assert trouble(np.tile(good, (SURE_S, 1)), check) == ""


def test_a_second_with_damaged_samples_still_tells_a_dead_channel() -> None:
    """An infinity or a wild number of a float source is no sound that the other misses."""
    for damage in (np.inf, -np.inf, np.nan, 3e38):
        both = np.stack([sound() / 32768, np.zeros(5 * RATE_HZ)], axis=1).astype(np.float32)
        both[:: RATE_HZ // 50, 0] = damage
        assert "channel 1 is dead" in trouble(both), damage
        both[:: RATE_HZ // 50, 0] = 0.0
        both[:: RATE_HZ // 50, 1] = damage
        assert "channel 1 is dead" in trouble(both), damage


@pytest.mark.parametrize("size", [2048, 16384])
def test_periods_of_any_length_are_looked_at(size: int) -> None:
    """At 8 kHz the longest period lasts two seconds, and four of them eight."""
    check = ChannelCheck(8000, 2)
    samples = np.stack([sound(16.0), np.zeros(16 * RATE_HZ)], axis=1).astype(np.int16)
    for start in range(0, len(samples), size):
        check.process(Period(start, samples[start : start + size], 0.0))
    assert "channel 1 is dead" in check.trouble


def test_a_quiet_room_does_not_mend_an_inverted_channel() -> None:
    """Their own noise is all that both hear then: it says nothing of polarity."""
    check = ChannelCheck(RATE_HZ, 2)
    rng = np.random.default_rng(3)
    quiet = rng.integers(-9, 9, (6 * RATE_HZ, 2)).astype(np.int16)
    assert "opposite polarity" in trouble(np.stack([sound(), -sound()], axis=1), check)
    assert "opposite polarity" in trouble(quiet, check)


def test_silence_not_a_number_and_one_channel_are_no_trouble() -> None:
    assert trouble(np.zeros((5 * RATE_HZ, 2), np.int16)) == ""
    assert trouble(np.full((5 * RATE_HZ, 2), np.nan, np.float32)) == ""
    assert trouble(sound()[:, None]) == ""
