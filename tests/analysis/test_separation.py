# SPDX-License-Identifier: MIT
"""HPSS is librosa's, in the time domain and as shares of the energy."""

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.analysis.segment import Options, analyse_segment
from edge.analysis.separation import Separation, contrast, hpss, medians, weigh
from edge.analysis.spectrum import geometry, stft

RATE_HZ = 22050


def separation(samples: NDArray[np.float64]) -> Separation:
    return analyse_segment(samples.astype(np.float32), RATE_HZ, Options(stems=True)).separation


@pytest.mark.data
def test_both_parts_are_librosas_to_1e_5(recordings: list[NDArray[np.float32]]) -> None:
    for samples in recordings:
        harmonic, percussive = hpss(samples, RATE_HZ)
        expected_harmonic, expected_percussive = librosa.effects.hpss(samples)
        np.testing.assert_allclose(harmonic, expected_harmonic, atol=1e-5)
        np.testing.assert_allclose(percussive, expected_percussive, atol=1e-5)


@pytest.mark.data
def test_shares_are_those_of_librosas_masks(recordings: list[NDArray[np.float32]]) -> None:
    """At a margin of 2 a bin may be neither: that energy is the residual."""
    shape = geometry(RATE_HZ)
    for samples in recordings[::3]:
        magnitude = np.abs(stft(samples, shape))
        power = np.square(magnitude)
        got = weigh(power, contrast(medians(magnitude)), shape, None)
        masks = librosa.decompose.hpss(magnitude.T, mask=True, margin=2.0)
        harmonic, percussive = (float((mask.T * power).sum() / power.sum()) for mask in masks)
        assert got.harmonic_share == pytest.approx(harmonic, abs=1e-4)
        assert got.percussive_share == pytest.approx(percussive, abs=1e-4)
        assert got.residual_share == pytest.approx(1.0 - harmonic - percussive, abs=2e-4)


def test_a_tone_is_harmonic_and_clicks_are_percussive() -> None:
    time_s = np.arange(5 * RATE_HZ) / RATE_HZ
    tone = separation(0.1 * np.sin(2.0 * np.pi * 440.0 * time_s))
    assert tone.harmonic_share is not None
    assert tone.harmonic_share > 0.98
    clicks = np.zeros(time_s.size)
    clicks[5000::11025] = 0.9
    percussive = separation(clicks).percussive_share
    assert percussive is not None
    assert percussive > 0.98


def test_levels_say_which_frame_is_which() -> None:
    """A tone of -23 dBFS all along, and one click in the middle."""
    time_s = np.arange(4 * RATE_HZ) / RATE_HZ
    samples = 0.1 * np.sin(2.0 * np.pi * 1000.0 * time_s)
    samples[2 * RATE_HZ] += 0.9
    parts = separation(samples)
    inside = slice(20, -20)
    np.testing.assert_allclose(parts.harmonic_dbfs[inside], -23.01, atol=0.2)
    middle = parts.percussive_dbfs[inside].argmax() + 20
    assert abs(middle * 512 - 2 * RATE_HZ) < 2048
    assert parts.percussive_dbfs[40] < parts.percussive_dbfs[middle] - 30.0


def test_stems_sum_to_the_recording_and_are_made_when_asked_for() -> None:
    samples = np.random.default_rng(2).uniform(-1, 1, 30000).astype(np.float32)
    parts = separation(samples)
    assert parts.harmonic is not None
    assert parts.percussive is not None
    np.testing.assert_allclose(parts.harmonic + parts.percussive, samples, atol=1e-6)
    without = analyse_segment(samples, RATE_HZ, Options()).separation
    assert without.harmonic is None
    assert without.percussive is None


def test_silence_is_neither() -> None:
    parts = separation(np.zeros(22050))
    assert parts.harmonic_share is parts.percussive_share is parts.residual_share is None
    assert parts.harmonic is not None
    assert not parts.harmonic.any()
    assert (parts.harmonic_dbfs == -100.0).all()


def test_where_both_medians_are_nothing_it_is_half_of_each() -> None:
    """As librosa splits zeros: a lone peak is neither harmonic nor percussive."""
    magnitude = np.zeros((80, 1025), np.float32)
    magnitude[40, 500] = 1.0
    masks = librosa.decompose.hpss(magnitude.T, mask=True)
    ratio = contrast(medians(magnitude))
    np.testing.assert_array_equal(1.0 / (1.0 + ratio), masks[0].T)
    assert ratio[40, 500] == 1.0


@pytest.mark.parametrize("scale", [1e-20, 1e-12, 1e6])
def test_the_shares_don_t_depend_on_the_gain(scale: float) -> None:
    """Squares of what is this quiet are zero in float32: the ratio is squared, not they."""
    noise = np.random.default_rng(3).standard_normal(22050)
    shape = geometry(RATE_HZ)
    magnitude = np.abs(stft(noise.astype(np.float32), shape))
    ratio = contrast(medians(magnitude * np.float32(scale)))
    np.testing.assert_allclose(ratio, contrast(medians(magnitude)), rtol=1e-4)
