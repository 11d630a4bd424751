# SPDX-License-Identifier: MIT
"""The inverse of a microphone's response, from 20 Hz to 20 kHz, in sixteen sections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from edge.dsp.correction_design import SECTIONS, correction_sos

Points = list[tuple[float, float]]


def a_microphone(seed: int) -> Points:
    """Return a measured-like curve: roll-off, resonance, a falling top, slow ripples."""
    rng = np.random.default_rng(seed)
    hz = np.geomspace(10.0, 22000.0, 400)

    def hump(centre_hz: float, octaves: float) -> np.ndarray:
        return np.exp(-((np.log2(hz / centre_hz) / octaves) ** 2))

    db = -rng.uniform(0, 4) / (1 + (hz / rng.uniform(15, 40)) ** 2)
    db += rng.uniform(0, 5) * hump(rng.uniform(8000, 15000), rng.uniform(0.5, 1.0))
    db -= rng.uniform(0, 4) * (hz / 20000) ** rng.uniform(2, 5)
    for _ in range(4):
        centre_hz = float(np.exp(rng.uniform(np.log(40), np.log(16000))))
        db += rng.uniform(-0.6, 0.6) * hump(centre_hz, rng.uniform(0.5, 1.5))
    return list(zip(hz.tolist(), db.tolist(), strict=True))


def gain_db(sos: np.ndarray, freq_hz: np.ndarray, rate_hz: int) -> np.ndarray:
    """Return SciPy's response of the cascade."""
    _, response = signal.sosfreqz(sos, freq_hz, fs=rate_hz)
    return 20 * np.log10(np.abs(response))


def asked_db(points: Points, freq_hz: np.ndarray) -> np.ndarray:
    hz, db = np.array(points).T
    level = np.interp(np.log(freq_hz), np.log(hz), db)
    return np.interp(np.log(1000.0), np.log(hz), db) - level


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("seed", range(4))
def test_a_microphone_becomes_flat_within_a_tenth_of_a_decibel(rate_hz: int, seed: int) -> None:
    points = a_microphone(seed)
    sos, residual_db = correction_sos(points, rate_hz)
    freq_hz = np.geomspace(20.0, min(20000.0, 0.47 * rate_hz), 1000)
    off_db = np.abs(gain_db(sos, freq_hz, rate_hz) - asked_db(points, freq_hz))
    assert off_db.max() < 0.1
    assert residual_db == pytest.approx(off_db.max(), abs=0.01)
    assert sos.shape == (SECTIONS, 6)


def test_a_calibration_at_1_khz_stays_what_it_is() -> None:
    """Whatever the file says of 1 kHz."""
    points = [(hz, db + 7.0) for hz, db in a_microphone(1)]
    sos, _ = correction_sos(points, 48000)
    assert gain_db(sos, np.array([1000.0]), 48000)[0] == pytest.approx(0.0, abs=1e-6)


def test_a_flat_response_needs_no_section() -> None:
    sos, residual_db = correction_sos([(20.0, 3.0), (20000.0, 3.0)], 48000)
    assert sos.shape == (0, 6)
    assert residual_db == 0.0


def test_a_slope_over_ten_octaves_is_taken_out() -> None:
    """A tilt of 1 dB an octave, between two points."""
    sos, residual_db = correction_sos([(20.0, -5.0), (20480.0, 5.0)], 48000)
    assert residual_db < 0.2
    assert gain_db(sos, np.array([2000.0]), 48000)[0] == pytest.approx(-1.0, abs=0.1)


def test_a_curve_that_no_section_follows_says_by_how_much() -> None:
    """Noise of 1 dB from point to point: no microphone's, and no filter's."""
    hz = np.geomspace(20, 20000, 200)
    db = np.random.default_rng(1).standard_normal(200)
    _, residual_db = correction_sos(list(zip(hz, db, strict=True)), 48000)
    assert residual_db > 1.0


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.1, 2e5), st.floats(-60, 60)),
        min_size=2,
        max_size=30,
        unique_by=lambda p: p[0],
    ),
    st.sampled_from([8000, 48000, 192000]),
)
def test_whatever_the_points_are_the_filter_is_stable_and_minimum_phase(
    points: Points, rate_hz: int
) -> None:
    sos, residual_db = correction_sos(sorted(points), rate_hz)
    assert np.isfinite(sos).all()
    assert np.isfinite(residual_db)
    for row in sos:
        assert np.abs(np.roots(row[3:])).max() < 1.0
        assert np.abs(np.roots(row[:3])).max() < 1.0


@pytest.mark.parametrize(
    ("points", "rate_hz", "reason"),
    [([(20.0, 0.0)], 48000, "two points"), ([(20.0, 0.0), (30.0, 1.0)], 2000, "no room")],
)
def test_what_cannot_be_is_refused(points: Points, rate_hz: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        correction_sos(points, rate_hz)
