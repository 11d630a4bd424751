# SPDX-License-Identifier: MIT
"""Samples into one open card: resampled to its clock, its queue held at the target."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.errors import DeviceError
from edge.playback.control import QueueControl
from edge.playback.resample import AdaptiveResampler
from edge.playback.sounds import Sounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.playback.alsa import OutputCard

    Float32 = NDArray[np.float32]

STUCK_S: Final = 1.0
SOUND_AHEAD_S: Final = 0.1  # written ahead of a sound to which no block comes


@dataclass(slots=True)
class Counts:
    """What went wrong, over all openings of a card."""

    underruns: int = 0
    left_out_blocks: int = 0
    """Of which nothing is heard."""
    cut_blocks: int = 0
    """Of which a part is."""


class CardStream:
    """What belongs to one opening of a card: its queue, its clock, its sounds, whether it moves.

    Parameters
    ----------
    card : is closed by who opened it.
    rate_hz, block_size : of the blocks.
    target_s : what its queue should hold when a block comes; less where it holds less.
    counts : is added to.
    """

    def __init__(
        self, card: OutputCard, rate_hz: int, block_size: int, target_s: float, *, counts: Counts
    ) -> None:
        self.card = card
        self._counts = counts
        self._rate_hz = rate_hz
        self.sounds = Sounds(block_size)
        self.block_s = block_size / rate_hz
        self.holds_s = holds_s = card.buffer_size / card.rate_hz
        """It may be less than was asked for."""
        room_s = max(holds_s - self.block_s, 0.0)  # a longer queue would not take a whole block
        self.target_s = min(target_s, room_s / 2)
        self.most_s = min(2 * self.target_s + self.block_s, room_s)
        n_silent = max(min(block_size, round(holds_s / 4 * rate_hz)), 1)
        self.silence = np.zeros(n_silent, np.float32)
        """A block for a sound to which none comes."""
        self.ahead_s = min(max(target_s, SOUND_AHEAD_S), holds_s - 1.5 * n_silent / rate_hz)
        self.control = QueueControl(self.target_s)
        self.queued_s: float | None = None
        self._resampler = AdaptiveResampler(rate_hz, card.rate_hz, block_size)
        self._lead = np.zeros(round(self.target_s * card.rate_hz), np.float32)
        self._written = 0
        self._played = 0
        self.moving = self.hung = False
        self.resting = True  # that it then runs dry is no underrun
        self._moved_s = self._observed_s = time.monotonic()
        self._flowing = self._skipping = False
        self._standing = True

    @property
    def patience_s(self) -> float:
        """After so long without a block none comes; a card that plays a sound needs the next."""
        waiting_s = self.target_s / 2 + self.block_s
        return min(waiting_s, self.ahead_s / 2) if self.resting else waiting_s

    def observe(self, age_s: float | None) -> float | None:
        """Return what the card holds, in s; None when it stands still after an underrun.

        With the age of a block: what it held when that one was captured, from which the
        control learns. So it doesn't matter how late this thread woke up. Raises `DeviceError`
        for a card that is lost or plays nothing any more.
        """
        queued = self.card.queued() if self._flowing else None
        now_s = time.monotonic()
        self._standing = queued is None
        if queued is None:
            self.moving |= self._flowing  # else it had not run dry
            self._moved_s = now_s
            self.queued_s = None
            return None
        if (played := self._written - queued) != self._played:
            self._played, self._moved_s, self.moving = played, now_s, True
        if now_s - self._moved_s > STUCK_S:
            self.hung = True
            raise DeviceError("the sound card plays nothing any more", "unplug it and plug it in")
        queued_s = queued / self.card.rate_hz
        if age_s is not None:
            self.queued_s = queued_s + age_s
            self.control.update(self.queued_s, now_s - self._observed_s)
            self._observed_s = now_s
        return queued_s

    def ask(self) -> None:
        """Ask a card that nobody writes to whether it is there. Raises as `observe`."""
        if self.observe(None) is None:
            self._flowing = False
            self.card.ask()

    def is_overfull(self, queued_s: float) -> bool:
        """Whether to leave a block out: from the most on until the queue is short again.

        A backlog that came at once would else be heard late for minutes: the clocks' control
        takes away 1 ms in a second.
        """
        limit_s = min(self.target_s + self.block_s / 2, self.most_s)
        self._skipping = queued_s > (limit_s if self._skipping else self.most_s)
        return self._skipping

    def fill(self) -> None:
        """Write a block of silence, and the sound that is due, where no block comes."""
        self.resting = True  # whatever was before it
        self.write(self.silence, 0.0)
        self.resting = True

    def write(self, mono: Float32, age_s: float) -> bool:
        """Resample, mix sounds in and write; return False where nothing of it is to be heard."""
        if self._standing and age_s - self.target_s >= len(mono) / self._rate_hz:
            self._leave_out()
            return False
        due = self._resampler.process(self.sounds.mix(mono), self.control.trim)
        taken = self.card.write(due) if self._flowing else None
        missing = len(due) - (taken or 0)
        if taken is None:
            self._note_underrun()
            taken, missing = self._begin(due, age_s)
        self._written += taken
        self.resting = False
        if taken > 0:
            self.sounds.handed()
            self._counts.cut_blocks += missing > 0
        else:
            self._counts.left_out_blocks += 1
        return taken > 0

    def _note_underrun(self) -> None:
        self._counts.underruns += self._flowing and not self.resting

    def _leave_out(self) -> None:
        """Leave out what is too old to start with."""
        self._counts.left_out_blocks += 1
        if self._flowing:
            self._note_underrun()
            self.card.ask()  # makes it ready
            self._flowing = False

    def _begin(self, due: Float32, age_s: float) -> tuple[int, int]:
        """Start a card that stands still so that its queue was at its target `age_s` ago.

        Younger samples are preceded by silence; of older ones, the first are left out: what
        was late once would else stay late. Return how many samples it took, how many it did not.
        """
        lead = len(self._lead) - round(age_s * self.card.rate_hz)
        # In one piece: the card starts with the first sample that it gets.
        whole = np.concatenate([self._lead[: max(lead, 0)], due])
        late = whole[max(-lead, 0) :]
        taken = (self.card.write(late) or 0) if len(late) else 0
        self._flowing = taken > 0
        self.control.restart()
        self._observed_s = time.monotonic()
        return taken, len(whole) - taken
