# SPDX-License-Identifier: MIT
"""Periods of integers kept until there are enough of them to work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge.types import Samples


class Batch:
    """Keeps samples as they were captured, `size` at most.

    Parameters
    ----------
    size : samples per channel.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: Samples | None = None  # made when the first period tells the integer type
        self._n_kept = 0

    @property
    def full(self) -> bool:
        """Whether nothing more fits in."""
        return self._n_kept == self._size

    def keep(self, samples: Samples) -> int:
        """Copy what fits of (n_samples, channels); return how many."""
        if self._kept is None:
            self._kept = np.zeros((self._size, samples.shape[1]), samples.dtype)
        n = min(len(samples), self._size - self._n_kept)
        self._kept[self._n_kept : self._n_kept + n] = samples[:n]
        self._n_kept += n
        return n

    def take(self) -> Samples | None:
        """Return what is kept, valid until the next `keep`, and keep nothing; None: nothing is."""
        if self._kept is None or self._n_kept == 0:
            return None
        raw, self._n_kept = self._kept[: self._n_kept], 0
        return raw
