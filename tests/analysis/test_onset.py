# SPDX-License-Identifier: MIT
"""Onsets are librosa's; regularity tells a clock and a hammer from rain and a knock."""

from pathlib import Path

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.analysis.onset import Onsets, find_onsets, find_period, onset_strength, pick_onsets
from edge.analysis.segment import Options, analyse_segment, log_mel_of
from edge.analysis.spectrum import geometry, stft
from tests.analysis.conftest import of_class, read

RATE_HZ = 22050
SHAPE = geometry(RATE_HZ)


def strikes(times_s: NDArray[np.float64], decay_s: float) -> NDArray[np.float32]:
    """Ten seconds of faint noise with short bursts of unequal strength."""
    rng = np.random.default_rng(8)
    samples = 1e-3 * rng.standard_normal(10 * RATE_HZ)
    n_burst = RATE_HZ // 5
    envelope = 0.3 * np.exp(-np.arange(n_burst) / (RATE_HZ * decay_s))
    for start in (times_s * RATE_HZ).astype(int):
        burst = envelope * rng.standard_normal(n_burst) * rng.uniform(0.7, 1.3)
        samples[start : start + n_burst] += burst[: samples.size - start]
    return samples.astype(np.float32)


def onsets(samples: NDArray[np.float32]) -> Onsets:
    log_mel = log_mel_of(np.square(np.abs(stft(samples, SHAPE))), SHAPE)
    return find_onsets(log_mel, SHAPE, samples.size / RATE_HZ)


@pytest.mark.data
def test_strength_and_onsets_are_librosas(recordings: list[NDArray[np.float32]]) -> None:
    """The strength within 1e-4 dB, and the same frames to the last one."""
    for samples in recordings:
        got = onsets(samples)
        expected = librosa.onset.onset_strength(y=samples, sr=RATE_HZ)
        np.testing.assert_allclose(got.strength, expected, atol=1e-4)
        times_s = librosa.onset.onset_detect(y=samples, sr=RATE_HZ, units="time")
        np.testing.assert_allclose(got.times_s, times_s)
        assert got.rate_per_s == pytest.approx(len(times_s) / (samples.size / RATE_HZ))


def test_a_stretch_that_goes_on_has_the_onsets_of_the_whole() -> None:
    """But for the two frames at the seam, which nobody knows of."""
    times_s = np.arange(0.33, 9.5, 0.7)
    samples = np.tile(strikes(times_s, 0.05), 2)
    half = 400 * SHAPE.hop_length
    whole = onsets(samples)
    first = onsets(samples[:half])
    log_mel = log_mel_of(np.square(np.abs(stft(samples[half:], SHAPE))), SHAPE)
    second = find_onsets(log_mel, SHAPE, (samples.size - half) / RATE_HZ, first)
    np.testing.assert_allclose(second.strength[6:], whole.strength[406:], atol=1e-3)
    assert second.strength[:5].max() == 0.0
    later_s = [time_s - half / RATE_HZ for time_s in whole.times_s if time_s > half / RATE_HZ + 0.2]
    np.testing.assert_allclose([t for t in second.times_s if t > 0.2], later_s, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(n_frames=st.integers(2, 300), kinds=st.integers(1, 50), seed=st.integers(0, 2**32 - 1))
def test_any_strength_has_librosas_peaks(n_frames: int, kinds: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, kinds + 1, n_frames)
    strength = (values / 7.0).astype(np.float32)
    expected = librosa.onset.onset_detect(onset_envelope=strength, sr=RATE_HZ)
    np.testing.assert_array_equal(pick_onsets(strength, SHAPE), expected)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 4])
def test_a_recording_of_few_frames_has_a_strength_for_each(n_frames: int) -> None:
    log_mel = np.zeros((n_frames, 128), np.float32)
    np.testing.assert_array_equal(onset_strength(log_mel, SHAPE), np.zeros(n_frames))


def test_a_clock_is_regular() -> None:
    clock = onsets(strikes(np.arange(0.3, 10.0, 1.0), 0.01))
    assert len(clock.times_s) == 10
    assert clock.regularity is not None
    assert clock.regularity > 0.9
    assert clock.period_s == pytest.approx(1.0, abs=0.005)


def test_hammering_by_hand_is_regular_at_three_a_second() -> None:
    """Each blow up to some 30 ms early or late."""
    at_s = np.arange(0.2, 9.8, 1.0 / 3.0)
    hammer = onsets(strikes(at_s + np.random.default_rng(9).normal(0.0, 0.015, at_s.size), 0.03))
    assert hammer.regularity is not None
    assert hammer.regularity > 0.7
    assert hammer.period_s == pytest.approx(1.0 / 3.0, abs=0.01)


@pytest.mark.parametrize("n_strikes", [20, 60, 600])
def test_drops_at_any_time_are_not_regular(n_strikes: int) -> None:
    at_s = np.sort(np.random.default_rng(10).uniform(0.0, 9.9, n_strikes))
    drops = onsets(strikes(at_s, 0.005))
    assert len(drops.times_s) > 10
    assert drops.regularity is not None
    assert drops.regularity < 0.35


def test_a_single_knock_has_no_regularity() -> None:
    knock = onsets(strikes(np.array([4.0]), 0.01))
    # As librosa does, the beginning of the recording may be taken for one.
    assert 1 <= len(knock.times_s) <= 2
    assert knock.times_s[-1] == pytest.approx(4.0, abs=SHAPE.n_fft / RATE_HZ)
    assert knock.regularity is None
    assert knock.period_s is None


def test_what_never_changes_has_no_period() -> None:
    assert find_period(np.ones(400, np.float32), SHAPE.hop_s) == (0.0, None)
    assert find_period(np.zeros(400, np.float32), SHAPE.hop_s) == (0.0, None)


@pytest.mark.data
def test_real_clocks_are_told_from_real_rain(data: Path) -> None:
    """Of ESC-10: nine clocks of ten are over 0.6, nine rains of ten under 0.4."""
    clocks, rains = (
        [onsets(read(file)).regularity or 0.0 for file in of_class(data, name)]
        for name in ("clock_tick", "rain")
    )
    assert len(clocks) > 15
    assert len(rains) > 15
    assert np.percentile(clocks, 10) > 0.6
    assert np.percentile(rains, 90) < 0.4


def test_silence_has_no_onsets() -> None:
    silence = analyse_segment(np.zeros(RATE_HZ, np.float32), RATE_HZ, Options()).onsets
    assert silence.times_s == ()
    assert silence.rate_per_s == 0.0
    assert silence.regularity is None
