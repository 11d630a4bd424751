# SPDX-License-Identifier: MIT
"""The classifier's samples: every third one, free of aliases, whatever the cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from edge.dsp.design import decimation_taps
from edge.dsp.resample import Decimator, PassThrough, SoxrResampler, resampler

NO_TAPS = np.zeros(0)


def tone(freq_hz: float, rate_hz: int, n_samples: int) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * freq_hz * np.arange(n_samples) / rate_hz).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 900), min_size=1, max_size=10).filter(any),
    factor=st.sampled_from([2, 3, 6]),
)
def test_any_cut_gives_the_outputs_of_a_plain_convolution(sizes: list[int], factor: int) -> None:
    taps = decimation_taps(factor, 48000)
    x = np.random.default_rng(5).standard_normal(sum(sizes)).astype(np.float32)
    stream = Decimator(taps, factor, 900)
    parts = [stream.process(cut).copy() for cut in np.split(x, np.cumsum(sizes)[:-1])]
    expected = signal.lfilter(taps, 1.0, x.astype(np.float64))[::factor]
    got = np.concatenate(parts)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_delay_is_what_it_says() -> None:
    stream = Decimator(decimation_taps(3, 48000), 3, 48000)
    got = stream.process(tone(1000.0, 48000, 48000))
    seconds = (3 * np.arange(got.size) - stream.delay_samples) / 48000
    np.testing.assert_allclose(got[100:], np.sin(2 * np.pi * 1000 * seconds)[100:], atol=2e-4)


@pytest.mark.parametrize("freq_hz", [8500.0, 9000.0, 12000.0, 17000.0, 23500.0])
def test_what_would_fold_into_the_bands_is_80_db_down(freq_hz: float) -> None:
    stream = Decimator(decimation_taps(3, 48000), 3, 48000)
    got = stream.process(tone(freq_hz, 48000, 48000))[200:]
    assert np.abs(got).max() < 1e-4


def test_the_upper_band_edge_is_kept_within_a_tenth_of_a_db() -> None:
    stream = Decimator(decimation_taps(3, 48000), 3, 48000)
    got = stream.process(tone(7500.0, 48000, 48000))[200:]
    assert 10 * np.log10(2 * np.mean(np.square(got))) == pytest.approx(0.0, abs=0.1)


def test_reset_forgets_the_past_and_the_phase(noise: NDArray[np.float32]) -> None:
    stream = Decimator(decimation_taps(3, 48000), 3, 1000)
    first = stream.process(noise[:1000]).copy()
    stream.process(noise[1000:2000])
    stream.reset()
    np.testing.assert_array_equal(stream.process(noise[:1000]), first)


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(0, 4000), min_size=1, max_size=10))
def test_odd_rates_are_in_step_and_the_same_for_any_cut(sizes: list[int]) -> None:
    x = tone(440.0, 44100, 44100)
    stream = SoxrResampler(44100, 16000)
    cuts = np.split(x, np.minimum(np.cumsum(sizes), x.size))
    got = np.concatenate([stream.process(cut).copy() for cut in cuts])
    assert got.dtype == np.float32
    assert got.size > 15000
    seconds = (np.arange(got.size) - stream.delay_samples) / 16000
    expected = np.sin(2 * np.pi * 440 * seconds)
    np.testing.assert_allclose(got[1000:], expected[1000:], atol=1e-5)
    stream.reset()
    np.testing.assert_array_equal(stream.process(x)[: got.size], got)


def test_the_rates_choose_the_way(noise: NDArray[np.float32]) -> None:
    assert isinstance(resampler(48000, 16000, decimation_taps(3, 48000), 100), Decimator)
    assert isinstance(resampler(44100, 16000, NO_TAPS, 100), SoxrResampler)
    assert isinstance(resampler(8000, 16000, NO_TAPS, 100), SoxrResampler)
    same = resampler(16000, 16000, NO_TAPS, 100)
    assert isinstance(same, PassThrough)
    assert same.process(noise) is noise
    assert same.delay_samples == 0


def test_wrong_arguments_are_named() -> None:
    taps = decimation_taps(3, 48000)
    with pytest.raises(ValueError, match="taps are needed for a factor of 3"):
        resampler(48000, 16000, NO_TAPS, 100)
    with pytest.raises(ValueError, match="rates"):
        resampler(0, 16000, NO_TAPS, 100)
    with pytest.raises(ValueError, match="n_taps"):
        Decimator(taps[1:], 3, 100)
    with pytest.raises(ValueError, match="factor"):
        Decimator(np.ones(1), 2, 100)
    with pytest.raises(ValueError, match="max_samples"):
        Decimator(taps, 3, 0)
    with pytest.raises(ValueError, match=r"101.*100"):
        Decimator(taps, 3, 100).process(np.zeros(101, np.float32))
