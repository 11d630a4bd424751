# SPDX-License-Identifier: MIT
"""Pieces that procedural sounds are made of: shaped noise, grains, voices, a room.

All take and return (n_samples,) float32; all shaping is done by one FFT over the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Signal = NDArray[np.float32]
    Curve = Sequence[tuple[float, float]]


def _fast_length(n_samples: int) -> int:
    """Return the next length that an FFT likes: 2**a or 3 * 2**a."""
    power = 1 << max(n_samples - 1, 1).bit_length()
    return 3 * power // 4 if 3 * power // 4 >= n_samples else power


def shape(signal: ArrayLike, rate_hz: int, curve_db: Curve) -> Signal:
    """Filter with zero phase; `curve_db` is (Hz, dB) points, straight over log Hz."""
    samples = np.asarray(signal, dtype=np.float32)
    n_fft = _fast_length(len(samples) + rate_hz // 20)
    freq_hz = np.fft.rfftfreq(n_fft, 1 / rate_hz)
    gain_db = np.interp(
        np.log(np.maximum(freq_hz, 1.0)),
        np.log([point[0] for point in curve_db]),
        [point[1] for point in curve_db],
    )
    gain = (10 ** (gain_db / 20)).astype(np.float32)
    return _float32(np.fft.irfft(np.fft.rfft(samples, n_fft) * gain, n_fft)[: len(samples)])


def noise(n_samples: int, rate_hz: int, rng: np.random.Generator, curve_db: Curve) -> Signal:
    """Return Gaussian noise of that spectrum, at an RMS of 1."""
    return unit(shape(rng.standard_normal(n_samples, dtype=np.float32), rate_hz, curve_db))


def unit(signal: Signal) -> Signal:
    """Return the signal at an RMS of 1; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))) if len(signal) else 0.0
    return signal / np.float32(max(rms, 1e-9))


def drift(n_samples: int, rate_hz: int, rng: np.random.Generator, *, per_second: float) -> Signal:
    """Return a smooth random curve of mean 0 and deviation 1, with so many free points."""
    n_points = max(4, int(n_samples / rate_hz * per_second) + 3)
    points = rng.standard_normal(n_points)
    at = np.linspace(0, n_points - 1, n_samples)
    index = np.minimum(at.astype(np.int64), n_points - 2)
    # A raised-cosine step between points: no corner, which an ear would hear.
    step = 0.5 - 0.5 * np.cos(np.pi * (at - index))
    return _float32(points[index] * (1 - step) + points[index + 1] * step)


def scatter(
    n_samples: int,
    at: NDArray[np.int64],
    amplitudes: ArrayLike,
    kernels: Sequence[Signal],
    rng: np.random.Generator,
) -> Signal:
    """Return the kernels, one at random for each place, at these places and amplitudes."""
    longest = max(len(kernel) for kernel in kernels)
    n_fft = _fast_length(n_samples + longest)
    total = np.zeros(n_fft // 2 + 1, dtype=np.complex64)
    which = rng.integers(0, len(kernels), len(at))
    amplitude = np.broadcast_to(np.asarray(amplitudes, dtype=np.float32), at.shape)
    for number, kernel in enumerate(kernels):
        chosen = (which == number) & (at >= 0) & (at < n_samples)
        train = np.bincount(at[chosen], amplitude[chosen], n_samples).astype(np.float32)
        total += np.fft.rfft(train, n_fft) * np.fft.rfft(kernel, n_fft)
    return _float32(np.fft.irfft(total, n_fft)[:n_samples])


def poisson(
    n_samples: int, rate_hz: int, rng: np.random.Generator, *, per_second: float
) -> NDArray[np.int64]:
    """Return places of events that know nothing of each other."""
    count = rng.poisson(n_samples / rate_hz * per_second)
    return np.sort(rng.integers(0, max(n_samples, 1), count))


def ring(rate_hz: int, modes: Sequence[tuple[float, float, float]], seconds: float) -> Signal:
    """Return a struck body: (Hz, decay in s to 1/e, amplitude) of each mode."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    total = np.zeros(len(t))
    for freq_hz, decay_s, amplitude in modes:
        if freq_hz < 0.45 * rate_hz:
            total += amplitude * np.exp(-t / decay_s) * np.sin(2 * np.pi * freq_hz * t)
    return _float32(total)


def burst(rate_hz: int, rng: np.random.Generator, *, decay_s: float, curve_db: Curve) -> Signal:
    """Return a burst of shaped noise that decays to 1/e in `decay_s`."""
    n_samples = max(8, round(6 * decay_s * rate_hz))
    decay = np.exp(-np.arange(n_samples) / (decay_s * rate_hz))
    return unit(shape(rng.standard_normal(n_samples) * decay, rate_hz, curve_db))


def voice(
    pitch_hz: NDArray[np.floating], rate_hz: int, *, n_harmonics: int, tilt_db: float
) -> Signal:
    """Return a harmonic sound that follows `pitch_hz`, falling by `tilt_db` per octave.

    Harmonics above 0.45 of the rate are left out, so that nothing folds back.
    """
    phase = 2 * np.pi * np.cumsum(pitch_hz / rate_hz)
    total = np.zeros(len(phase), dtype=np.float32)
    for harmonic in range(1, n_harmonics + 1):
        audible = pitch_hz * harmonic < 0.45 * rate_hz
        if not audible.any():
            break
        gain = np.float32(10 ** (tilt_db * np.log2(harmonic) / 20))
        total += gain * audible * np.sin(harmonic * phase, dtype=np.float32, casting="same_kind")
    return total


def contour(n_samples: int, points: Curve) -> NDArray[np.float64]:
    """Return a curve through (position 0..1, value) points, straight between them."""
    return np.interp(
        np.linspace(0, 1, n_samples), [at for at, _ in points], [value for _, value in points]
    )


def room(
    signal: Signal, rate_hz: int, rng: np.random.Generator, *, decay_s: float, wet: float
) -> Signal:
    """Return the signal with a diffuse room around it, of the same length."""
    n_tail = round(4 * decay_s * rate_hz)
    white = rng.standard_normal(n_tail) * np.exp(-np.arange(n_tail) / (decay_s * rate_hz))
    tail = shape(white, rate_hz, [(60, -12), (200, 0), (2000, 0), (8000, -9), (20000, -20)])
    tail *= wet / max(float(np.sqrt(np.sum(tail**2))), 1e-9)
    n_fft = _fast_length(len(signal) + n_tail)
    wide = np.fft.rfft(signal, n_fft) * (1 + np.fft.rfft(tail, n_fft))
    return _float32(np.fft.irfft(wide, n_fft)[: len(signal)])


def _float32(values: NDArray[np.floating]) -> Signal:
    return values.astype(np.float32, copy=False)
