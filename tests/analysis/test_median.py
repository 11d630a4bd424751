# SPDX-License-Identifier: MIT
"""Running medians are exact: SciPy's and NumPy's, to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from edge.analysis.median import running_median

Float32 = NDArray[np.float32]


def by_definition(rows: Float32) -> Float32:
    """Sort each window of the mirrored rows."""
    mirrored = np.pad(rows, ((15, 15), (0, 0)), mode="symmetric")
    return np.median(sliding_window_view(mirrored, 31, axis=0), axis=-1)


@settings(max_examples=60, deadline=None)
@given(
    n_rows=st.integers(1, 70),
    n_columns=st.integers(1, 20),
    kinds=st.integers(1, 1000),
    seed=st.integers(0, 2**32 - 1),
)
def test_medians_are_those_of_the_definition(
    n_rows: int, n_columns: int, kinds: int, seed: int
) -> None:
    """Few kinds of values make ties, few rows mirror more than once."""
    values = np.random.default_rng(seed).integers(-kinds, kinds + 1, (n_rows, n_columns))
    rows = values.astype(np.float32)
    np.testing.assert_array_equal(running_median(rows), by_definition(rows))


@pytest.mark.parametrize("shape", [(431, 1025), (1025, 431), (20, 17000), (500, 3)])
def test_medians_of_a_spectrum_are_scipys_to_the_bit(shape: tuple[int, int]) -> None:
    """Batches of many narrow tiles and of one wide tile, a last batch that isn't full."""
    rng = np.random.default_rng(5)
    rows = rng.rayleigh(size=shape).astype(np.float32) ** 4
    expected = ndimage.median_filter(rows, (31, 1), mode="reflect")
    np.testing.assert_array_equal(running_median(rows), expected)


def test_rows_are_not_changed() -> None:
    rows = np.random.default_rng(6).random((40, 8), np.float32)
    before = rows.copy()
    running_median(rows)
    np.testing.assert_array_equal(rows, before)
