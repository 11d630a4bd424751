# SPDX-License-Identifier: MIT
"""Running medians of many columns at once, by comparing whole rows instead of elements.

A median needs no sorted window, only its middle, and neighbouring windows share most of
their rows: 16 windows of 31 share 16. Those are sorted once. Half of the windows share 8
rows more on one side, the other half 8 on the other: each half merges its own in and keeps
the 8 that can still be a median, and so on down to one. That takes 36 minima or maxima for
a median, which a processor computes 8 or 16 at a time, and all are known beforehand. No
value is computed, only chosen: the result is exact.

Source: A. Adams, "Fast median filters using separable sorting networks", ACM Trans. Graph.
40 (2021), in one dimension; K. E. Batcher, "Sorting networks and their applications",
AFIPS (1968), for the networks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.analysis.spectrum import Float32

    Rows = list[Float32]

WIDTH: Final = 31  # frames and bins, as librosa's HPSS; one less than a power of two
_TILE: Final = (WIDTH + 1) // 2  # windows that are computed together
# In one comparison: enough to outweigh the call, few enough for the second cache.
_ELEMENTS: Final = 16384


def running_median(rows: Float32) -> Float32:
    """Return the median of the 31 rows around each, (n_rows, n_columns) float32.

    Beyond the ends the rows are mirrored, the first and the last among them, as
    `scipy.ndimage.median_filter(rows, (31, 1))` does: equal to the bit. (Of two rows and
    fewer SciPy 1.17 may read beyond them.)

    Parameters
    ----------
    rows : (n_rows, n_columns) float32, finite, at least one of each; not changed.
    """
    n_rows, n_columns = rows.shape
    n_tiles = -(-n_rows // _TILE)
    side = WIDTH // 2
    padded = np.pad(rows, ((side, side + n_tiles * _TILE - n_rows), (0, 0)), mode="symmetric")
    medians = np.empty((n_tiles * _TILE, n_columns), np.float32)
    step = _TILE * max(1, _ELEMENTS // n_columns)
    for first in range(0, len(medians), step):
        last = min(first + step, len(medians))
        # Row k of every tile of this batch: the k-th, and each 16th after it.
        reached = [padded[first + k : last + k : _TILE] for k in range(_TILE + WIDTH - 1)]
        core = _sorted(reached[_TILE - 1 : WIDTH])
        for window, median in enumerate(_narrow(core, reached, 0)):
            medians[first + window : last : _TILE] = median
    return medians[:n_rows]


def _narrow(core: Rows, rows: Rows, first: int) -> Iterator[Float32]:
    """Yield the medians of as many windows, from `first` on, as `core` has rows.

    `core` is sorted: of the rows that all these windows share those that may be a median.
    Window k is over rows k to k + 30.
    """
    if len(core) == 1:
        yield core[0]
        return
    half = len(core) // 2
    left = rows[first + half - 1 : first + 2 * half - 1]
    right = rows[first + WIDTH : first + WIDTH + half]
    yield from _narrow(_middle(core, _sorted(left)), rows, first)
    yield from _narrow(_middle(core, _sorted(right)), rows, first + half)


def _middle(core: Rows, more: Rows) -> Rows:
    """Return the middle third, sorted, of `core` and half as many `more`, both sorted."""
    half = len(more)
    # The lowest third is in the lower half of the core and `more`, and goes ...
    rest = _merged([np.maximum(a, b) for a, b in zip(core[:half], more[::-1], strict=True)])
    # ... and of what is left the upper half.
    return _merged([np.minimum(a, b) for a, b in zip(rest, core[: half - 1 : -1], strict=True)])


def _merged(rows: Rows) -> Rows:
    """Sort, in place, rows that rise and then fall, or fall and then rise; return them."""
    distance = len(rows) // 2
    while distance:
        for k in range(len(rows)):
            if not k & distance:
                _order(rows, k, k + distance)
        distance //= 2
    return rows


def _sorted(rows: Rows) -> Rows:
    ordered = list(rows)
    for low, high in _network(len(rows)):
        _order(ordered, low, high)
    return ordered


def _order(rows: Rows, low: int, high: int) -> None:
    a, b = rows[low], rows[high]
    rows[low], rows[high] = np.minimum(a, b), np.maximum(a, b)


@lru_cache(maxsize=8)
def _network(size: int) -> tuple[tuple[int, int], ...]:
    """Return the comparisons that sort `size` rows, a power of two: Batcher's odd-even merges."""
    if size == 1:
        return ()
    half = _network(size // 2)
    upper = tuple((low + size // 2, high + size // 2) for low, high in half)
    return (*half, *upper, *_merges(0, size, 1))


def _merges(start: int, size: int, step: int) -> tuple[tuple[int, int], ...]:
    """Return what merges the two sorted halves of every `step`-th row of `size` rows."""
    if 2 * step == size:
        return ((start, start + step),)
    between = range(start + step, start + size - step, 2 * step)
    even, odd = (_merges(start + shift, size, 2 * step) for shift in (0, step))
    return (*even, *odd, *((low, low + step) for low in between))
