# SPDX-License-Identifier: MIT
"""Spectral figures are librosa's; levels are those of the definition."""

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.analysis.figures import describe, frame_figures, measure_levels
from edge.analysis.spectrum import geometry, stft

SHAPE = geometry(22050)


@pytest.mark.data
def test_figures_of_each_frame_are_librosas(recordings: list[NDArray[np.float32]]) -> None:
    """Within 0.01 Hz, 1e-5 for the flatness; a roll-off may round to the bin beside."""
    feature = librosa.feature
    for samples in recordings[::2]:
        magnitude = np.abs(librosa.stft(samples))
        sounding = magnitude.sum(axis=0) > 0.0
        got = frame_figures(magnitude.T[sounding], np.square(magnitude.T[sounding]), SHAPE)
        given = {"S": magnitude[:, sounding]}
        centroid = feature.spectral_centroid(**given, sr=22050)[0]
        np.testing.assert_allclose(got.centroid_hz, centroid, atol=0.01)
        bandwidth = feature.spectral_bandwidth(**given, sr=22050)[0]
        np.testing.assert_allclose(got.bandwidth_hz, bandwidth, atol=0.01)
        flatness = feature.spectral_flatness(**given)[0]
        np.testing.assert_allclose(got.flatness, flatness, atol=1e-5)
        rolloff = feature.spectral_rolloff(**given, sr=22050)[0]
        np.testing.assert_allclose(got.rolloff_hz, rolloff, atol=22050 / 2048 + 0.01)
        assert np.mean(got.rolloff_hz != rolloff) < 0.01


def test_the_narrow_band_of_a_high_tone_is_librosas() -> None:
    """The difference of two moments of a hundred million: float32 would be 1 Hz off."""
    tone = np.sin(2.0 * np.pi * 10000.0 * np.arange(22050) / 22050).astype(np.float32)
    magnitude = np.abs(librosa.stft(tone))
    got = frame_figures(magnitude.T, np.square(magnitude.T), SHAPE)
    expected = librosa.feature.spectral_bandwidth(S=magnitude, sr=22050)[0]
    np.testing.assert_allclose(got.bandwidth_hz, expected, atol=0.01)


def test_silent_frames_don_t_count() -> None:
    """A tone in the first half, silence after it: the figures are the tone's."""
    time_s = np.arange(2 * 22050) / 22050
    sound = 0.1 * np.sin(2.0 * np.pi * 2000.0 * time_s) * np.minimum(1.0, 2.0 * (time_s < 1.0))
    magnitude = np.abs(stft(sound.astype(np.float32), SHAPE))
    figures = describe(magnitude, np.square(magnitude), SHAPE)
    assert figures is not None
    assert figures.centroid_hz.p10 == pytest.approx(2000.0, abs=30.0)
    assert figures.rolloff_hz.p10 == pytest.approx(2000.0, abs=30.0)
    assert figures.flatness.p10 < 1e-3
    assert figures.centroid_hz.p10 <= figures.centroid_hz.mean


def test_silence_has_no_figures() -> None:
    silence = np.zeros((5, 1025), np.float32)
    assert describe(silence, silence, SHAPE) is None


def test_levels_of_a_full_scale_sine() -> None:
    sine = np.sin(2.0 * np.pi * 100.0 * np.arange(22050) / 22050).astype(np.float32)
    levels = measure_levels(sine)
    assert levels.rms_dbfs == pytest.approx(-3.01, abs=0.01)
    assert levels.peak_dbfs == pytest.approx(0.0, abs=0.01)
    assert levels.crest_db == pytest.approx(3.01, abs=0.01)


def test_a_peak_below_zero_is_a_peak() -> None:
    samples = np.array([0.0, 0.1, -0.5, 0.2], np.float32)
    assert measure_levels(samples).peak_dbfs == pytest.approx(-6.02, abs=0.01)


def test_a_square_wave_has_no_crest() -> None:
    square = np.sign(np.sin(np.arange(1000.0) + 0.5)).astype(np.float32)
    assert measure_levels(square).crest_db == pytest.approx(0.0, abs=1e-6)


def test_silence_has_no_level() -> None:
    levels = measure_levels(np.zeros(100, np.float32))
    assert levels.rms_dbfs is levels.peak_dbfs is levels.crest_db is None
