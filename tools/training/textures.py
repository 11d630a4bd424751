# SPDX-License-Identifier: MIT
"""Sounds of no name: layers of noise, knocks and tones, each with a modulation of chance.

Nobody knows what they are; the teachers say what they are like, and the network learns to say
so too, of far more than there are recordings of.
Source: J. McDermott and E. Simoncelli, "Sound texture perception via statistics of the auditory
periphery", 2011, for bands and their modulation as what textures are made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tools.training.recordings import RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]


def texture(n_samples: int, rng: np.random.Generator) -> Float32:
    """Return (n_samples,) of one to three layers, the loudest of unit RMS."""
    samples = np.zeros(n_samples)
    for _ in range(int(rng.integers(1, 4))):
        layer = (_noise, _knocks, _tones)[int(rng.integers(3))](n_samples, rng)
        layer = layer / max(float(layer.std()), 1e-9)
        samples += 10.0 ** (-rng.uniform(0.0, 1.0)) * layer
    return np.asarray(samples / max(float(samples.std()), 1e-9), np.float32)


def _noise(n_samples: int, rng: np.random.Generator) -> Float64:
    """Return a band of noise that swells: surf, rotors, engines, breath, wind."""
    width = np.exp(rng.uniform(np.log(0.1), np.log(5.0)))
    noise = _band(rng.standard_normal(n_samples), _log_uniform(60.0, 7000.0, rng), width)
    return noise * _modulation(n_samples, rng)


def _knocks(n_samples: int, rng: np.random.Generator) -> Float64:
    """Return knocks that ring, in a beat or by chance: ticks, drops, crackling, steps, hoofs."""
    every_s = 1.0 / _log_uniform(0.8, 200.0, rng)
    beat = rng.random() < 0.5
    spread = 0.05 if beat else 1.0
    count = int(n_samples / RATE_HZ / every_s) + 2
    steps = np.maximum(every_s * (1.0 + spread * rng.standard_normal(count)), 1e-4)
    if not beat:
        steps = rng.exponential(every_s, count)
    starts = (np.cumsum(steps) * RATE_HZ).astype(int)
    starts = starts[starts < n_samples]
    knocks = np.zeros(n_samples)
    knocks[starts] = np.exp(rng.normal(0.0, rng.uniform(0.1, 1.5), starts.size))
    decay_s = _log_uniform(0.001, 0.15, rng)
    time_s = np.arange(int(6.0 * decay_s * RATE_HZ) + 2) / RATE_HZ
    ring = np.sin(2 * np.pi * _log_uniform(80.0, 6000.0, rng) * time_s)
    hiss = rng.uniform(0.0, 2.0) * rng.standard_normal(time_s.size)
    size = 1 << (n_samples + time_s.size - 1).bit_length()
    bell = np.fft.rfft((ring + hiss) * np.exp(-time_s / decay_s), size)
    heard = np.fft.irfft(np.fft.rfft(knocks, size) * bell, size)[:n_samples]
    return heard + 1e-6 * rng.standard_normal(n_samples)


def _tones(n_samples: int, rng: np.random.Generator) -> Float64:
    """Return a fundamental that glides and trembles, with harmonics: voices, calls, machines."""
    time_s = np.arange(n_samples) / RATE_HZ
    start_hz = _log_uniform(50.0, 3000.0, rng)
    glide = rng.normal(0.0, rng.choice([0.0, 0.5])) * time_s
    tremble = rng.uniform(0.0, 0.08) * np.sin(2 * np.pi * rng.uniform(2.0, 12.0) * time_s)
    freq_hz = np.clip(start_hz * np.exp(glide + tremble), 20.0, 7500.0)
    order = np.arange(1, 1 + int(rng.integers(1, 25)))[:, None]
    weights = rng.uniform(0.1, 1.0, order.shape) / order ** rng.uniform(0.0, 2.0)
    phase = 2 * np.pi * np.cumsum(freq_hz) / RATE_HZ
    waves = np.where(order * freq_hz < RATE_HZ / 2, weights * np.sin(order * phase), 0.0)
    return np.asarray(waves.sum(axis=0) * _modulation(n_samples, rng))


def _modulation(n_samples: int, rng: np.random.Generator) -> Float64:
    """Return (n_samples,) of 0 to 1: steady, in a beat, in bursts that decay, or at random."""
    time_s = np.arange(n_samples) / RATE_HZ
    turn = time_s * _log_uniform(0.4, 60.0, rng) + rng.random()
    depth = rng.uniform(0.3, 1.0)
    match rng.integers(5):
        case 0:
            return np.ones(n_samples)
        case 1:
            swell = (0.5 + 0.5 * np.sin(2 * np.pi * turn)) ** rng.uniform(0.5, 6.0)
        case 2:
            swell = np.exp(-(turn % 1.0) * rng.uniform(2.0, 12.0))
        case 3:
            swell = (turn % 1.0 < rng.uniform(0.1, 0.9)).astype(float)
        case _:
            slow = _band(rng.standard_normal(n_samples), _log_uniform(0.5, 30.0, rng), 1.0)
            swell = np.clip(0.5 + slow / max(2.0 * float(slow.std()), 1e-12), 0.0, 1.0)
    return 1.0 - depth + depth * swell


def _band(samples: Float64, centre_hz: float, width_octaves: float) -> Float64:
    spectrum = np.fft.rfft(samples)
    freq_hz = np.maximum(np.fft.rfftfreq(samples.size, 1.0 / RATE_HZ), 0.1)
    distance = np.log2(freq_hz / centre_hz) / (0.5 * width_octaves)
    return np.fft.irfft(spectrum * np.exp(-0.5 * np.square(distance)), samples.size)


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
