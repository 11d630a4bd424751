# SPDX-License-Identifier: MIT
"""Designed filters do what their names say."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from edge.dsp.design import chain_sos, decimation_taps
from edge.types import FilterSpec

RATE_HZ = 48000


def gain_db(sos: NDArray[np.float64], freqs_hz: object, rate_hz: int = RATE_HZ) -> NDArray:
    _, response = signal.sosfreqz(sos, np.atleast_1d(freqs_hz), fs=rate_hz)
    return 20 * np.log10(np.abs(response) + 1e-300)


def test_no_filter_is_no_section() -> None:
    assert chain_sos([], RATE_HZ).shape == (0, 6)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("kind", ["highpass", "lowpass"])
def test_butterworth_is_3_db_down_at_its_frequency_and_falls_by_its_order(
    kind: str, order: int
) -> None:
    sos = chain_sos([FilterSpec(kind, 1000.0, order=order)], RATE_HZ)
    octave = 500.0 if kind == "highpass" else 2000.0
    expected = -10 * np.log10(1 + 4.0**order)
    assert gain_db(sos, 1000.0)[0] == pytest.approx(-3.01, abs=0.01)
    assert gain_db(sos, octave)[0] == pytest.approx(expected, abs=0.4)


def test_notch_removes_its_frequency_and_little_else() -> None:
    sos = chain_sos([FilterSpec("notch", 50.0, q=5.0)], RATE_HZ)
    at, beside, far = gain_db(sos, [50.0, 55.25, 200.0])
    assert at < -100
    assert beside == pytest.approx(-3.0, abs=0.1)
    assert far == pytest.approx(0.0, abs=0.1)


def test_bandpass_passes_its_centre_and_is_as_wide_as_q_says() -> None:
    sos = chain_sos([FilterSpec("bandpass", 1000.0, q=4.0)], RATE_HZ)
    edges = 1000.0 * (np.sqrt(1 + 1 / 64) + np.array([-1 / 8, 1 / 8]))
    assert gain_db(sos, 1000.0)[0] == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(gain_db(sos, edges), -3.01, atol=0.03)


@pytest.mark.parametrize("boost_db", [-12.0, 6.0])
def test_peaking_and_shelves_reach_their_gain_where_they_should(boost_db: float) -> None:
    def at(kind: str) -> NDArray:
        spec = FilterSpec(kind, 1000.0, gain_db=boost_db)
        return gain_db(chain_sos([spec], RATE_HZ), [10.0, 1000.0, 23000.0])

    np.testing.assert_allclose(at("peaking"), [0.0, boost_db, 0.0], atol=0.05)
    np.testing.assert_allclose(at("lowshelf"), [boost_db, boost_db / 2, 0.0], atol=0.05)
    np.testing.assert_allclose(at("highshelf"), [0.0, boost_db / 2, boost_db], atol=0.05)


def test_chain_is_the_product_of_its_filters() -> None:
    specs = [FilterSpec("highpass", 20.0, order=3), FilterSpec("peaking", 800.0, gain_db=4.0)]
    freqs = np.geomspace(5, 20000, 50)
    each = sum(gain_db(chain_sos([spec], RATE_HZ), freqs) for spec in specs)
    np.testing.assert_allclose(gain_db(chain_sos(specs, RATE_HZ), freqs), each, atol=1e-6)


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (FilterSpec("lowpass", 24000.0), "freq_hz"),
        (FilterSpec("highpass", 0.0), "freq_hz"),
        (FilterSpec("notch", float("nan")), "freq_hz"),
        (FilterSpec("notch", 50.0, q=0.0), "q"),
        (FilterSpec("peaking", 50.0, gain_db=float("inf")), "gain_db"),
        (FilterSpec("lowpass", 50.0, order=0), "order"),
        (FilterSpec("comb", 50.0), "comb"),
    ],
)
def test_wrong_filter_is_refused_by_place_and_name(spec: FilterSpec, names: str) -> None:
    with pytest.raises(ValueError, match=names) as error:
        chain_sos([FilterSpec("highpass", 20.0), spec], RATE_HZ)
    assert "filter 1" in str(error.value) or spec.kind == "comb"


@pytest.mark.parametrize(("factor", "rate_hz"), [(2, 32000), (3, 48000), (6, 96000)])
def test_decimation_is_flat_to_the_upper_band_edge_and_rejects_its_aliases(
    factor: int, rate_hz: int
) -> None:
    """7.5 kHz is where YAMNet's bands end; what lies above 8.5 kHz would fold below it."""
    taps = decimation_taps(factor, rate_hz)
    freqs, response = signal.freqz(taps, worN=1 << 15, fs=rate_hz)
    gain = 20 * np.log10(np.abs(response) + 1e-12)
    edge_hz = 7500.0 * rate_hz / factor / 16000
    assert np.abs(gain[freqs <= edge_hz]).max() < 0.01
    assert gain[freqs >= rate_hz / factor - edge_hz].max() < -80.0
    assert taps.size % 2 == 1
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-15)
    with pytest.raises(ValueError, match="factor"):
        decimation_taps(1, rate_hz)
