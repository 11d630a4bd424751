# SPDX-License-Identifier: MIT
"""Components: as near as scikit-learn's NMF, the same every time, and what was mixed."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.analysis.components import factorise, find_components
from edge.analysis.segment import Options, analyse_segment
from edge.analysis.spectrum import geometry, stft

SHAPE = geometry(22050)


def error(values: NDArray[np.float32], rank: int) -> float:
    left, right = factorise(values, rank)
    return float(np.linalg.norm(values - left.T @ right))


@pytest.mark.data
@pytest.mark.parametrize("rank", [2, 4])
def test_the_error_is_within_1_percent_of_scikit_learns(
    recordings: list[NDArray[np.float32]], rank: int
) -> None:
    decomposition = pytest.importorskip(
        "sklearn.decomposition", reason="extra `bench` is not installed"
    )
    for samples in recordings:
        magnitude = np.abs(stft(samples, SHAPE))
        peer = decomposition.NMF(rank)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says so where 200 iterations were not enough
            peer.fit(magnitude)
        assert error(magnitude, rank) < 1.01 * peer.reconstruction_err_


@settings(max_examples=40, deadline=None)
@given(
    n_rows=st.integers(1, 60),
    n_columns=st.integers(1, 60),
    rank=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_a_sum_of_few_is_found_again(
    n_rows: int, n_columns: int, rank: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rank = min(rank, n_rows, n_columns)
    rows, columns = rng.random((rank, n_rows)), rng.random((rank, n_columns))
    values = (rows.T @ columns).astype(np.float32)
    left, right = factorise(values, rank)
    assert left.shape == (rank, n_rows)
    assert right.shape == (rank, n_columns)
    assert left.min() >= 0.0
    assert right.min() >= 0.0
    assert np.linalg.norm(values - left.T @ right) < 0.05 * np.linalg.norm(values)


def test_the_same_values_give_the_same_factors() -> None:
    values = np.random.default_rng(12).random((200, 300), np.float32)
    first, second = factorise(values, 4), factorise(values.copy(), 4)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_sounds_in_turn_are_two_components() -> None:
    """A loud tone in the first half, a fainter one in the second."""
    time_s = np.arange(4 * 22050) / 22050
    sound = np.where(
        time_s < 2.0,
        0.4 * np.sin(2.0 * np.pi * 440.0 * time_s),
        0.2 * np.sin(2.0 * np.pi * 3000.0 * time_s),
    )
    magnitude = np.abs(stft(sound.astype(np.float32), SHAPE))
    loud, faint = find_components(magnitude, SHAPE, 2)
    assert loud.peak_hz == pytest.approx(440.0, abs=11.0)
    assert faint.peak_hz == pytest.approx(3000.0, abs=11.0)
    assert loud.centroid_hz == pytest.approx(440.0, rel=0.1)
    assert loud.share == pytest.approx(0.8, abs=0.03)
    assert loud.share + faint.share == pytest.approx(1.0)
    early, late = loud.activation[10:75].mean(), loud.activation[100:160].mean()
    assert early > 50.0 * late
    np.testing.assert_allclose(loud.spectrum.sum(), 1.0, rtol=1e-5)
    rebuilt = sum(np.outer(part.activation, part.spectrum) for part in (loud, faint))
    assert np.linalg.norm(rebuilt - magnitude) < 0.2 * np.linalg.norm(magnitude)


def test_silence_has_no_components_and_one_frame_one_at_most() -> None:
    assert find_components(np.zeros((20, 1025), np.float32), SHAPE, 4) == ()
    one = np.random.default_rng(13).random((1, 1025), np.float32)
    (only,) = find_components(one, SHAPE, 4)
    assert only.share == pytest.approx(1.0)


def test_the_sounds_of_the_components_add_up_to_the_recording() -> None:
    rate_hz = 22050
    time_s = np.arange(2 * rate_hz) / rate_hz
    low = np.sin(2 * np.pi * 300 * time_s) * (time_s % 1 < 0.5)
    high = np.sin(2 * np.pi * 4000 * time_s) * (time_s % 1 >= 0.5)
    samples = (0.3 * (low + high)).astype(np.float32)
    segment = analyse_segment(samples, rate_hz, Options(n_components=2, stems=True))
    sounds = [one.sound for one in segment.components if one.sound is not None]
    assert len(sounds) == 2
    np.testing.assert_allclose(np.sum(sounds, axis=0), samples, atol=2e-6)
    for one in segment.components:
        assert one.sound is not None
        own = low if one.peak_hz < 1000 else high
        assert np.corrcoef(one.sound, own)[0, 1] > 0.99, "each has its own tone"


def test_sounds_are_made_only_when_they_are_asked_for() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 22050).astype(np.float32)
    segment = analyse_segment(noise, 22050, Options())
    assert all(one.sound is None for one in segment.components)


def test_silence_has_no_sounds_of_components() -> None:
    segment = analyse_segment(np.zeros(22050, np.float32), 22050, Options(stems=True))
    assert segment.components == ()
