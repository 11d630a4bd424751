# SPDX-License-Identifier: MIT
"""What is wrong between the channels of one card: one that is dead, two that cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.types import Period, Samples

    Float64 = NDArray[np.float64]

SURE_S: Final = 3
"""So many seconds in a row must say the same."""

EVERY_PERIODS: Final = 4
"""One in so many periods is looked at: what is wrong with a cable is wrong for long."""

DEAD_DB: Final = 60.0
"""A channel this far under the loudest one hears nothing of what that one hears."""

OPPOSED: Final = -0.8
"""A correlation below this: of opposite polarity, and their mean loses 10 dB and more."""

MENDED: Final = 0.2
"""A correlation from this on: of one polarity again. A quiet room, of which each channel hears
its own noise, proves neither."""

_WILD: Final = 64.0  # no converter says this: damage of a float source, and no sound


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
        self._opposed: tuple[int, int] | None = None  # which two were, until they are not
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
            samples = _sound(period.samples)
            self._looked_at += len(samples)
            self._sum += samples.sum(axis=0)
            self._product += samples.T @ samples
        if self._n_samples >= self._rate_hz and (self._looked_at or self._channels == 1):
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
        if self._opposed and (not self.trouble or correlation[self._opposed] >= MENDED):
            self._opposed = None
        opposed = np.argwhere(np.triu(correlation, 1) < OPPOSED)
        if len(opposed) and not self._opposed:
            self._opposed = (int(opposed[0, 0]), int(opposed[0, 1]))
        if not self._opposed:
            return ""
        one, other = self._opposed
        return f"channels {one} and {other} are of opposite polarity: their mean cancels"


def _sound(samples: Samples) -> Float64:
    """Return samples with a full scale of +-1.0, and 0 where they are damaged."""
    if samples.dtype == np.float32:
        # A NaN fails the comparison too.
        return np.where(np.abs(samples) <= _WILD, samples, 0.0).astype(np.float64)
    return samples.astype(np.float64) * 2.0 ** (1 - 8 * samples.itemsize)
