# SPDX-License-Identifier: MIT
"""Integers of any width become the same float32, and no NaN passes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.dsp.convert import to_mono


def mono(samples: NDArray, channel: int | None = 0, gain: float = 1.0) -> tuple[NDArray, int]:
    view, clipped = to_mono(samples, channel, gain, np.full(100, 9.0, np.float32))
    return view.copy(), clipped


@pytest.mark.parametrize(
    ("dtype", "half"), [(np.int16, 2**14), (np.int32, 2**30), (np.float32, 0.5)]
)
def test_full_scale_is_1_in_every_format(dtype: type, half: float) -> None:
    samples = np.array([[half], [-half], [0]], dtype)
    values, clipped = mono(samples)
    assert values.dtype == np.float32
    assert values.tolist() == [0.5, -0.5, 0.0]
    assert clipped == 0


def test_channel_is_chosen_or_all_are_averaged() -> None:
    samples = np.array([[100, 300], [-200, 400]], np.int16)
    assert (mono(samples, 1)[0] * 32768).tolist() == [300, 400]
    assert (mono(samples, None)[0] * 32768).tolist() == [200, 100]


def test_mean_of_two_full_scale_channels_does_not_overflow() -> None:
    samples = np.array([[2**31 - 1, 2**31 - 1], [-(2**31), -(2**31)]], np.int32)
    assert mono(samples, None)[0].tolist() == [1.0, -1.0]


def test_gain_is_applied_after_clipping_is_counted() -> None:
    values, clipped = mono(np.array([[16384], [32767]], np.int16), gain=4.0)
    assert values[0] == 2.0
    assert clipped == 1


@pytest.mark.parametrize(
    ("samples", "clipped"),
    [
        (np.array([32767, -32768, -32767, 32766], np.int16), 2),
        (np.array([2**31 - 256, -(2**31), 2**31 - 1, 2**31 - 512], np.int32), 3),
        (np.array([1.0, -1.0, 1.5, 0.999], np.float32), 3),
    ],
)
def test_samples_at_digital_full_scale_are_counted(samples: NDArray, clipped: int) -> None:
    """The largest 24 bit value, left-aligned in 32, is full scale too."""
    assert mono(samples[:, None])[1] == clipped


def test_clipping_counts_once_per_sample_and_only_where_heard() -> None:
    samples = np.array([[32767, 32767], [0, 32767], [0, 0]], np.int16)
    assert mono(samples, 0)[1] == 1
    assert mono(samples, None)[1] == 2


@given(
    st.lists(
        st.lists(st.floats(width=32, allow_nan=True), min_size=2, max_size=2),
        min_size=1,
        max_size=50,
    ),
    st.sampled_from([None, 0, 1]),
)
def test_no_float_makes_the_output_anything_but_finite(
    rows: list[list[float]], channel: int | None
) -> None:
    samples = np.array(rows, np.float32)
    values, clipped = mono(samples, channel)
    heard = samples if channel is None else samples[:, [channel]]
    assert (np.abs(values) <= 64.0).all()
    assert clipped == (~(np.abs(heard) < 1.0)).any(axis=1).sum()
    if channel is not None:
        sound = np.abs(heard[:, 0]) <= 64.0
        np.testing.assert_allclose(values[sound], heard[sound, 0], rtol=0, atol=1e-16)
        assert not values[~sound].any()


@pytest.mark.parametrize("wild", [64.1, -1e20, 3e38, np.inf, np.nan])
def test_a_sample_that_no_converter_gives_is_silence_and_counts_as_clipped(wild: float) -> None:
    values, clipped = mono(np.array([[0.5], [wild], [64.0]], np.float32))
    assert values.tolist() == [0.5, 0.0, 64.0]
    assert clipped == 2


@pytest.mark.parametrize("tiny", [1e-17, 1e-30, 1e-40])
def test_what_no_converter_can_tell_from_silence_is_silence(tiny: float) -> None:
    """Denormal numbers, and those whose squares are, cost ten times as much in every filter."""
    values, clipped = mono(np.array([[tiny], [-tiny], [0.0]], np.float32))
    assert values.tolist() == [0.0, 0.0, 0.0]
    assert clipped == 0


def test_output_is_a_view_of_the_callers_array() -> None:
    out = np.zeros(10, np.float32)
    view, _ = to_mono(np.ones((4, 1), np.int16), 0, 1.0, out)
    assert np.shares_memory(view, out)
    assert view.size == 4
    assert to_mono(np.ones((0, 1), np.int16), 0, 1.0, out)[0].size == 0


@pytest.mark.parametrize(
    ("samples", "channel", "says"),
    [
        (np.zeros((4, 1), np.uint8), 0, "uint8"),
        (np.zeros(4, np.int16), 0, "channels"),
        (np.zeros((4, 2), np.int16), 2, "channel must be 0 to 1"),
        (np.zeros((4, 2), np.int16), -1, "channel"),
        (np.zeros((101, 1), np.int16), 0, "room for 100"),
    ],
)
def test_wrong_arguments_are_named(samples: NDArray, channel: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        mono(samples, channel)
