# SPDX-License-Identifier: MIT
"""A microphone that has died and still delivers: zeros, one stuck value, pure DC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.types import Period

State = Literal["ok", "zeros", "stuck", "dc"]

SILENT_S: Final = 1.0
"""No live microphone is this still: its own noise moves the last bit."""

DC_RIPPLE: Final = 2.0**-14
"""Peak to peak, of full scale: two steps of 16 bit ..."""

DC_OFFSET: Final = 2.0**-7
"""... around an offset that no quiet room has."""


class Liveness:
    """Tells a dead microphone from a quiet room; one live channel is life.

    Keeps each channel's lowest and highest value since the signal last moved. `process`
    costs a minimum and a maximum over the period.
    """

    def __init__(self, rate_hz: int) -> None:
        self._patience_samples = round(SILENT_S * rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as after a gap."""
        self._still_samples = 0
        self._low: NDArray[np.float64] = np.zeros(0)
        self._high: NDArray[np.float64] = np.zeros(0)

    def process(self, period: Period) -> State:
        """Return what the last second was; "ok" until it has passed."""
        samples = period.samples
        if samples.size == 0:
            return self._state()
        scale = 1.0 if samples.dtype == np.float32 else 2.0 ** (1 - 8 * samples.itemsize)
        low, high = samples.min(axis=0) * scale, samples.max(axis=0) * scale
        if self._still_samples:
            low, high = np.minimum(low, self._low), np.maximum(high, self._high)
        # A NaN fails the comparison, so that it counts as alive: it's another's trouble.
        if not (high <= low + DC_RIPPLE).all():
            self._still_samples = 0
            return "ok"
        self._low, self._high = low, high
        self._still_samples += len(samples)
        return self._state()

    def _state(self) -> State:
        if self._still_samples < self._patience_samples:
            return "ok"
        constant = self._low == self._high
        if constant.all():
            return "stuck" if self._low.any() else "zeros"
        offset = np.abs(self._low + self._high) / 2
        return "dc" if (constant | (offset > DC_OFFSET)).all() else "ok"
