# SPDX-License-Identifier: MIT
"""A microphone that has died and still delivers: zeros, one stuck value, pure DC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from edge.types import Period

State = Literal["ok", "zeros", "stuck", "dc"]

SILENT_S: Final = 1.0
"""No live microphone is this still: its own noise moves the last bit."""

DC_RIPPLE: Final = 2.0**-14
"""Peak to peak, of full scale: two steps of 16 bit ..."""

DC_OFFSET: Final = 2.0**-7
"""... around an offset that no quiet room has."""


class Liveness:
    """Tells a dead microphone from a quiet room, on all channels together.

    Keeps the lowest and highest value since the signal last moved. `process` costs a
    minimum and a maximum over the period.
    """

    def __init__(self, rate_hz: int) -> None:
        self._patience_samples = round(SILENT_S * rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a gap."""
        self._still_samples = 0
        self._low = self._high = 0.0

    def process(self, period: Period) -> State:
        """Return what the last second was; "ok" until it has passed."""
        samples = period.samples
        if samples.size == 0:
            return self._state()
        scale = 1.0 if samples.dtype == np.float32 else 2.0 ** (1 - 8 * samples.itemsize)
        low, high = float(samples.min()) * scale, float(samples.max()) * scale
        if self._still_samples:
            low, high = min(low, self._low), max(high, self._high)
        # A NaN fails both comparisons, so that it counts as alive: it's another's trouble.
        if not (high - low <= DC_RIPPLE):
            self._still_samples = 0
            return "ok"
        self._low, self._high = low, high
        self._still_samples += len(samples)
        return self._state()

    def _state(self) -> State:
        if self._still_samples < self._patience_samples:
            return "ok"
        if self._low == self._high:
            return "zeros" if self._low == 0.0 else "stuck"
        offset = abs(self._low + self._high) / 2
        return "dc" if offset > DC_OFFSET else "ok"
