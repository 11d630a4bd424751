# SPDX-License-Identifier: MIT
"""From a thread that must not wait to one that may."""

from __future__ import annotations

import contextlib
import queue
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Block(NamedTuple):
    """Samples on their way out, (n_samples,) float32, and when they were captured (monotonic)."""

    samples: NDArray[np.float32]
    captured_s: float


class Handover:
    """A bounded line of blocks from one thread to one other.

    `give` never waits: when all places are taken, what comes is dropped and counted. The
    places are made once; a block is valid until the `take` after it.

    Parameters
    ----------
    places : how many blocks may wait.
    max_samples : the longest one.
    """

    def __init__(self, places: int, max_samples: int) -> None:
        self._places = np.zeros((places + 1, max_samples), np.float32)  # one is being read
        self._waiting: queue.SimpleQueue[tuple[int, int, float] | None] = queue.SimpleQueue()
        self._given = 0
        self._taken = 0
        self.dropped = 0
        """Blocks for which there was no place."""

    def give(self, samples: NDArray[np.float32], captured_s: float) -> None:
        """Hand a copy over, or drop it."""
        # Each side writes its own count alone; a stale look at the other's errs to the safe side.
        if self._given - self._taken >= len(self._places) - 1:
            self.dropped += 1
            return
        place = self._given % len(self._places)
        self._places[place, : len(samples)] = samples
        self._given += 1
        self._waiting.put((place, len(samples), captured_s))

    def take(self, timeout_s: float) -> Block | None:
        """Wait for a block; None when none came, or when woken by `wake`."""
        try:
            item = self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if item is None:
            return None
        place, n_samples, captured_s = item
        self._taken += 1
        return Block(self._places[place, :n_samples], captured_s)

    def clear(self) -> None:
        """Forget what waits (the thread that takes)."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._taken += self._waiting.get_nowait() is not None

    def wake(self) -> None:
        """Let a `take` return at once."""
        self._waiting.put(None)
