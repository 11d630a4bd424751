# SPDX-License-Identifier: MIT
"""Sounds that are nothing in particular: noise, hum, tones, babble, thumps and silence."""

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
    """Return a tone that may glide."""
    start_hz, end_hz = np.exp(rng.uniform(np.log(80.0), np.log(6000.0), 2))
    if rng.random() < 0.5:
        end_hz = start_hz
    freq_hz = np.linspace(start_hz, end_hz, n_samples)
    return _float32(0.5 * np.sin(2 * np.pi * np.cumsum(freq_hz) / RATE_HZ))


def alarm(n_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return beeps of one or two pitches, or a wail, with harmonics: what alarms are made of."""
    time_s = np.arange(n_samples) / RATE_HZ
    first_hz, second_hz = rng.uniform(500.0, 3600.0, 2)
    turn = time_s / rng.uniform(0.15, 1.2) + rng.uniform(0, 2)
    match rng.integers(3):
        case 0:  # beeps
            freq_hz, gate = np.full(n_samples, first_hz), turn % 1.0 < rng.uniform(0.3, 0.7)
        case 1:  # two pitches in turns
            freq_hz, gate = (
                np.where(turn % 1.0 < 0.5, first_hz, second_hz),
                np.full(n_samples, fill_value=True),
            )
        case _:  # a wail
            swing = 0.5 + 0.5 * np.sin(2 * np.pi * turn)
            freq_hz, gate = 500.0 + first_hz / 3.0 * swing, np.full(n_samples, fill_value=True)
    order = np.arange(1, 1 + int(rng.integers(1, 6)))[:, None]
    waves = np.sin(2 * np.pi * order * np.cumsum(freq_hz) / RATE_HZ)
    heard = (order * freq_hz < RATE_HZ / 2) / order ** rng.uniform(0.5, 2.0)
    return _float32(0.3 * (waves * heard).sum(axis=0) * gate)


def music(n_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return notes of a scale one after the other, over a chord or a beat now and then."""
    beat = int(rng.uniform(0.12, 0.6) * RATE_HZ)
    root_hz = np.exp(rng.uniform(np.log(80.0), np.log(500.0)))
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) if rng.random() < 0.6 else np.arange(13)
    samples = np.zeros(n_samples + 4 * RATE_HZ)
    slope, decay_s = rng.uniform(0.5, 2.5), np.exp(rng.uniform(np.log(0.08), np.log(2.0)))
    for start in range(-int(rng.integers(beat)), n_samples, beat):
        for _ in range(int(rng.integers(1, 4))):
            freq_hz = root_hz * 2.0 ** (float(rng.choice(scale)) / 12.0)
            _add(samples, max(start, 0), _note(freq_hz, slope, decay_s, rng))
        if rng.random() < 0.3:
            hit = rng.standard_normal(RATE_HZ // 8) * np.exp(-np.arange(RATE_HZ // 8) / 300.0)
            _add(samples, max(start, 0), hit)
    return _float32(0.1 * samples[:n_samples])


def _note(
    freq_hz: float, slope: float, decay_s: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    time_s = np.arange(int(min(3.0 * decay_s, 3.0) * RATE_HZ)) / RATE_HZ
    order = np.arange(1, 1 + max(min(int(7000.0 / freq_hz), 16), 1))[:, None]
    vibrato = rng.uniform(0.0, 0.006) * freq_hz / 5.0 * np.sin(2 * np.pi * 5.0 * time_s)
    waves = np.sin(2 * np.pi * order * (freq_hz * time_s + vibrato)) / order**slope
    attack = np.minimum(time_s / rng.uniform(0.003, 0.08), 1.0)
    return np.asarray(waves.sum(axis=0) * attack * np.exp(-time_s / decay_s))


def _add(samples: NDArray[np.float64], start: int, part: NDArray[np.float64]) -> None:
    samples[start : start + part.size] += part


def babble(n_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return harmonics of a gliding voice under three formants, in syllables: no words."""
    time_s = np.arange(n_samples) / RATE_HZ
    pitch_hz = rng.uniform(80.0, 260.0) * (
        1.0 + 0.1 * np.sin(2 * np.pi * rng.uniform(1, 4) * time_s)
    )
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    formants_hz = rng.uniform([250.0, 800.0, 2000.0], [900.0, 2300.0, 3200.0])
    order = np.arange(1, 25)[:, None]
    distance = (order * pitch_hz.mean() - formants_hz) / 150.0
    weight = (1.0 / (1.0 + np.square(distance))).sum(axis=1, keepdims=True) / np.sqrt(order)
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(2, 6) * time_s + rng.uniform(0, 6)), 0, 1)
    return _float32((weight * np.sin(order * phase)).sum(axis=0) * syllables * 0.1)


def thumps(n_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a few dull or sharp knocks, now and then, as rooms make them."""
    samples = np.zeros(n_samples)
    for _ in range(int(rng.integers(1, 4))):
        start = int(rng.integers(n_samples))
        time_s = np.arange(n_samples - start) / RATE_HZ
        ring = np.sin(2 * np.pi * np.exp(rng.uniform(np.log(60.0), np.log(900.0))) * time_s)
        knock = ring + 0.3 * rng.standard_normal(time_s.size)
        samples[start:] += (
            rng.uniform(0.2, 1.0) * knock * np.exp(-time_s / rng.uniform(0.005, 0.06))
        )
    return _float32(0.3 * samples)


def counter_example(n_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return one of the above, or silence, over a faint noise floor."""
    floor = 10.0 ** rng.uniform(-5.0, -2.5) * coloured_noise(n_samples, rng.uniform(0, 2), rng)
    match rng.integers(8):
        case 0:
            return _float32(floor * (rng.random() < 0.8))
        case 1:
            return _float32(floor + hum(n_samples, rng))
        case 2:
            return _float32(floor + tone(n_samples, rng))
        case 3:
            return _float32(floor + babble(n_samples, rng))
        case 4:
            return _float32(floor + thumps(n_samples, rng))
    # Steady noise of any colour: a fan, a ventilation; often white, as a microphone's own.
    rms = 10.0 ** rng.uniform(-3.0, -0.5)
    slope = rng.choice([0.0, 1.0, 2.0, rng.uniform(-0.5, 2.5)])
    return _float32(floor + rms * coloured_noise(n_samples, slope, rng))


def _float32(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(samples, np.float32)
