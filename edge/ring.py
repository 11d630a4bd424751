# SPDX-License-Identifier: MIT
"""The last seconds of a stream, found again by absolute sample index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Ring:
    """History of fixed length, addressed by sample index.

    The samples are kept twice, one capacity apart, so that any stretch is one
    contiguous view; a write costs two copies and never allocates.

    Parameters
    ----------
    capacity : samples that are kept, > 0.
    """

    def __init__(self, capacity: int) -> None:
        if capacity <= 0:
            raise ValueError(f"capacity = {capacity}: must be positive")
        self._capacity = capacity
        self._twice = np.zeros(2 * capacity, np.float32)
        self._end = 0
        self._start = 0

    @property
    def start(self) -> int:
        """Index of the oldest sample that can be read."""
        return self._start

    @property
    def end(self) -> int:
        """Index after the newest sample."""
        return self._end

    def write(self, samples: NDArray[np.float32]) -> None:
        """Append (n,) float32, n <= capacity."""
        n = len(samples)
        if n > self._capacity:
            raise ValueError(f"{n} samples do not fit a ring of {self._capacity}")
        at = self._end % self._capacity
        first = min(n, self._capacity - at)
        for base in (0, self._capacity):
            self._twice[base + at : base + at + first] = samples[:first]
            self._twice[base : base + n - first] = samples[first:]
        self._end += n
        self._start = max(self._start, self._end - self._capacity)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return samples [start, stop) as a view, valid until the next write.

        Raises `ValueError` for what is no longer, or not yet, there.
        """
        if not self._start <= start <= stop <= self._end:
            raise ValueError(f"[{start}, {stop}) is not within [{self._start}, {self._end})")
        at = start % self._capacity
        return self._twice[at : at + stop - start]

    def restart(self, index: int) -> None:
        """Forget everything; the next write begins at `index` (after a gap)."""
        self._start = self._end = index
