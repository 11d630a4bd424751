# SPDX-License-Identifier: MIT
from __future__ import annotations

import time
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture import generator
from edge.capture.synth import SignalName, SynthSource
from edge.errors import DeviceError
from edge.types import Gap, Period

RATE_HZ = 48000


def stream(signal: SignalName, **how: object) -> list[Period | Gap]:
    how = {"pace": "fast", "seconds": 0.2, "period_size": 480, **how}
    return list(iter(SynthSource(signal, **how).read, None))


def samples(items: list[Period | Gap]) -> np.ndarray:
    return np.concatenate([item.samples for item in items if isinstance(item, Period)])


@pytest.mark.parametrize("signal", get_args(SignalName))
def test_same_seed_same_samples_whatever_the_period(signal: SignalName) -> None:
    whole = samples(stream(signal, seed=5, period_size=480))
    np.testing.assert_array_equal(whole, samples(stream(signal, seed=5, period_size=7001)))
    assert len(whole) == 9600


@pytest.mark.parametrize("signal", ["white", "pink"])
def test_another_seed_gives_other_noise(signal: SignalName) -> None:
    assert (samples(stream(signal, seed=1)) != samples(stream(signal, seed=2))).any()


@settings(max_examples=30, deadline=None)
@given(
    period_size=st.integers(1, 3000),
    cuts=st.lists(st.integers(1, 900), min_size=0, max_size=8),
)
def test_injected_gaps_are_where_they_were_ordered(period_size: int, cuts: list[int]) -> None:
    """The index goes on through them, and what is heard is the signal without the holes."""
    bounds = np.cumsum(cuts).tolist()
    gaps = [(a, b - a) for a, b in zip(bounds[::2], bounds[1::2], strict=False)]
    items = stream("white", gaps=gaps, period_size=period_size, sample_format="FLOAT_LE")
    given_out = [(i.sample_index, i.lost_samples) for i in items if isinstance(i, Gap)]
    assert given_out == gaps
    expected = samples(stream("white", sample_format="FLOAT_LE"))
    for item in items:
        if isinstance(item, Period):
            there = expected[item.sample_index : item.sample_index + len(item.samples)]
            np.testing.assert_array_equal(item.samples, there)
        else:
            assert item.cause == "injected"
    last = items[-1]
    length = len(last.samples) if isinstance(last, Period) else last.lost_samples
    assert last.sample_index + length == 9600


def test_a_gap_over_the_end_ends_with_the_stream() -> None:
    items = stream("tone", gaps=[(9000, 5000)])
    assert items[-1] == Gap(9000, 600, "injected", 0.2)


@pytest.mark.parametrize("gaps", [[(10, 0)], [(10, 20), (29, 5)], [(-1, 5)]])
def test_gaps_that_make_no_sense_are_refused(gaps: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="gaps must"):
        SynthSource("tone", gaps=gaps)


def test_an_unknown_signal_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DeviceError, match="no signal 'hum'") as raised:
        SynthSource("hum")
    assert "tone, sweep, white, pink, clicks, silence, scene" in raised.value.help


def test_an_endless_stream_goes_on_past_what_was_made_ahead() -> None:
    source = SynthSource("tone", rate_hz=1000, period_size=61_000, pace="fast")
    period = source.read()
    assert isinstance(period, Period)
    np.testing.assert_array_equal(period.samples[60_000:], period.samples[:1000])
    assert isinstance(source.read(), Period)


def test_all_channels_are_alike_and_full_scale_is_clipped() -> None:
    left, right = samples(stream("white", channels=2)).T
    np.testing.assert_array_equal(left, right)
    assert samples(stream("tone")).dtype == np.int16
    assert samples(stream("tone", sample_format="FLOAT_LE")).dtype == np.float32


def test_in_real_pace_no_sample_comes_before_its_time() -> None:
    source = SynthSource("silence", period_size=480, pace="real")
    begun_s = time.monotonic()
    for number in range(1, 11):
        period = source.read()
        assert period is not None
        assert begun_s + number * 0.01 <= period.mono_s


def test_a_tone_has_its_frequency_and_peak() -> None:
    tone = generator.tone(RATE_HZ, RATE_HZ, freq_hz=440, level_dbfs=-6)
    assert tone.dtype == np.float32
    assert np.argmax(np.abs(np.fft.rfft(tone))) == 440
    assert np.abs(tone).max() == pytest.approx(10 ** (-6 / 20), rel=1e-3)


def test_a_sweep_spends_as_long_in_each_octave() -> None:
    sweep = generator.sweep(10 * RATE_HZ, RATE_HZ, low_hz=100, high_hz=3200)
    crossings = np.flatnonzero(np.diff(np.signbit(sweep))) / RATE_HZ
    for octave in range(5):
        inside = (crossings >= 2 * octave) & (crossings < 2 * octave + 2)
        # The mean frequency of an octave from f is f / ln 2; two crossings a cycle.
        assert inside.sum() / 4 == pytest.approx(100 * 2**octave / np.log(2), rel=0.02)


def test_white_noise_is_flat_and_pink_noise_falls_by_three_decibels_an_octave() -> None:
    rng = np.random.default_rng(0)
    white = generator.white_noise(8 * RATE_HZ, rng, level_dbfs=-20)
    pink = generator.pink_noise(8 * RATE_HZ, RATE_HZ, rng, level_dbfs=-20)
    for noise, slope_db in ((white, 0.0), (pink, -3.01)):
        assert 20 * np.log10(noise.std()) == pytest.approx(-20, abs=0.05)
        power = np.abs(np.fft.rfft(noise)) ** 2
        density = [power[8 * f : 16 * f].mean() for f in (50, 100, 200, 400, 800, 1600, 3200)]
        slopes = np.diff(10 * np.log10(density))
        assert slopes.mean() == pytest.approx(slope_db, abs=0.15)


def test_clicks_are_single_samples_evenly_spaced() -> None:
    clicks = generator.clicks(RATE_HZ, RATE_HZ, per_second=3, level_dbfs=0)
    assert np.flatnonzero(clicks).tolist() == [0, 16000, 32000]
    assert clicks.max() == 1.0


@pytest.mark.parametrize("n_samples", [0, 1, 2])
def test_very_short_signals_are_made(n_samples: int) -> None:
    rng = np.random.default_rng(0)
    for signal in (
        generator.tone(n_samples, RATE_HZ),
        generator.sweep(n_samples, RATE_HZ),
        generator.white_noise(n_samples, rng),
        generator.pink_noise(n_samples, RATE_HZ, rng),
        generator.clicks(n_samples, RATE_HZ),
        generator.silence(n_samples),
    ):
        assert signal.shape == (n_samples,)
        assert np.isfinite(signal).all()
