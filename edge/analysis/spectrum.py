# SPDX-License-Identifier: MIT
"""The spectrum that every part of an analysis shares, there and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Complex64 = NDArray[np.complex64]
    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

# librosa's geometry, 93 ms in steps of 23 ms, at the rate for which it was chosen.
_BASE_RATE_HZ: Final = 22050
_BASE_N_FFT: Final = 2048
_HOPS_PER_WINDOW: Final = 4

# Frames at once: what is computed of them stays in a processor's second cache.
_BATCH_FRAMES: Final = 32


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a recording is cut into frames; `n_fft` is a power of two, a hop a quarter of it."""

    rate_hz: int
    n_fft: int

    @property
    def hop_length(self) -> int:
        """Samples from frame to frame."""
        return self.n_fft // _HOPS_PER_WINDOW

    @property
    def hop_s(self) -> float:
        """Seconds from frame to frame."""
        return self.hop_length / self.rate_hz

    @property
    def full_scale_power(self) -> float:
        """What the squared magnitudes of a frame sum to at an RMS of 1.0 (0 dBFS)."""
        # Parseval over half of the bins; the mean of the squared Hann window is 3/8.
        return self.n_fft**2 * 3.0 / 16.0

    @property
    def bins_hz(self) -> Float64:
        """The frequency of each bin, (n_fft // 2 + 1,) float64."""
        bins = np.arange(self.n_fft // 2 + 1, dtype=np.float64)
        return bins * (self.rate_hz / self.n_fft)


def geometry(rate_hz: int) -> Geometry:
    """Return windows of 60 to 130 ms for any rate: 2048 samples at 16 to 31 kHz."""
    octaves = round(math.log2(rate_hz / _BASE_RATE_HZ))
    return Geometry(rate_hz, int(_BASE_N_FFT * 2.0**octaves))


def stft(samples: Float32, shape: Geometry) -> Complex64:
    """Return the spectrum of centred frames, (1 + n_samples // hop_length, n_fft // 2 + 1).

    librosa's `stft` with its defaults, transposed: a periodic Hann window, zeros beyond
    both ends. The FFT is in float32.

    Parameters
    ----------
    samples : (n_samples,) float32.
    """
    padded = np.pad(samples, shape.n_fft // 2)
    frames = sliding_window_view(padded, shape.n_fft)[:: shape.hop_length]
    spectrum = np.empty((len(frames), shape.n_fft // 2 + 1), np.complex64)
    # "forward" divides by n_fft and lets NumPy stay in float32 (its own scale, the integer 1,
    # would make it compute in float64); n_fft is a power of two, so nothing is rounded by it.
    taper = hann(shape.n_fft) * np.float32(shape.n_fft)
    for first in range(0, len(frames), _BATCH_FRAMES):
        batch = slice(first, first + _BATCH_FRAMES)
        np.fft.rfft(frames[batch] * taper, norm="forward", out=spectrum[batch])  # type: ignore[arg-type] # it may be
    return spectrum


def istft(spectrum: Complex64, shape: Geometry, n_samples: int) -> Float32:
    """Return the samples, (n_samples,) float32, whose frames are nearest to `spectrum`.

    librosa's `istft` with its defaults, transposed: overlapped with the window and divided
    by the sum of its squares.
    """
    hop, n_frames = shape.hop_length, len(spectrum)
    window = hann(shape.n_fft)
    hops = np.zeros((n_frames + _HOPS_PER_WINDOW - 1, hop), np.float32)
    for first in range(0, n_frames, _BATCH_FRAMES):
        frames = np.fft.irfft(spectrum[first : first + _BATCH_FRAMES])
        frames *= window
        quarters = frames.reshape(-1, _HOPS_PER_WINDOW, hop)
        for quarter in range(_HOPS_PER_WINDOW):
            start = first + quarter
            hops[start : start + len(frames)] += quarters[:, quarter]
    weight = np.zeros_like(hops)
    for quarter, squares in enumerate(np.square(window).reshape(_HOPS_PER_WINDOW, hop)):
        weight[quarter : quarter + n_frames] += squares
    np.divide(hops, weight, out=hops, where=weight > np.finfo(np.float32).tiny)
    start = shape.n_fft // 2
    return hops.reshape(-1)[start : start + n_samples]


@lru_cache(maxsize=8)
def hann(n_samples: int) -> Float32:
    """Return the periodic Hann window, (n_samples,) float32; not to be written to."""
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_samples) / n_samples)
    single = window.astype(np.float32)
    single.flags.writeable = False
    return single
