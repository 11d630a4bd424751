# SPDX-License-Identifier: MIT
"""Whether the machine has slept: one clock counts that time, another does not."""

from __future__ import annotations

import time
from typing import Final

LEAST_S: Final = 0.05
"""A shorter sleep is none: no machine falls asleep and wakes in that time."""


class SleepWatch:
    """Compares CLOCK_BOOTTIME with CLOCK_MONOTONIC; two looks at a time cost 1 us.

    Whoever is kept waiting between the two clocks sees too much or too little: what is believed
    is what is certain from both sides.
    """

    def __init__(self) -> None:
        self._most_s = float("inf")
        self.noticed()

    def noticed(self) -> bool:
        """Return whether the machine has slept since the last call."""
        before_s = time.monotonic()
        boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        after_s = time.monotonic()
        slept = boot_s - after_s > self._most_s + LEAST_S
        most_s = boot_s - before_s
        self._most_s = most_s if slept else min(self._most_s, most_s)
        return slept
