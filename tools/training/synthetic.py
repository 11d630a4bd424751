# SPDX-License-Identifier: MIT
"""Sounds that are nothing in particular: noise, hum, tones and silence, as counter-examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tools.training.recordings import RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray


def coloured_noise(n_samples: int, slope: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return noise of unit RMS; its power falls as frequency ** `slope` (1: pink)."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    bins = np.maximum(np.arange(spectrum.size), 1.0)
    noise = np.fft.irfft(spectrum * bins ** (-slope / 2.0), n_samples)
    return _float32(noise / max(float(noise.std()), 1e-12))


def hum(n_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return mains hum or a steady machine: a fundamental and falling harmonics."""
    fundamental_hz = rng.choice([50.0, 60.0, rng.uniform(20.0, 400.0)])
    order = np.arange(1, 1 + int(rng.integers(1, 20)))[:, None]
    time_s = np.arange(n_samples) / RATE_HZ
    phases = rng.uniform(0, 2 * np.pi, order.shape)
    waves = np.sin(2 * np.pi * fundamental_hz * order * time_s + phases)
    return _float32((waves / order ** rng.uniform(0.5, 2.0)).sum(axis=0) * 0.3)


def tone(n_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a tone that may glide and beep."""
    start_hz, end_hz = np.exp(rng.uniform(np.log(80.0), np.log(6000.0), 2))
    if rng.random() < 0.5:
        end_hz = start_hz
    freq_hz = np.linspace(start_hz, end_hz, n_samples)
    wave = np.sin(2 * np.pi * np.cumsum(freq_hz) / RATE_HZ)
    if rng.random() < 0.5:
        beep_s = rng.uniform(0.05, 0.6)
        wave *= (np.arange(n_samples) / RATE_HZ % (2 * beep_s)) < beep_s
    return _float32(0.5 * wave)


def counter_example(n_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return one of the above, or silence, over a faint noise floor."""
    kind = rng.integers(6)
    floor = 10.0 ** rng.uniform(-5.0, -2.5) * coloured_noise(n_samples, rng.uniform(0, 2), rng)
    if kind == 0:
        return _float32(floor * (rng.random() < 0.8))
    if kind == 1:
        return _float32(floor + hum(n_samples, rng))
    if kind == 2:
        return _float32(floor + tone(n_samples, rng))
    # Steady noise of any colour: a fan, a ventilation; often white, as a microphone's own.
    rms = 10.0 ** rng.uniform(-3.0, -0.5)
    slope = rng.choice([0.0, 1.0, 2.0, rng.uniform(-0.5, 2.5)])
    return _float32(floor + rms * coloured_noise(n_samples, slope, rng))


def _float32(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(samples, np.float32)
