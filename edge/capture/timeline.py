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


Anchor = tuple[float, float]
"""A time in seconds and the samples captured by then."""


class Timeline:
    """The card's clock against the monotonic one, followed for ever.

    Keeps `MEMORY_BLOCKS` anchors. `observe` costs about 1 us and allocates a tuple.
    With pairs that are at most 0.1 ms late at best in each second, the estimate is
    within 0.2 ms for gaps of up to 10 s once `BASELINE_S` have passed; before that the
    card's skew over the gap and the last two seconds adds (200 ppm over 10 s: 2.4 ms).
    """

    def __init__(self, rate_hz: int) -> None:
        self._nominal_hz = float(rate_hz)
        self._stretches: deque[deque[Anchor]] = deque([deque()])
        self._block_end_s = float("-inf")
        self.measured_hz: float | None = None
        """Samples per monotonic second, however odd, renewed each block; None: not known yet."""

    @property
    def known(self) -> bool:
        """Whether anything was observed since the start or the last `restart`."""
        return bool(self._stretches[-1])

    @property
    def rate_hz(self) -> float:
        """The card's true rate in samples per monotonic second, as far as it is believed."""
        measured_hz = self._measured_hz()
        if measured_hz is None:
            return self._nominal_hz
        skew = max(-MAX_SKEW, min(MAX_SKEW, measured_hz / self._nominal_hz - 1.0))
        return self._nominal_hz * (1.0 + skew)

    def observe(self, time_s: float, sample_index: int) -> None:
        """Note that `sample_index` samples were captured by `time_s`, and maybe some more."""
        anchors = self._stretches[-1]
        if time_s >= self._block_end_s:
            self._block_end_s = time_s + BLOCK_S
            anchors.append((time_s, sample_index))
            self._forget()
            self.measured_hz = self._measured_hz()
        elif sample_index > self._reach(anchors[-1], time_s, self._nominal_hz):
            anchors[-1] = (time_s, sample_index)

    def restart(self) -> None:
        """Begin a new stretch after a gap, whose length was only an estimate.

        A rate measured across gaps would confirm the very rate that they were estimated
        with: it is measured within stretches.
        """
        if self._stretches[-1]:
            self._stretches.append(deque())
        self._block_end_s = float("-inf")

    def sample_index_at(self, time_s: float) -> float:
        """Return how many samples the card has captured by `time_s`, were it never stopped.

        Raises ValueError where nothing was observed yet.
        """
        if not self.known:
            message = "nothing was observed yet"
            raise ValueError(message)
        rate_hz = self.rate_hz
        # Old anchors guard against late wake-ups, but only with the true rate.
        blocks = ENVELOPE_BLOCKS if rate_hz != self._nominal_hz else 2
        recent = list(self._stretches[-1])[-blocks:]
        return max(self._reach(anchor, time_s, rate_hz) for anchor in recent)

    def _forget(self) -> None:
        while sum(len(stretch) for stretch in self._stretches) > MEMORY_BLOCKS:
            self._stretches[0].popleft()
            if not self._stretches[0]:
                self._stretches.popleft()

    def _measured_hz(self) -> float | None:
        spans = [self._span(list(stretch)) for stretch in self._stretches]
        seconds = sum(span_s for span_s, _ in spans)
        return sum(count for _, count in spans) / seconds if seconds >= BASELINE_S else None

    def _span(self, anchors: list[Anchor]) -> Anchor:
        """Return the seconds and samples between the best anchors of both ends.

        The best of a third, so that some seconds of late wake-ups tilt nothing.
        """
        if len(anchors) < 2:
            return 0.0, 0.0
        third = -(-len(anchors) // 3)
        first_s, first = self._best(anchors[:third])
        last_s, last = self._best(anchors[-third:])
        return last_s - first_s, last - first

    def _best(self, anchors: list[Anchor]) -> Anchor:
        return max(anchors, key=lambda anchor: self._reach(anchor, 0.0, self._nominal_hz))

    @staticmethod
    def _reach(anchor: Anchor, time_s: float, rate_hz: float) -> float:
        anchor_s, sample_index = anchor
        return sample_index + (time_s - anchor_s) * rate_hz
