# SPDX-License-Identifier: MIT
"""The matrix form is the same filter as SciPy's float64 sections, however it is fed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from edge.dsp.design import chain_sos
from edge.dsp.filters import BlockFilter, FilterBank, filter_samples
from edge.dsp.standard import weighting_sos
from edge.types import FilterSpec

RATE_HZ = 48000
CHAIN = chain_sos(
    [FilterSpec("highpass", 20.0, order=4), FilterSpec("peaking", 1000.0, gain_db=6.0)], RATE_HZ
)
CHAINS = {
    "A": weighting_sos("A", RATE_HZ),
    "C": weighting_sos("C", RATE_HZ),
    "chain": CHAIN,
    "infrasound": chain_sos([FilterSpec("highpass", 1.0, order=8)], RATE_HZ),
    "hum": chain_sos([FilterSpec("notch", 50.0 * k, q=30.0) for k in range(1, 7)], RATE_HZ),
    "rumble": chain_sos([FilterSpec("lowpass", 30.0, order=8)], RATE_HZ),
    "narrow": chain_sos([FilterSpec("bandpass", 25.0, q=20.0)], RATE_HZ),
    "one pole": chain_sos([FilterSpec("highpass", 20.0, order=1)], RATE_HZ),
    # The second filter cancels the first: a state that can't be heard.
    "cancelled": chain_sos([FilterSpec("peaking", 500.0, gain_db=g) for g in (6.0, -6.0)], RATE_HZ),
}


def rms_db(x: NDArray) -> float:
    return 10 * np.log10(np.mean(np.square(x, dtype=np.float64)) + 1e-300)


@pytest.mark.parametrize("name", CHAINS)
def test_error_is_100_db_under_the_louder_of_input_and_output(
    name: str, noise: NDArray[np.float32]
) -> None:
    expected = signal.sosfilt(CHAINS[name], noise.astype(np.float64))
    error = filter_samples(CHAINS[name], noise) - expected
    assert rms_db(error) < max(rms_db(noise), rms_db(expected)) - 100.0


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 700), min_size=1, max_size=12).filter(any))
def test_any_cut_gives_the_same_output(sizes: list[int]) -> None:
    x = np.random.default_rng(1).standard_normal(sum(sizes)).astype(np.float32)
    stream = BlockFilter(CHAIN, 700)
    cuts = np.split(x, np.cumsum(sizes)[:-1])
    parts = np.concatenate([stream.process(cut).copy() for cut in cuts])
    expected = signal.sosfilt(CHAIN, x.astype(np.float64))
    assert np.abs(parts - expected).max(initial=0.0) < 2e-5


def test_single_samples_are_a_cut_too(noise: NDArray[np.float32]) -> None:
    stream = BlockFilter(CHAIN, 1)
    parts = np.concatenate([stream.process(noise[k : k + 1]).copy() for k in range(500)])
    np.testing.assert_allclose(parts, filter_samples(CHAIN, noise[:500]), atol=1e-6)


def test_no_section_is_the_identity_without_copy(noise: NDArray[np.float32]) -> None:
    assert BlockFilter(np.zeros((0, 6)), 10).process(noise[:5]).base is noise
    assert filter_samples(np.zeros((0, 6)), noise) is noise


def test_reset_forgets_the_past(noise: NDArray[np.float32]) -> None:
    stream = BlockFilter(CHAIN, 1000)
    first = stream.process(noise[:1000]).copy()
    assert not np.array_equal(stream.process(noise[:1000]), first)
    stream.reset()
    np.testing.assert_array_equal(stream.process(noise[:1000]), first)


def test_settled_reset_starts_without_a_click() -> None:
    """An offset of -6 dBFS through a high-pass: nothing from the first sample on."""
    stream = BlockFilter(chain_sos([FilterSpec("highpass", 20.0, order=4)], RATE_HZ), 4800)
    offset = np.full(4800, 0.5, np.float32)
    assert np.abs(stream.process(offset)).max() > 0.4
    stream.reset(settled_at=0.5)
    assert np.abs(stream.process(offset)).max() < 1e-6


def test_a_nan_voids_its_own_call_only(noise: NDArray[np.float32]) -> None:
    stream = BlockFilter(CHAIN, 1000)
    bad = noise[:1000].copy()
    bad[500] = np.nan
    stream.process(bad)
    np.testing.assert_array_equal(stream.process(noise[:1000]), filter_samples(CHAIN, noise[:1000]))


def test_a_nan_late_in_a_call_does_not_reach_a_shorter_one(noise: NDArray[np.float32]) -> None:
    """What the longer call left in the work space is multiplied by zeros, which a NaN survives."""
    stream = BlockFilter(CHAIN, 1000)
    bad = noise[:1000].copy()
    bad[450] = np.nan
    stream.process(bad)
    np.testing.assert_array_equal(stream.process(noise[:100]), filter_samples(CHAIN, noise[:100]))


def test_state_dies_away_to_exact_zero_in_silence(noise: NDArray[np.float32]) -> None:
    """Denormal numbers would cost 100 times the time, for days."""
    stream = BlockFilter(CHAIN, 48000)
    stream.process(noise[:48000])
    silence = np.zeros(48000, np.float32)
    tails = [np.abs(stream.process(silence)).max() for _ in range(8)]
    assert tails[0] > 0.0
    assert tails[-1] == 0.0


def test_output_does_not_drift_over_an_hour_of_offset() -> None:
    """A tone on a large offset: the last second sounds like the second one."""
    stream = BlockFilter(CHAIN, 48000)
    tone = 0.5 + 0.1 * np.sin(2 * np.pi * 1000 * np.arange(48000) / RATE_HZ)
    x = tone.astype(np.float32)
    early = [stream.process(x).copy() for _ in range(3)][-1]
    for _ in range(3600):
        late = stream.process(x)
    np.testing.assert_allclose(late, early, atol=1e-6)


@pytest.mark.parametrize(
    ("sos", "says"),
    [
        (np.zeros(6), "n_sections"),
        (np.array([[1.0, 0, 0, 0, 0, 0]]), "a0"),
        (np.array([[1.0, 0, 0, 1.0, -2.1, 1.05]]), "unstable"),
        (np.array([[1.0, 0, 0, 1.0, -2.0, 1.0]]), "unstable"),
        (np.array([[np.nan, 0, 0, 1.0, 0, 0]]), "finite"),
    ],
)
def test_impossible_sections_are_refused(sos: NDArray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        BlockFilter(sos, 100)


def test_too_many_samples_are_refused_with_both_numbers() -> None:
    with pytest.raises(ValueError, match=r"101.*100"):
        BlockFilter(CHAIN, 100).process(np.zeros(101, np.float32))
    with pytest.raises(ValueError, match="max_samples"):
        BlockFilter(CHAIN, 0)


def test_a_bank_is_its_cascades_side_by_side() -> None:
    """Whatever the cut, and with one band silent while another sounds."""
    sos = np.array([CHAINS["hum"], CHAINS["hum"][::-1] * [1, 1, 1, 1, 0.5, 0.25]])
    x = np.random.default_rng(5).standard_normal(9000).astype(np.float32)
    bank = FilterBank(sos, 700)
    got = np.concatenate([bank.process(x[k : k + 700]).copy() for k in range(0, 9000, 700)], axis=1)
    wanted = np.array([signal.sosfilt(one, x.astype(np.float64)) for one in sos])
    np.testing.assert_allclose(got, wanted, atol=2e-5)
