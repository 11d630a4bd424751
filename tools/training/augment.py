# SPDX-License-Identifier: MIT
"""Sounds as other rooms, microphones and distances would give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import soxr

from tools.training.recordings import RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

PACE_SHARE: Final = 0.6
ROOM_SHARE: Final = 0.35
MICROPHONE_SHARE: Final = 0.5
BAND_SHARE: Final = 0.25


def faster(size: int, rng: np.random.Generator) -> tuple[int, float]:
    """Return how many samples become `size`, and the ratio: another pace and pitch, or the same."""
    if rng.random() > PACE_SHARE:
        return size, 1.0
    pace = float(np.exp(rng.uniform(np.log(0.84), np.log(1.19))))
    return round(size * pace), pace


def at_pace(samples: Float32, pace: float, size: int) -> Float32:
    """Return `size` samples, played `pace` times as fast."""
    if pace == 1.0:
        return samples
    played = soxr.resample(samples, pace * RATE_HZ, RATE_HZ, quality="MQ")[:size]
    return np.pad(played, (0, size - played.size))


def room(samples: Float32, rng: np.random.Generator) -> Float32:
    """Return the samples in a room: direct sound, then a tail that falls by 60 dB in 0.1-1 s."""
    if rng.random() > ROOM_SHARE:
        return samples
    decay_s = np.exp(rng.uniform(np.log(0.1), np.log(1.0)))
    time_s = np.arange(int(decay_s * RATE_HZ)) / RATE_HZ
    tail = rng.standard_normal(time_s.size) * 10.0 ** (-3.0 * time_s / decay_s)
    tail[: int(0.002 * RATE_HZ)] = 0.0
    # From 12 dB of direct sound over the tail to 3 dB under it.
    tail *= 10.0 ** (-rng.uniform(-3.0, 12.0) / 20.0) / np.sqrt(np.square(tail).sum())
    tail[0] = 1.0
    size = 1 << (samples.size + tail.size - 1).bit_length()
    heard = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail, size), size)
    return heard[: samples.size].astype(np.float32)


def microphone(samples: Float32, rng: np.random.Generator) -> Float32:
    """Return the samples with a smooth response over frequency, now and then a narrow band."""
    size = 1 << (samples.size - 1).bit_length()
    spectrum = np.fft.rfft(samples, size)
    freq_hz = np.maximum(np.fft.rfftfreq(size, 1.0 / RATE_HZ), 1.0)
    gain_db = np.zeros(freq_hz.size)
    if rng.random() < MICROPHONE_SHARE:
        knots_hz = np.log([50.0, 150.0, 500.0, 1500.0, 4000.0, 8000.0])
        gain_db += np.interp(np.log(freq_hz), knots_hz, rng.normal(0.0, 4.0, 6))
    if rng.random() < BAND_SHARE:
        low_hz, high_hz = np.exp(rng.uniform(np.log([40.0, 2500.0]), np.log([500.0, 8000.0])))
        gain_db -= 12.0 * np.log2(np.maximum(low_hz / freq_hz, 1.0))
        gain_db -= 24.0 * np.log2(np.maximum(freq_hz / high_hz, 1.0))
    heard = np.fft.irfft(spectrum * 10.0 ** (gain_db / 20.0), size)
    return heard[: samples.size].astype(np.float32)


def mix(window: Float32, other: Float32, snr_db: float) -> Float32:
    """Return the sum, the power of the window `snr_db` above that of the other."""
    power = float(np.square(window).mean())
    other_power = max(float(np.square(other).mean()), 1e-12)
    return window + other * np.float32(np.sqrt(power / other_power * 10.0 ** (-snr_db / 10.0)))


def level(window: Float32, rng: np.random.Generator) -> Float32:
    """Return the window as any microphone might deliver it: +-20 dB, clipped at full scale."""
    gain = np.float32(10.0 ** (rng.uniform(-20.0, 20.0) / 20.0))
    return np.asarray(np.clip(window * gain, -1.0, 1.0), np.float32)
