# SPDX-License-Identifier: MIT
"""Weightings and bands are inside class 1 of their standards, aliases included."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from edge.dsp.bands import Band, bands_of
from edge.dsp.standard import (
    WEIGHTING_TABLE,
    Weighting,
    band_bank,
    halving_taps,
    weighting_class,
    weighting_db,
    weighting_sos,
)

Float64 = NDArray[np.float64]

# IEC 61672-1:2013, Table 3: Hz, A, C, and the class 1 limits above and below.
CLASS_1 = [
    (10, -70.4, -14.3, 3.0, np.inf),
    (12.5, -63.4, -11.2, 2.5, np.inf),
    (16, -56.7, -8.5, 2.0, 4.0),
    (20, -50.5, -6.2, 2.0, 2.0),
    (25, -44.7, -4.4, 2.0, 1.5),
    (31.5, -39.4, -3.0, 1.5, 1.5),
    (40, -34.6, -2.0, 1.0, 1.0),
    (50, -30.2, -1.3, 1.0, 1.0),
    (63, -26.2, -0.8, 1.0, 1.0),
    (80, -22.5, -0.5, 1.0, 1.0),
    (100, -19.1, -0.3, 1.0, 1.0),
    (125, -16.1, -0.2, 1.0, 1.0),
    (160, -13.4, -0.1, 1.0, 1.0),
    (200, -10.9, 0.0, 1.0, 1.0),
    (250, -8.6, 0.0, 1.0, 1.0),
    (315, -6.6, 0.0, 1.0, 1.0),
    (400, -4.8, 0.0, 1.0, 1.0),
    (500, -3.2, 0.0, 1.0, 1.0),
    (630, -1.9, 0.0, 1.0, 1.0),
    (800, -0.8, 0.0, 1.0, 1.0),
    (1000, 0.0, 0.0, 0.7, 0.7),
    (1250, 0.6, 0.0, 1.0, 1.0),
    (1600, 1.0, -0.1, 1.0, 1.0),
    (2000, 1.2, -0.2, 1.0, 1.0),
    (2500, 1.3, -0.3, 1.0, 1.0),
    (3150, 1.2, -0.5, 1.0, 1.0),
    (4000, 1.0, -0.8, 1.0, 1.0),
    (5000, 0.5, -1.3, 1.5, 1.5),
    (6300, -0.1, -2.0, 1.5, 2.0),
    (8000, -1.1, -3.0, 1.5, 2.5),
    (10000, -2.5, -4.4, 2.0, 3.0),
    (12500, -4.3, -6.2, 2.0, 5.0),
    (16000, -6.6, -8.5, 2.5, 16.0),
    (20000, -9.3, -11.2, 3.0, np.inf),
]

# IEC 61260-1:2014, Table 1, class 1: exponents of G, least and greatest relative attenuation.
PASSBAND = [(0, 0.4), (1 / 8, 0.5), (1 / 4, 0.7), (3 / 8, 1.4), (1 / 2, 5.3)]
PASSBAND_LEAST_DB = -0.4
STOPBAND_LEAST = [(1 / 2, 1.2), (1, 16.6), (2, 40.5), (3, 60.0), (4, 70.0)]
G = 10**0.3


def gain_db(sos: Float64, freq_hz: object, rate_hz: float) -> Float64:
    sections = sos[sos.any(axis=1)]
    _, response = signal.sosfreqz(sections, np.atleast_1d(freq_hz), fs=rate_hz)
    return 20 * np.log10(np.abs(response) + 1e-300)


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000, 192000])
@pytest.mark.parametrize(("weighting", "column"), [("A", 1), ("C", 2)])
def test_weighting_is_within_class_1_and_close_to_its_goal_at_every_frequency(
    rate_hz: int, weighting: Weighting, column: int
) -> None:
    table = np.array(CLASS_1)
    # A nominal frequency stands for the exact one on the tenth-decade grid.
    exact_hz = 10 ** (np.round(10 * np.log10(table[:, 0])) / 10)
    off_db = gain_db(weighting_sos(weighting, rate_hz), exact_hz, rate_hz) - table[:, column]
    assert (off_db <= table[:, 3]).all(), off_db
    assert (off_db >= -table[:, 4]).all(), off_db
    # The goals are rounded to tenths; what is left of the bilinear error is less than that.
    assert np.abs(off_db).max() < 0.15, off_db


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 32000, 44100, 48000])
@pytest.mark.parametrize("weighting", ["A", "C"])
def test_weighting_follows_the_definition_up_to_the_top_that_a_rate_has(
    rate_hz: int, weighting: Weighting
) -> None:
    freq_hz = np.geomspace(10.0, min(20000.0, 0.495 * rate_hz), 500)
    sos = weighting_sos(weighting, rate_hz)
    off_db = gain_db(sos, freq_hz, rate_hz) - weighting_db(weighting, freq_hz)
    assert np.abs(off_db).max() < (0.1 if rate_hz >= 44100 else 0.3)


@pytest.mark.parametrize("weighting", ["A", "C"])
@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_weighting_has_minimum_phase(rate_hz: int, weighting: Weighting) -> None:
    zeros, poles, _ = signal.sos2zpk(weighting_sos(weighting, rate_hz))
    assert np.abs(poles).max() < 1.0
    assert np.abs(zeros).max() <= 1.0 + 1e-9


@pytest.mark.parametrize("weighting", ["A", "C"])
def test_weighting_is_0_db_at_1_khz(weighting: Weighting) -> None:
    assert gain_db(weighting_sos(weighting, 48000), 1000.0, 48000)[0] == pytest.approx(0, abs=1e-9)


def test_weighting_refuses_what_it_cannot_keep() -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        weighting_sos("A", 7999)
    with pytest.raises(ValueError, match="'B'"):
        weighting_sos("B", 48000)  # type: ignore[arg-type]


def test_the_tables_goals_are_the_definitions() -> None:
    table = np.array(WEIGHTING_TABLE)
    freq_hz = 1000.0 * 10.0 ** (table[:, 0] / 10)
    for column, weighting in ((1, "A"), (2, "C")):
        assert np.abs(weighting_db(weighting, freq_hz) - table[:, column]).max() < 0.06  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rate_hz", "grade"), [(8000, 0), (16000, 2), (22050, 2), (32000, 1), (44100, 1), (192000, 1)]
)
def test_the_class_that_a_rate_keeps_is_said(rate_hz: int, grade: int) -> None:
    """At 8 kHz nothing is heard of 5 kHz; at 16 kHz of what class 1 asks for at 10."""
    assert weighting_class(rate_hz) == grade


def omega(exponents: list[float], per_octave: int) -> Float64:
    """Map breakpoints of the octave mask to a fraction of an octave (formula 9)."""
    scale = (G ** (0.5 / per_octave) - 1) / (G**0.5 - 1)
    return 1 + scale * (G ** np.array(exponents) - 1)


def limits_db(ratio: Float64, per_octave: int) -> tuple[Float64, Float64]:
    """Return the least and the greatest attenuation at frequencies over the midband frequency."""
    ratio = np.maximum(ratio, 1 / ratio)
    edge = omega([0.5], per_octave)[0]
    exponents, least = zip(*STOPBAND_LEAST, strict=True)
    stop = np.interp(np.log(ratio), np.log(omega(list(exponents), per_octave)), least)
    exponents, most = zip(*PASSBAND, strict=True)
    allowed = np.interp(np.log(ratio), np.log(omega(list(exponents), per_octave)), most)
    inside = ratio < edge
    return np.where(inside, PASSBAND_LEAST_DB, stop), np.where(inside, allowed, np.inf)


def heard_db(band: Band, sos: Float64, freq_hz: Float64, rate_hz: int) -> Float64:
    """Return what a band reads of tones, through all halvings, folded as they fold."""
    taps = halving_taps()
    gain, rate = np.zeros(freq_hz.size), float(rate_hz)
    heard_hz = freq_hz.copy()
    for _ in range(band.stage):
        _, response = signal.freqz(taps, worN=heard_hz, fs=rate)
        gain += 20 * np.log10(np.abs(response) + 1e-300)
        rate /= 2
        heard_hz = np.abs(heard_hz - rate * np.round(heard_hz / rate))
    return gain + gain_db(sos, np.maximum(heard_hz, 1e-6), rate)


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000, 192000])
def test_every_band_is_within_class_1_of_its_standard_aliases_included(rate_hz: int) -> None:
    freq_hz = np.geomspace(5.0, 0.4999 * rate_hz, 6000)
    for band, sos in zip(bands_of(rate_hz), band_bank(rate_hz), strict=True):
        least, most = limits_db(freq_hz / band.centre_hz, band.per_octave)
        attenuation = -heard_db(band, sos, freq_hz, rate_hz)
        assert (attenuation >= least).all(), (band, freq_hz[attenuation < least])
        assert (attenuation <= most).all(), (band, freq_hz[attenuation > most])


def test_the_bands_edges_are_at_minus_3_db_and_meet() -> None:
    for band, sos in zip(bands_of(48000), band_bank(48000), strict=True):
        edge = 10 ** (0.15 / band.per_octave)
        edges = np.array([band.centre_hz / edge, band.centre_hz * edge])
        assert gain_db(sos, edges, 48000 / 2**band.stage) == pytest.approx(-3.01, abs=0.01)
