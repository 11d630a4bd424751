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


def bursts(
    n_samples: int,
    rate_hz: int,
    *,
    freq_hz: float = 4000.0,
    burst_s: float = 0.2,
    spacing_s: float = 1.0,
    level_dbfs: float = -20.0,
) -> Signal:
    """Return tonebursts, `spacing_s` from start to start; `level_dbfs` is the tone's peak.

    Each begins at phase zero and holds whole cycles, the nearest number to `burst_s`, at least one.

    Source: IEC 61672-1:2013, 5.9 (tonebursts are cut from a steady sine at zero crossings).
    """
    cycles = max(round(burst_s * freq_hz), 1)
    at_s = np.arange(n_samples) / rate_hz
    since_s = at_s - np.floor(at_s / spacing_s) * spacing_s
    tone_now = np.sin(2 * np.pi * freq_hz * since_s)
    # Half a sample of grace: the last cycle ends between two samples.
    sounding = since_s < cycles / freq_hz - 0.5 / rate_hz
    return _float32(_amplitude(level_dbfs) * tone_now * sounding)


def two_tone(
    n_samples: int,
    rate_hz: int,
    *,
    low_hz: float = 800.0,
    high_hz: float = 1000.0,
    each_s: float = 0.5,
    level_dbfs: float = -20.0,
) -> Signal:
    """Return two tones in turn, `low_hz` first, without a jump; `level_dbfs` is their peak."""
    high = np.floor(np.arange(n_samples) / (each_s * rate_hz)) % 2 == 1
    cycles = np.cumsum(np.where(high, high_hz, low_hz)) / rate_hz
    return _float32(_amplitude(level_dbfs) * np.sin(2 * np.pi * cycles))


def temporal_three(
    n_samples: int, rate_hz: int, *, freq_hz: float = 520.0, level_dbfs: float = -20.0
) -> Signal:
    """Return the evacuation signal: three tones of 0.5 s, 0.5 s apart, every 4 s.

    `level_dbfs` is the tone's peak. Source: ISO 8201:2017 (the pattern; the tone is free).
    """
    on_s = 0.5
    second = np.arange(n_samples) / rate_hz % 4.0
    sounding = (second % 1.0 < on_s) & (second < 3.0)
    # Half a cosine of 5 ms at each edge, so that nothing clicks.
    edge_s = np.minimum(second % 1.0, on_s - second % 1.0)
    gate = np.where(sounding, ramp(edge_s / 0.005), 0.0)
    return tone(n_samples, rate_hz, freq_hz=freq_hz, level_dbfs=level_dbfs) * _float32(gate)


def faded(signal: Signal, rate_hz: int, fade_s: float) -> Signal:
    """Return the signal with half a cosine at its begin and end, so that nothing clicks."""
    n_samples = len(signal)
    to_edge = np.minimum(np.arange(n_samples), np.arange(n_samples)[::-1]) / rate_hz
    return signal * _float32(ramp(to_edge / fade_s)) if fade_s else signal


def ramp(position: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return half a cosine: from 0 at 0 to 1 at 1 and after it."""
    risen: NDArray[np.float64] = 0.5 - 0.5 * np.cos(np.pi * np.clip(position, 0.0, 1.0))
    return risen


def _float32(values: NDArray[np.floating]) -> Signal:
    return values.astype(np.float32)


def _amplitude(level_dbfs: float) -> float:
    return float(10 ** (level_dbfs / 20))
