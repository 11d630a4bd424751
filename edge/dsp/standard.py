# SPDX-License-Identifier: MIT
"""What the standards of sound level ask for, and filters designed to it, in float64.

IEC 61672-1:2013 (frequency weightings) and IEC 61260-1:2014 (octave and third-octave bands).
Imports SciPy: only the child process that designs filters and tests do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import optimize, signal

from edge.dsp.bands import TOP_SHARE, bands_of, exact_hz

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

Weighting = Literal["A", "C"]

# IEC 61672-1:2013, Annex E: pole frequencies of the A and C weighting.
_LOW_HZ: Final = 20.598997
_MID_HZ: Final = (107.65265, 737.86223)
_HIGH_HZ: Final = 12194.217
_REFERENCE_HZ: Final = 1000.0

# The top of what is fitted: the highest frequency of the standard, or what the rate allows.
_TOP_HZ: Final = 20000.0
_TOP_SHARE: Final = 0.47

_INF: Final = np.inf

# IEC 61672-1:2013, Table 3: place on the base-10 third-octave grid (0 is 1 kHz), goals of A
# and C in dB, then the acceptance limits of class 1 and class 2, upper and lower.
WEIGHTING_TABLE: Final = (
    (-20, -70.4, -14.3, 3.0, -_INF, 5.0, -_INF),
    (-19, -63.4, -11.2, 2.5, -_INF, 5.0, -_INF),
    (-18, -56.7, -8.5, 2.0, -4.0, 5.0, -_INF),
    (-17, -50.5, -6.2, 2.0, -2.0, 3.0, -3.0),
    (-16, -44.7, -4.4, 2.0, -1.5, 3.0, -3.0),
    (-15, -39.4, -3.0, 1.5, -1.5, 3.0, -3.0),
    (-14, -34.6, -2.0, 1.0, -1.0, 2.0, -2.0),
    (-13, -30.2, -1.3, 1.0, -1.0, 2.0, -2.0),
    (-12, -26.2, -0.8, 1.0, -1.0, 2.0, -2.0),
    (-11, -22.5, -0.5, 1.0, -1.0, 2.0, -2.0),
    (-10, -19.1, -0.3, 1.0, -1.0, 1.5, -1.5),
    (-9, -16.1, -0.2, 1.0, -1.0, 1.5, -1.5),
    (-8, -13.4, -0.1, 1.0, -1.0, 1.5, -1.5),
    (-7, -10.9, 0.0, 1.0, -1.0, 1.5, -1.5),
    (-6, -8.6, 0.0, 1.0, -1.0, 1.5, -1.5),
    (-5, -6.6, 0.0, 1.0, -1.0, 1.5, -1.5),
    (-4, -4.8, 0.0, 1.0, -1.0, 1.5, -1.5),
    (-3, -3.2, 0.0, 1.0, -1.0, 1.5, -1.5),
    (-2, -1.9, 0.0, 1.0, -1.0, 1.5, -1.5),
    (-1, -0.8, 0.0, 1.0, -1.0, 1.5, -1.5),
    (0, 0.0, 0.0, 0.7, -0.7, 1.0, -1.0),
    (1, 0.6, 0.0, 1.0, -1.0, 1.5, -1.5),
    (2, 1.0, -0.1, 1.0, -1.0, 2.0, -2.0),
    (3, 1.2, -0.2, 1.0, -1.0, 2.0, -2.0),
    (4, 1.3, -0.3, 1.0, -1.0, 2.5, -2.5),
    (5, 1.2, -0.5, 1.0, -1.0, 2.5, -2.5),
    (6, 1.0, -0.8, 1.0, -1.0, 3.0, -3.0),
    (7, 0.5, -1.3, 1.5, -1.5, 3.5, -3.5),
    (8, -0.1, -2.0, 1.5, -2.0, 4.5, -4.5),
    (9, -1.1, -3.0, 1.5, -2.5, 5.0, -5.0),
    (10, -2.5, -4.4, 2.0, -3.0, 5.0, -_INF),
    (11, -4.3, -6.2, 2.0, -5.0, 5.0, -_INF),
    (12, -6.6, -8.5, 2.5, -16.0, 5.0, -_INF),
    (13, -9.3, -11.2, 3.0, -_INF, 5.0, -_INF),
)


def weighting_db(weighting: Weighting, freq_hz: Float64) -> Float64:
    """Return the weighting as the standard defines it, in dB, 0 at 1 kHz.

    Source: IEC 61672-1:2013, 5.5 and Annex E.
    """
    gain = _analog(weighting, freq_hz) / _analog(weighting, np.array(_REFERENCE_HZ))
    db: Float64 = 20.0 * np.log10(gain)
    return db


def weighting_sos(weighting: Weighting, rate_hz: int) -> Float64:
    """Design the frequency weighting A or C, (n_sections, 6) float64, 0 dB at 1 kHz.

    The low poles by the bilinear transform. It would bend the top down (1.2 dB at 10 kHz, 4 at
    16 kHz for 48 kHz), so the section of the double pole at 12.2 kHz is fitted instead: at
    44.1 and 48 kHz within 0.1 dB of the standard from 10 Hz to 20 kHz, at lower rates within
    0.3 dB up to 0.495 of the rate. Minimum phase.

    Raises `ValueError` for another weighting or a rate below 8 kHz.
    """
    if weighting not in ("A", "C"):
        raise ValueError(f"weighting must be 'A' or 'C', not {weighting!r}")
    if rate_hz < 8000:
        raise ValueError(f"rate_hz must be 8000 or more to weight levels, not {rate_hz}")
    poles = -2.0 * np.pi * np.array([_LOW_HZ, _LOW_HZ, *(_MID_HZ if weighting == "A" else ())])
    low = signal.bilinear_zpk(np.zeros(len(poles)), poles, 1.0, fs=rate_hz)
    sos: Float64 = np.vstack([_high_section(rate_hz), signal.zpk2sos(*low)])
    sos[0, :3] /= np.abs(response(sos, np.array([_REFERENCE_HZ]), rate_hz))[0]
    return sos


def weighting_class(rate_hz: int) -> int:
    """Return the class of IEC 61672-1 that A and C keep at a rate: 1, 2, or 0 for neither.

    It is the class of the arithmetic; what microphone and converter do comes on top.
    """
    return next((grade for grade in (1, 2) if _keeps(grade, rate_hz)), 0)


def band_sos(centre_hz: float, per_octave: int, rate_hz: float) -> Float64:
    """Design one band of 1/`per_octave` octave around an exact midband frequency, (4, 6) float64.

    A Butterworth band-pass of order 6, -3 dB at the edges of the base-10 grid; the last row is
    zeros. Where the upper edge is over `bands.TOP_SHARE` of the rate the order is 8: there
    order 6 is up to 10 dB short of class 1 an octave and more below the band.

    Source: IEC 61260-1:2014, 5.2 to 5.10.
    """
    edge = 10.0 ** (0.15 / per_octave)
    edges = [centre_hz / edge, centre_hz * edge]
    order = 3 if edges[1] <= TOP_SHARE * rate_hz else 4
    sos = np.zeros((4, 6))
    sos[:order] = signal.butter(order, edges, "bandpass", fs=rate_hz, output="sos")
    return sos


def band_bank(rate_hz: int) -> Float64:
    """Design `bands.bands_of(rate_hz)`, (n_bands, 4, 6) float64, each at the rate of its stage."""
    bands = bands_of(rate_hz)
    return np.array(
        [band_sos(one.centre_hz, one.per_octave, rate_hz / 2**one.stage) for one in bands]
    )


def halving_taps() -> Float64:
    """Design the low-pass in front of keeping every second sample, (n_taps,) float64, odd.

    Of the output rate: flat within 0.001 dB up to 0.31, 85 dB down from 0.69. What folds
    between the two lands above `bands.TOP_SHARE`, where the bands are down themselves.

    Source: J. F. Kaiser's window method (`scipy.signal.kaiserord`).
    """
    n_taps, beta = signal.kaiserord(85.0, 0.38)
    taps: Float64 = signal.firwin(n_taps | 1, 0.25, window=("kaiser", beta), fs=1.0)
    return taps


def response(sos: Float64, freq_hz: Float64, rate_hz: float) -> NDArray[np.complex128]:
    """Return the frequency response of a cascade, (n_freqs,) complex."""
    delay = np.exp(-2j * np.pi * freq_hz / rate_hz)[:, None] ** np.arange(3)
    gain: NDArray[np.complex128] = np.prod((delay @ sos[:, :3].T) / (delay @ sos[:, 3:].T), axis=1)
    return gain


def _analog(weighting: Weighting, freq_hz: Float64) -> Float64:
    squared = freq_hz**2
    gain = _high(freq_hz) * squared / (squared + _LOW_HZ**2)
    if weighting == "A":
        gain = gain * squared / np.sqrt(np.prod([squared + pole**2 for pole in _MID_HZ], axis=0))
    return gain


def _high(freq_hz: Float64) -> Float64:
    gain: Float64 = _HIGH_HZ**2 / (freq_hz**2 + _HIGH_HZ**2)
    return gain


def _high_section(rate_hz: int) -> Float64:
    """Fit one section to the double pole at 12.2 kHz, (1, 6), gain left free."""
    freq_hz = np.geomspace(_REFERENCE_HZ, min(_TOP_HZ, _TOP_SHARE * rate_hz), 200)
    wanted = _high(freq_hz) / _high(np.array(_REFERENCE_HZ))

    def error_db(numbers: Float64) -> Float64:
        gain = np.abs(response(_section_of(numbers), freq_hz, rate_hz))
        error: Float64 = 20.0 * np.log10(gain / gain[0] / wanted)
        return error

    analog = np.full(2, -2.0 * np.pi * _HIGH_HZ)
    b, a = signal.bilinear(*signal.zpk2tf([], analog, 1.0), fs=rate_hz)
    start = [
        0.7 * b[1] / b[0],
        0.3 * b[2] / b[0],
        np.arctanh(a[1] / (1.0 + a[2])),
        np.arctanh(a[2]),
    ]
    fitted = _section_of(optimize.least_squares(error_db, start, method="lm").x)
    fitted[0, :3] = _mirrored(fitted[0, :3])
    return fitted


def _section_of(numbers: Float64) -> Float64:
    """Return the section of four free numbers; whatever they are, it is stable."""
    b1, b2, along, across = numbers
    a2 = np.tanh(across)
    return np.array([[1.0, b1, b2, 1.0, np.tanh(along) * (1.0 + a2), a2]])


def _mirrored(polynomial: Float64) -> Float64:
    """Return the polynomial with its zeros in the unit circle: same magnitude, minimum phase."""
    zeros = np.asarray(np.roots(polynomial), np.complex128)
    inside = np.where(np.abs(zeros) > 1.0, 1.0 / np.conj(zeros), zeros)
    return np.asarray(np.real(np.poly(inside)), np.float64)


def _keeps(grade: int, rate_hz: int) -> bool:
    table = np.array(WEIGHTING_TABLE)
    freq_hz = np.array([exact_hz(int(place)) for place in table[:, 0]])
    upper, lower = table[:, 1 + 2 * grade], table[:, 2 + 2 * grade]
    heard = freq_hz < rate_hz / 2
    for column, weighting in ((1, "A"), (2, "C")):
        sos = weighting_sos(weighting, rate_hz)  # type: ignore[arg-type] # one of the two
        gain_db = np.full(len(table), -np.inf)
        gain_db[heard] = 20.0 * np.log10(np.abs(response(sos, freq_hz[heard], rate_hz)))
        off_db = gain_db - table[:, column]
        if not ((lower <= off_db) & (off_db <= upper)).all():
            return False
    return True
