# SPDX-License-Identifier: MIT
"""Pure generators of test signals: (n_samples,) float32, full scale +-1.0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Signal = NDArray[np.float32]


def silence(n_samples: int) -> Signal:
    """Return zeros."""
    return np.zeros(n_samples, dtype=np.float32)


def tone(
    n_samples: int, rate_hz: int, *, freq_hz: float = 1000.0, level_dbfs: float = -20.0
) -> Signal:
    """Return a sine that starts at phase zero; `level_dbfs` is its peak."""
    phase = 2 * np.pi * freq_hz / rate_hz * np.arange(n_samples)
    return _float32(_amplitude(level_dbfs) * np.sin(phase))


def sweep(
    n_samples: int,
    rate_hz: int,
    *,
    low_hz: float = 20.0,
    high_hz: float | None = None,
    level_dbfs: float = -20.0,
) -> Signal:
    """Return one exponential sine sweep from `low_hz` to `high_hz` (0.45 of the rate).

    Source: A. Farina, "Simultaneous measurement of impulse response and distortion with
    a swept-sine technique", AES 108 (2000), eq. 3.
    """
    high_hz = 0.45 * rate_hz if high_hz is None else high_hz
    octaves = np.log(high_hz / low_hz)
    position = np.arange(n_samples) / max(n_samples, 1)
    phase = 2 * np.pi * low_hz * n_samples / rate_hz / octaves * np.expm1(position * octaves)
    return _float32(_amplitude(level_dbfs) * np.sin(phase))


def white_noise(n_samples: int, rng: np.random.Generator, *, level_dbfs: float = -20.0) -> Signal:
    """Return Gaussian noise; `level_dbfs` is its RMS."""
    return rng.standard_normal(n_samples, dtype=np.float32) * np.float32(_amplitude(level_dbfs))


def pink_noise(
    n_samples: int, rate_hz: int, rng: np.random.Generator, *, level_dbfs: float = -20.0
) -> Signal:
    """Return noise with equal power in each octave above 10 Hz; `level_dbfs` is its RMS."""
    if n_samples == 0:
        return silence(0)
    spectrum = np.fft.rfft(rng.standard_normal(n_samples, dtype=np.float32))
    freq_hz = np.fft.rfftfreq(n_samples, 1 / rate_hz)
    spectrum /= np.sqrt(np.maximum(freq_hz, 10.0)).astype(np.float32)
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, n_samples)
    rms = np.sqrt(np.mean(np.square(noise, dtype=np.float64)))
    return _float32(noise * (_amplitude(level_dbfs) / max(rms, 1e-12)))


def clicks(
    n_samples: int, rate_hz: int, *, per_second: float = 2.0, level_dbfs: float = -6.0
) -> Signal:
    """Return single samples at `level_dbfs`, evenly spaced from the first sample on."""
    signal = silence(n_samples)
    at = np.arange(0, n_samples / rate_hz, 1 / per_second)
    signal[np.minimum(np.round(at * rate_hz).astype(np.int64), n_samples - 1)] = _amplitude(
        level_dbfs
    )
    return signal


def _float32(values: NDArray[np.floating]) -> Signal:
    return values.astype(np.float32)


def _amplitude(level_dbfs: float) -> float:
    return float(10 ** (level_dbfs / 20))
