# SPDX-License-Identifier: MIT
"""How much faster than nominal to use samples up, so that a card's queue keeps its length."""

from __future__ import annotations

import math
from typing import Final

from edge.playback.resample import MAX_TRIM

BANDWIDTH_RAD_S: Final = 0.25
"""The loop's natural frequency: 4 s. A clock 200 ppm off moves the queue by 0.3 ms for a moment."""

SMOOTHING_S: Final = 0.5
"""What the threads' waking up early or late is averaged over."""


class QueueControl:
    """Proportional and integral control, critically damped, of seconds in a queue.

    The queue grows by the clocks' difference less the trim: an integrator, which a
    proportional part alone would leave off its target by as much as the clocks differ.
    """

    def __init__(self, target_s: float) -> None:
        self.target_s = target_s
        self.trim = 0.0
        self._error_s = 0.0
        self._learned = 0.0

    def update(self, queued_s: float, elapsed_s: float) -> float:
        """Return the trim, within +-`MAX_TRIM`, after `elapsed_s` more of a queue so long."""
        share = 1.0 - math.exp(-elapsed_s / SMOOTHING_S)
        self._error_s += share * (queued_s - self.target_s - self._error_s)
        learned = self._learned + BANDWIDTH_RAD_S**2 * self._error_s * elapsed_s
        wanted = 2 * BANDWIDTH_RAD_S * self._error_s + learned
        self.trim = min(max(wanted, -MAX_TRIM), MAX_TRIM)
        if self.trim == wanted:  # at its limit it learns nothing of the clocks
            self._learned = learned
        return self.trim

    def restart(self) -> None:
        """Forget the error, not what was learned of the clocks: the queue is at its target."""
        self._error_s = 0.0
        self.trim = self._learned
