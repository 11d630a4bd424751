# SPDX-License-Identifier: MIT
"""The filter that takes a microphone's own response out again, in float64.

Imports SciPy: only the child process that designs filters and tests do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import optimize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

SECTIONS: Final = 16
LOWEST_HZ: Final = 20.0
HIGHEST_HZ: Final = 20000.0
TOP_SHARE: Final = 0.47
"""Of the rate: nothing above it is corrected."""

REFERENCE_HZ: Final = 1000.0

_GRID: Final = 160
_Q: Final = (0.3, 8.0)
_FAR_DB: Final = 65.0


def correction_sos(points: Sequence[tuple[float, float]], rate_hz: int) -> tuple[Float64, float]:
    """Design the inverse of a response; return (n_sections, 6) float64 and the residual in dB.

    A low shelf, a high shelf and peaking sections between them, at most `SECTIONS` together,
    fitted by least squares from 20 Hz to 20 kHz, or to `TOP_SHARE` of the rate; 0 dB at 1 kHz.
    The residual is the largest difference there from what the points ask for: some 0.03 dB
    for the smooth curves of microphones, more for steps and noise. A flat response gives no
    section, (0, 6).

    Parameters
    ----------
    points : (Hz, dB) of the response, Hz rising; straight over the logarithm of the frequency
        between them, level beyond the ends.
    rate_hz : of the samples.

    Raises `ValueError` for fewer than two points or a rate without room for 1 kHz.

    Source: R. Bristow-Johnson's sections (`design`), fitted together as in V. Valimaki and
    J. Liski, "Accurate cascade graphic equalizer", IEEE Signal Processing Letters 24 (2017).
    """
    if len(points) < 2:
        raise ValueError(f"a correction needs two points or more, not {len(points)}")
    top_hz = min(HIGHEST_HZ, TOP_SHARE * rate_hz)
    if top_hz <= REFERENCE_HZ:
        raise ValueError(f"a rate of {rate_hz} Hz has no room for {REFERENCE_HZ:g} Hz")
    freq_hz = np.geomspace(LOWEST_HZ, top_hz, _GRID)
    wanted_db = _wanted(points, freq_hz)
    if np.abs(wanted_db).max() < 0.005:
        return np.zeros((0, 6)), float(np.abs(wanted_db).max())
    fit = _Fit(freq_hz, wanted_db, rate_hz)
    sos = _normalised(fit.best(), rate_hz)
    dense_hz = np.geomspace(LOWEST_HZ, top_hz, 8 * _GRID)
    off_db = _response_db(sos, dense_hz, rate_hz) - _wanted(points, dense_hz)
    return sos, float(np.abs(off_db).max())


class _Fit:
    """Gains, frequencies and widths of all sections against what is wanted."""

    def __init__(self, freq_hz: Float64, wanted_db: Float64, rate_hz: int) -> None:
        self._phi = np.sin(np.pi * freq_hz / rate_hz) ** 2
        self._wanted_db = wanted_db
        self._rate_hz = rate_hz
        self._limits = np.log(freq_hz[0]), np.log(freq_hz[-1])

    def best(self) -> Float64:
        """Return the sections, (SECTIONS, 6)."""
        lowest, highest = self._limits
        centres = np.linspace(lowest, highest, SECTIONS)
        gains_db = np.interp(centres, np.linspace(lowest, highest, _GRID), self._wanted_db) / 2
        width_octaves = (highest - lowest) / np.log(2.0) / (SECTIONS - 1)
        q = np.full(SECTIONS, 1.0 / (2.0 * np.sinh(np.log(2.0) / 2.0 * width_octaves)))
        q[[0, -1]] = np.sqrt(0.5)
        start = np.concatenate([gains_db, centres, np.log(q)])
        low = np.repeat([-_FAR_DB, lowest - 1.0, np.log(_Q[0])], SECTIONS)
        high = np.repeat([_FAR_DB, highest, np.log(_Q[1])], SECTIONS)
        start = np.clip(start, low + 1e-6, high - 1e-6)
        # From gains alone, or it would end where two sections have met.
        gains = optimize.least_squares(
            lambda some: self._error_db(np.concatenate([some, start[SECTIONS:]])),
            start[:SECTIONS],
            bounds=(low[:SECTIONS], high[:SECTIONS]),
            max_nfev=10,
        ).x
        start[:SECTIONS] = np.clip(gains, low[:SECTIONS] + 1e-6, high[:SECTIONS] - 1e-6)
        done = optimize.least_squares(
            self._error_db, start, bounds=(low, high), x_scale="jac", max_nfev=30
        )
        return self._sections(np.asarray(done.x, np.float64))

    def _error_db(self, numbers: Float64) -> Float64:
        sections = self._sections(numbers)
        power = _power(sections[:, :3], self._phi) / _power(sections[:, 3:], self._phi)
        error: Float64 = 10.0 * np.log10(power).sum(axis=0) - self._wanted_db
        level: Float64 = error - error.mean()  # which is set afterwards
        return level

    def _sections(self, numbers: Float64) -> Float64:
        gains_db, centres, log_q = numbers.reshape(3, SECTIONS)
        omega = 2.0 * np.pi * np.exp(centres) / self._rate_hz
        alpha = np.sin(omega) / (2.0 * np.exp(log_q))
        return _cookbook(10.0 ** (gains_db / 40.0), np.cos(omega), alpha)


def _cookbook(gain: Float64, cos: Float64, alpha: Float64) -> Float64:
    """Return a low shelf, peaking sections and a high shelf, (n, 6), as `design` makes each.

    All at once: a fit asks for some thousand sets.
    """
    up, down = alpha * gain, alpha / gain
    sos = np.stack([1.0 + up, -2.0 * cos, 1.0 - up, 1.0 + down, -2.0 * cos, 1.0 - down], axis=1)
    for place, sign in ((0, 1.0), (-1, -1.0)):
        g, c = gain[place], sign * cos[place]
        slope = 2.0 * np.sqrt(g) * alpha[place]
        plus, minus = g + 1.0, g - 1.0
        sos[place] = (
            g * (plus - minus * c + slope),
            sign * 2.0 * g * (minus - plus * c),
            g * (plus - minus * c - slope),
            plus + minus * c + slope,
            sign * -2.0 * (minus + plus * c),
            plus + minus * c - slope,
        )
    sections: Float64 = sos / sos[:, 3:4]
    return sections


def _power(polynomials: Float64, phi: Float64) -> Float64:
    """Return |b0 + b1 z + b2 z^2|^2 on the unit circle, (n, n_freqs); `phi` is sin(omega / 2)^2.

    In the cosine of omega it would cancel at low frequencies.
    """
    b0, b1, b2 = polynomials.T[:, :, None]
    at_zero = (b0 + b1 + b2) ** 2
    power: Float64 = at_zero - 4.0 * phi * (b1 * (b0 + b2) + 4.0 * b0 * b2 * (1.0 - phi))
    return power


def _response_db(sos: Float64, freq_hz: Float64, rate_hz: int) -> Float64:
    phi = np.sin(np.pi * freq_hz / rate_hz) ** 2
    power = _power(sos[:, :3], phi) / _power(sos[:, 3:], phi)
    response: Float64 = 10.0 * np.log10(power).sum(axis=0)
    return response


def _normalised(sections: Float64, rate_hz: int) -> Float64:
    """Return the cascade with 0 dB at 1 kHz."""
    at_db = _response_db(sections, np.array([REFERENCE_HZ]), rate_hz)[0]
    sections[0, :3] *= 10.0 ** (-at_db / 20.0)
    return sections


def _wanted(points: Sequence[tuple[float, float]], freq_hz: Float64) -> Float64:
    """Return minus the response at these frequencies, 0 dB at 1 kHz."""
    hz, db = np.array(points, float).T
    response = np.interp(np.log(freq_hz), np.log(hz), db)
    reference = np.interp(np.log(REFERENCE_HZ), np.log(hz), db)
    wanted: Float64 = reference - response
    return wanted
