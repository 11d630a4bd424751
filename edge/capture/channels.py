# SPDX-License-Identifier: MIT
"""What is wrong between the channels of one card: one that is dead, two that cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.types import Period

    Float64 = NDArray[np.float64]

SURE_S: Final = 3
"""So many seconds in a row must say the same."""

EVERY_PERIODS: Final = 4
"""One in so many periods is looked at: what is wrong with a cable is wrong for long."""

DEAD_DB: Final = 60.0
"""A channel this far under the loudest one hears nothing of what that one hears."""

OPPOSED: Final = -0.8
"""A correlation below this: of opposite polarity, and their mean loses 10 dB and more."""


class ChannelCheck:
    """Compares the channels second by second; needs two or more, and a sound that both hear.

    Keeps one matrix (channels, channels). `process` costs one small product for each
    period that is looked at.

    Parameters
    ----------
    rate_hz, channels : of the stream.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._rate_hz = rate_hz
        self._channels = channels
        self._periods = 0
        self._told: list[str] = []
        self.trouble = ""
        """What is wrong, for people; empty: nothing."""
        self.reset()

    def reset(self) -> None:
        """Forget the second at hand, as after a gap."""
        self._n_samples = self._looked_at = 0
        self._sum: Float64 = np.zeros(self._channels)
        self._product: Float64 = np.zeros((self._channels, self._channels))

    def process(self, period: Period) -> None:
        """Look at a period, perhaps; renew `trouble` once a second."""
        self._n_samples += len(period.samples)
        self._periods += 1
        if self._channels > 1 and self._periods % EVERY_PERIODS == 0:
            scale = (
                1.0
                if period.samples.dtype == np.float32
                else 2.0 ** (1 - 8 * period.samples.itemsize)
            )
            samples = np.nan_to_num(period.samples.astype(np.float64) * scale)
            self._looked_at += len(samples)
            self._sum += samples.sum(axis=0)
            self._product += samples.T @ samples
        if self._n_samples >= self._rate_hz:
            self._told = [*self._told[1 - SURE_S :], self._judge()]
            self.reset()
            if len(self._told) == SURE_S and len(set(self._told)) == 1:
                self.trouble = self._told[0]

    def _judge(self) -> str:
        offset = np.outer(self._sum, self._sum) / max(self._looked_at, 1)
        covariance = self._product - offset
        power = np.diag(covariance)
        loudest = power.max()
        if loudest <= 0.0:
            return ""  # all are dead: `Liveness` says it
        dead = power < loudest * 10.0 ** (-DEAD_DB / 10.0)
        if dead.any():
            numbers = ", ".join(map(str, np.flatnonzero(dead)))
            return f"channel {numbers} is dead while others hear: capture.channel names one"
        correlation = covariance / np.sqrt(np.outer(power, power))
        opposed = np.argwhere(np.triu(correlation, 1) < OPPOSED)
        if len(opposed):
            one, other = opposed[0]
            return f"channels {one} and {other} are of opposite polarity: their mean cancels"
        return ""
