# SPDX-License-Identifier: MIT
"""When a source without a card hands its samples on: as they would sound, or at once."""

from __future__ import annotations

import time
from typing import Literal

Pace = Literal["real", "fast"]


class Pacer:
    """Waits until a sample would have been captured.

    In real pace, times are absolute from the first call on, so that nothing drifts and
    a late reader catches up. In fast pace it never waits, and time is the sample index:
    two runs over the same samples tell the same times.
    """

    def __init__(self, pace: Pace, rate_hz: int) -> None:
        self._real = pace == "real"
        self._rate_hz = rate_hz
        self._epoch_s: float | None = None if self._real else 0.0

    def wait_until(self, sample_index: int) -> float:
        """Return the monotonic time at which samples up to `sample_index` are there."""
        if self._epoch_s is None:
            self._epoch_s = time.monotonic()
        due_s = self._epoch_s + sample_index / self._rate_hz
        if not self._real:
            return due_s
        while (left_s := due_s - time.monotonic()) > 0:
            time.sleep(left_s)
        return time.monotonic()
