# SPDX-License-Identifier: MIT
"""How many samples a card must have captured by now: what an interruption lost.

A card says how many samples it lost only by their absence. What is known are pairs
(time, samples captured by then), and each of them errs to one side: a late wake-up
or a coarse hardware pointer makes the count too small for its time, nothing makes
it too large. The upper envelope of recent pairs is therefore the card's clock.
"""

from __future__ import annotations

from collections import deque
from typing import Final

BLOCK_S: Final = 1.0
"""One anchor, the best pair, is kept of each block."""

MEMORY_BLOCKS: Final = 32
"""Long enough to know the rate to a few ppm, short enough to follow a card as it warms."""

ENVELOPE_BLOCKS: Final = 8

BASELINE_S: Final = 8.0
"""Below this, wake-up jitter weighs more in the slope than the card's skew would."""

MAX_SKEW: Final = 1e-3
"""Crystals stay within 200 ppm; a slope beyond this comes from disturbed anchors."""


class Timeline:
    """The card's clock against the monotonic one, followed for ever.

    Keeps `MEMORY_BLOCKS` anchors. `observe` costs about 1 us and allocates a tuple.
    With pairs that are at most 0.1 ms late at best in each second, the estimate is
    within 0.2 ms for gaps of up to 10 s once `BASELINE_S` have passed; before that the
    card's skew over the gap and the baseline adds (200 ppm over 10 s: 2 ms).
    """

    def __init__(self, rate_hz: int) -> None:
        self._nominal_hz = float(rate_hz)
        self._anchors: deque[tuple[float, float]] = deque(maxlen=MEMORY_BLOCKS)
        self._block_end_s = float("-inf")

    @property
    def known(self) -> bool:
        """Whether anything was observed yet."""
        return bool(self._anchors)

    @property
    def rate_hz(self) -> float:
        """The card's true rate in samples per monotonic second, as far as it is known."""
        if not self._anchors:
            return self._nominal_hz
        # The best of each end: some seconds in which every wake-up was late tilt nothing.
        third = -(-len(self._anchors) // 3)
        anchors = list(self._anchors)
        (first_s, first), (last_s, last) = self._best(anchors[:third]), self._best(anchors[-third:])
        if last_s - first_s < BASELINE_S:
            return self._nominal_hz
        slope = (last - first) / (last_s - first_s)
        skew = max(-MAX_SKEW, min(MAX_SKEW, slope / self._nominal_hz - 1.0))
        return self._nominal_hz * (1.0 + skew)

    def observe(self, time_s: float, sample_index: int) -> None:
        """Note that `sample_index` samples were captured by `time_s`, and maybe some more."""
        if time_s >= self._block_end_s:
            self._block_end_s = time_s + BLOCK_S
            self._anchors.append((time_s, sample_index))
        elif sample_index > self._reach(self._anchors[-1], time_s, self._nominal_hz):
            self._anchors[-1] = (time_s, sample_index)

    def sample_index_at(self, time_s: float) -> float:
        """Return how many samples the card has captured by `time_s`, were it never stopped.

        Raises ValueError before the first observation.
        """
        if not self._anchors:
            message = "nothing was observed yet"
            raise ValueError(message)
        rate_hz = self.rate_hz
        recent = list(self._anchors)[-ENVELOPE_BLOCKS:]
        return max(self._reach(anchor, time_s, rate_hz) for anchor in recent)

    def _best(self, anchors: list[tuple[float, float]]) -> tuple[float, float]:
        return max(anchors, key=lambda anchor: self._reach(anchor, 0.0, self._nominal_hz))

    @staticmethod
    def _reach(anchor: tuple[float, float], time_s: float, rate_hz: float) -> float:
        anchor_s, sample_index = anchor
        return sample_index + (time_s - anchor_s) * rate_hz
