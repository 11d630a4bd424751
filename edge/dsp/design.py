# SPDX-License-Identifier: MIT
"""Filter design: from settings to coefficients, in float64. Pure functions.

The only module that imports `scipy.signal` (over a second and 60 MB, which the listening
process doesn't pay: it runs this in a short-lived child and keeps the result).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.types import FilterSpec

    Float64 = NDArray[np.float64]

# Of the output rate: up to here the passband is flat, and what folds below it is rejected.
# 7.5 kHz at 16 kHz, the upper edge of YAMNet's bands.
_PASSBAND: Final = 0.46875
_REJECTION_DB: Final = 85.0

_MAX_ORDER: Final = 16


def chain_sos(specs: Sequence[FilterSpec], rate_hz: int) -> Float64:
    """Design the filters of `specs` as one cascade, (n_sections, 6) float64.

    High- and low-pass are Butterworth of `order`; the others are one biquad each, by the
    bilinear transform at their own frequency (a bandpass peaks at 0 dB, a notch is its
    complement, shelves reach `gain_db` far from `freq_hz` and half of it there).
    No specs: (0, 6).

    Raises `ValueError` that names the filter's place and the argument out of range.

    Source: R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter
    coefficients".
    """
    if rate_hz <= 0:
        raise ValueError(f"rate_hz must be positive, not {rate_hz}")
    sections = [np.zeros((0, 6))]
    for place, spec in enumerate(specs):
        _check(spec, rate_hz, f"filter {place} ({spec.kind})")
        if spec.kind in ("highpass", "lowpass"):
            args = (spec.order, spec.freq_hz, spec.kind)
            sections.append(signal.butter(*args, output="sos", fs=rate_hz))
        else:
            sections.append(_biquad(spec, rate_hz))
    return np.concatenate(sections)


def decimation_taps(factor: int, rate_hz: int) -> Float64:
    """Design the low-pass in front of keeping every `factor`-th sample, (n_taps,) float64.

    Linear phase, odd length, 1.0 at DC. Of the output rate: flat within 0.01 dB up to
    0.469 (7.5 kHz at 16 kHz), and 80 dB down from 0.531, where aliases begin to fall below
    that edge. Between the two the band folds on itself.

    Parameters
    ----------
    factor : input rate over output rate, 2 or more.
    rate_hz : input rate.

    Source: J. F. Kaiser's window method (`scipy.signal.kaiserord`).
    """
    if factor < 2:
        raise ValueError(f"factor must be 2 or more, not {factor}")
    if rate_hz <= 0:
        raise ValueError(f"rate_hz must be positive, not {rate_hz}")
    out_rate_hz = rate_hz / factor
    width_hz = (1.0 - 2.0 * _PASSBAND) * out_rate_hz
    n_taps, beta = signal.kaiserord(_REJECTION_DB, width_hz / (0.5 * rate_hz))
    taps: Float64 = signal.firwin(
        n_taps | 1, 0.5 * out_rate_hz, window=("kaiser", beta), fs=rate_hz
    )
    return taps


def _check(spec: FilterSpec, rate_hz: int, name: str) -> None:
    if not 0.0 < spec.freq_hz < rate_hz / 2:
        limit = f"between 0 and half the rate, {rate_hz / 2:g}"
        raise ValueError(f"{name}: freq_hz must be {limit}, not {spec.freq_hz:g}")
    if not 0.0 < spec.q < np.inf:
        raise ValueError(f"{name}: q must be positive, not {spec.q:g}")
    if not -120.0 <= spec.gain_db <= 120.0:
        raise ValueError(f"{name}: gain_db must be -120 to 120, not {spec.gain_db:g}")
    if not 1 <= spec.order <= _MAX_ORDER:
        raise ValueError(f"{name}: order must be 1 to {_MAX_ORDER}, not {spec.order}")


def _biquad(spec: FilterSpec, rate_hz: int) -> Float64:
    """One section, (1, 6), by the cookbook; `alpha` and `gain` are its names."""
    omega = 2.0 * np.pi * spec.freq_hz / rate_hz
    cos, alpha = np.cos(omega), np.sin(omega) / (2.0 * spec.q)
    gain = 10.0 ** (spec.gain_db / 40.0)
    match spec.kind:
        case "bandpass":
            row = [alpha, 0.0, -alpha, 1.0 + alpha, -2.0 * cos, 1.0 - alpha]
        case "notch":
            row = [1.0, -2.0 * cos, 1.0, 1.0 + alpha, -2.0 * cos, 1.0 - alpha]
        case "peaking":
            up, down = alpha * gain, alpha / gain
            row = [1.0 + up, -2.0 * cos, 1.0 - up, 1.0 + down, -2.0 * cos, 1.0 - down]
        case "lowshelf":
            row = _shelf(gain, cos, alpha)
        case "highshelf":
            # A low shelf mirrored at a quarter of the rate: z to -z.
            row = _shelf(gain, -cos, alpha)
            row[1], row[4] = -row[1], -row[4]
        case _:
            raise ValueError(f"kind {spec.kind!r} is not a filter")
    section: Float64 = np.array([row])
    return section / section[:, 3:4]


def _shelf(gain: float, cos: float, alpha: float) -> list[float]:
    up, down, slope = gain + 1.0, gain - 1.0, 2.0 * np.sqrt(gain) * alpha
    return [
        gain * (up - down * cos + slope),
        2.0 * gain * (down - up * cos),
        gain * (up - down * cos - slope),
        up + down * cos + slope,
        -2.0 * (down + up * cos),
        up + down * cos - slope,
    ]
