# SPDX-License-Identifier: MIT
"""The shared spectrum is librosa's, and comes back as the samples it was made of."""

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.analysis.spectrum import Geometry, geometry, istft, stft


@pytest.mark.parametrize(
    ("rate_hz", "n_fft"),
    [(8000, 1024), (16000, 2048), (22050, 2048), (44100, 4096), (48000, 4096), (192000, 16384)],
)
def test_a_window_is_about_as_long_at_any_rate(rate_hz: int, n_fft: int) -> None:
    shape = geometry(rate_hz)
    assert (shape.n_fft, shape.hop_length) == (n_fft, n_fft // 4)
    assert 0.06 < shape.n_fft / rate_hz < 0.14
    assert shape.bins_hz[-1] == rate_hz / 2


@pytest.mark.data
def test_spectrum_and_way_back_are_librosas(recordings: list[NDArray[np.float32]]) -> None:
    shape = geometry(22050)
    for samples in recordings:
        expected = librosa.stft(samples)
        spectrum = stft(samples, shape)
        assert spectrum.dtype == np.complex64
        np.testing.assert_allclose(spectrum.T, expected, atol=1e-6 * np.abs(expected).max())
        quieter = spectrum * np.linspace(1.0, 0.0, 1025, dtype=np.float32)
        back = librosa.istft(quieter.T, length=samples.size)
        np.testing.assert_allclose(istft(quieter, shape, samples.size), back, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(n_samples=st.integers(1, 6000), seed=st.integers(0, 2**32 - 1))
def test_any_length_comes_back(n_samples: int, seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, n_samples).astype(np.float32)
    shape = Geometry(8000, 1024)
    spectrum = stft(samples, shape)
    assert spectrum.shape == (1 + n_samples // 256, 513)
    np.testing.assert_allclose(istft(spectrum, shape, n_samples), samples, atol=2e-6)


def test_a_frame_of_noise_at_0_dbfs_has_the_power_of_full_scale() -> None:
    shape = geometry(22050)
    noise = np.random.default_rng(1).standard_normal(22050 * 20).astype(np.float32)
    power = np.square(np.abs(stft(noise, shape)[4:-4])).sum(axis=1).mean()
    assert power == pytest.approx(shape.full_scale_power, rel=0.02)
