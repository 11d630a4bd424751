# SPDX-License-Identifier: MIT
"""Clicks sent around a loop of two cards, and found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

SETTLE_S: Final = 1.0
PAUSE_S: Final = 0.1
CLICK_S: Final = 0.002  # so long a click and its ringing last, and so much may a queue be short
LOST_AFTER_S: Final = 0.5
CLICK_LEVEL: Final = 0.5
LEAST_LEVEL: Final = 0.01
OVER_NOISE: Final = 4.0
OF_THE_FIRST: Final = 0.2  # what comes back fainter is the room's answer to the first time


class Clicks:
    """Sends clicks, finds them again, opens the gate for each once.

    Parameters
    ----------
    rate_hz : of the input.
    play : plays (n_samples,) float32.
    waits_s : tells how long what is played waits in the output.
    seed : of when clicks are sent: they fall anywhere in a period.
    """

    def __init__(
        self,
        rate_hz: int,
        play: Callable[[Float32], None],
        waits_s: Callable[[], float],
        seed: int = 0,
    ) -> None:
        self._rate_hz = rate_hz
        self._click_size = round(CLICK_S * rate_hz)
        self._play = play
        self._waits_s = waits_s
        self._rng = np.random.default_rng(seed)
        self._state: Literal["quiet", "sent", "passed"] = "quiet"
        self._until = round(SETTLE_S * rate_hz)
        self._noise = 0.0
        self._deaf_until = 0
        self._first = 0
        self._peak = 0.0
        self._again = 0
        self._silence = np.zeros(0, np.float32)
        self.around_s: list[float] = []
        """Of each click, from the first time it was captured to the second."""
        self.lost = 0

    def process(self, mono: Float32, sample_index: int) -> Float32:
        """Return what of a period is to be played: the period that holds a click, or silence."""
        if len(self._silence) < len(mono):
            self._silence = np.zeros(len(mono), np.float32)
        silence = self._silence[: len(mono)]
        end = sample_index + len(mono)
        if self._state == "quiet":
            self._wait(mono, end)
            return silence
        if self._state == "passed":
            return self._follow(mono, sample_index, end)
        at = self._find(mono, 0, LEAST_LEVEL)
        if at is None:
            self._give_up(end)
            return silence
        self._state, self._first = "passed", sample_index + at
        # Nothing comes around sooner than a period and what waits in the output.
        waiting = len(mono) + round(self._waits_s() * self._rate_hz)
        self._again = self._first + max(waiting - self._click_size, self._click_size)
        self._peak = 0.0
        self._until = end + round(LOST_AFTER_S * self._rate_hz)
        return self._follow(mono, sample_index, end)

    def _follow(self, mono: Float32, sample_index: int, end: int) -> Float32:
        """Let a click through to its end; find it when it comes back."""
        rung_out = self._first + self._click_size
        ringing = mono[max(self._first - sample_index, 0) : max(rung_out - sample_index, 0)]
        self._peak = max(self._peak, float(np.abs(ringing).max(initial=0.0)))
        least_level = max(LEAST_LEVEL, OF_THE_FIRST * self._peak)
        at = self._find(mono, max(self._again - sample_index, 0), least_level)
        if at is not None:
            self.around_s.append((sample_index + at - self._first) / self._rate_hz)
            self._rest(end)
        else:
            self._give_up(end)
        return mono if sample_index < rung_out else self._silence[: len(mono)]

    def _give_up(self, end: int) -> None:
        if end > self._until:
            self.lost += 1
            self._rest(end)

    def _wait(self, mono: Float32, end: int) -> None:
        """Listen to the noise; send a click when it is time."""
        if mono.size and end > self._deaf_until:  # the click before this one rings no more
            self._noise = max(float(np.abs(mono).max()), 0.99 * self._noise)
        if end < self._until:
            return
        click = np.zeros(int(self._rng.integers(3, 2 * len(mono) + 4)), np.float32)
        click[-3:] = CLICK_LEVEL  # wide enough to pass a converter and a loudspeaker
        self._play(click)
        self._state = "sent"
        self._until = end + round(LOST_AFTER_S * self._rate_hz)

    def _rest(self, end: int) -> None:
        self._state = "quiet"
        self._noise = 0.0
        self._deaf_until = end + len(self._silence) + self._click_size
        self._until = end + round(PAUSE_S * self._rate_hz)

    def _find(self, mono: Float32, start: int, least_level: float) -> int | None:
        """Return where something as loud as a click begins."""
        loud = np.abs(mono[start:]) > max(least_level, OVER_NOISE * self._noise)
        return start + int(loud.argmax()) if loud.any() else None
