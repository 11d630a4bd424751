# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ring import Ring


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 50))
def test_any_cut_of_writes_reads_back_what_was_written(sizes: list[int], capacity: int) -> None:
    ring = Ring(capacity)
    stream = np.arange(sum(min(size, capacity) for size in sizes), dtype=np.float32)
    for size in sizes:
        n = min(size, capacity)
        ring.write(stream[ring.end : ring.end + n])
    assert ring.end == len(stream)
    assert ring.end - ring.start == min(len(stream), capacity)
    np.testing.assert_array_equal(ring.read(ring.start, ring.end), stream[ring.start :])


def test_reading_outside_the_history_names_the_history() -> None:
    ring = Ring(4)
    ring.write(np.ones(4, np.float32))
    ring.write(np.ones(2, np.float32))
    for start, stop in ((1, 4), (5, 7), (5, 4)):
        with pytest.raises(ValueError, match=r"\[2, 6\)"):
            ring.read(start, stop)


def test_a_restart_forgets_and_counts_on_from_its_index() -> None:
    ring = Ring(8)
    ring.write(np.ones(5, np.float32))
    ring.restart(100)
    ring.write(np.full(3, 2, np.float32))
    assert (ring.start, ring.end) == (100, 103)
    np.testing.assert_array_equal(ring.read(100, 103), 2)


def test_a_ring_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="capacity = 0"):
        Ring(0)
    with pytest.raises(ValueError, match="5 samples"):
        Ring(4).write(np.zeros(5, np.float32))
