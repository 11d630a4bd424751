# SPDX-License-Identifier: MIT
"""A stream out through a card with a clock of its own.

==========  ============================================  =========================
thread      calls                                         waits
==========  ============================================  =========================
capture     `take`                                        never
any         `play_sound`, `figures`, `stop`               never
playback    `run`: resamples, keeps the queue, writes     for the next block
==========  ============================================  =========================

The card is never waited for: samples are written as they come, at the pace of who captures.
What keeps its queue at the target is the resampling. Before each block it should hold
`target_s`: so late may a block be.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from edge.errors import DeviceError
from edge.playback.alsa import OutputCard
from edge.playback.arrival import Arrival
from edge.playback.handover import Handover
from edge.playback.stream import SOUND_AHEAD_S, CardStream, Counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.playback.handover import Block
    from edge.playback.sounds import Sound, Told

    Float32 = NDArray[np.float32]

log = logging.getLogger(__name__)

MOST_PERIODS: Final = 60  # a card may have no more in its buffer, and would make that shorter
HANDOVER_S: Final = 0.2
FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 30.0
ENDED: Final = ("playback has ended", "start it again")
ASK_S: Final = 2.0  # so often a card that plays nothing is asked whether it is there


@dataclass(frozen=True, slots=True)
class Figures:
    """How it goes; counts since the start. `None`: nothing to tell yet."""

    state: Literal["ok", "away"]
    underruns: int
    dropped_blocks: int
    left_out_blocks: int
    cut_blocks: int
    lost_cards: int
    queued_s: float | None
    trim_ppm: float
    handed_p50_s: float | None
    handed_p99_s: float | None


class PlaybackOut:
    """Takes mono blocks, plays them on the first card that `device` names, for years.

    An absent or lost card is said once, tried again with growing pauses, and never disturbs
    who gives the blocks: they are forgotten meanwhile.

    Parameters
    ----------
    device : as ALSA names it.
    rate_hz : of the blocks. The card may have another one.
    block_size : the longest block, in samples.
    target_s : what the card's queue should hold when a block comes.
    history : of how many blocks the times are remembered.
    """

    def __init__(
        self,
        device: str,
        *,
        rate_hz: int,
        block_size: int,
        target_s: float = 0.01,
        history: int = 4096,
    ) -> None:
        self._device = device
        self._rate_hz = rate_hz
        self._block_size = block_size
        self._block_s = block_size / rate_hz
        self._target_s = target_s
        places = max(4, round(HANDOVER_S / self._block_s))
        self._handover = Handover(places, block_size)
        self._arrival = Arrival(rate_hz)
        self._ended = threading.Event()
        self._stream: CardStream | None = None
        self._late_s = np.zeros(history)
        self._n_handed = 0
        self.trouble: DeviceError | None = None
        """Why nothing is played now."""
        self._hung = False
        self._retry_s = FIRST_RETRY_S
        self._counts = Counts()
        self._lost_cards = 0

    def take(self, mono: Float32, brought_s: float) -> None:
        """Hand (n_samples,) float32 on, of any length; never waits (capture thread).

        `brought_s` is when it was read, by CLOCK_MONOTONIC. The array is copied. While the
        card is away it is forgotten.
        """
        captured_s = self._arrival.observe(len(mono), brought_s)
        if self._stream is not None:
            for start in range(0, len(mono), self._block_size):
                self._handover.give(mono[start : start + self._block_size], captured_s)

    def skip(self, lost_samples: int) -> None:
        """Take note of a gap (capture thread)."""
        self._arrival.skip(lost_samples)

    def play_sound(self, sound: Sound, *, alone: bool = False, told: Told = lambda _: None) -> None:
        """Play `sound` once, at the rate of the blocks, after those before it.

        It is mixed into the stream, or, `alone`, silences it meanwhile; and it sounds when no
        block comes at all. It must not be changed afterwards. `told` is called once from the
        playback thread: with None when its first block is with the card, or with why it is not
        played. Raises `DeviceError` when the card is away, as an alarm is not to be heard hours
        late, and when too many sounds wait; `told` is then not called.
        """
        stream, trouble = self._stream, self.trouble
        if self._ended.is_set():
            raise DeviceError(*ENDED)
        if trouble:  # one that is raised again and again would grow
            raise DeviceError(trouble.message, trouble.help)
        if stream is None:
            raise DeviceError(f"{self._device} is not open yet", "try again")
        stream.sounds.add(sound, alone=alone, told=told)
        self._handover.wake()

    def run(self) -> None:
        """Play until `stop` (playback thread)."""
        while not self._ended.is_set():
            try:
                self._stream = self._open()
                if not self._hung:  # one that hangs opens as well; it is back when it plays
                    self._heal(self._stream)
                self._play(self._stream)
            except DeviceError as error:
                self._lost_cards += self._stream is not None and not self.trouble
                if not self.trouble:
                    log.warning("nothing is played: %s", error)
                self.trouble = DeviceError(error.message, error.help)  # without what was open
            finally:
                self._leave()
            self._ended.wait(self._retry_s)
            self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)

    def _leave(self) -> None:
        stream, self._stream = self._stream, None
        if stream:
            self._hung = stream.hung
            stream.card.close()
            stream.sounds.close(self.trouble or DeviceError(*ENDED))

    def _heal(self, stream: CardStream) -> None:
        if self.trouble:
            log.info("playback through %s is back", self._device)
        if stream.target_s < self._target_s:
            log.warning(
                "%s holds %.0f ms: of %.0f ms that are to wait in it, %.0f do",
                self._device,
                *(1e3 * each_s for each_s in (stream.holds_s, self._target_s, stream.target_s)),
            )
        self.trouble, self._hung, self._retry_s = None, False, FIRST_RETRY_S

    def stop(self) -> None:
        """Let `run` return; what waits in the card is not played."""
        self._ended.set()
        self._handover.wake()

    def figures(self) -> Figures:
        """Return how it goes (any thread)."""
        stream = self._stream
        late_s = self.handed()
        p50_s, p99_s = np.percentile(late_s, (50, 99)).tolist() if len(late_s) else (None, None)
        return Figures(
            state="ok" if (stream or self._ended.is_set()) and not self.trouble else "away",
            underruns=self._counts.underruns,
            dropped_blocks=self._handover.dropped,
            left_out_blocks=self._counts.left_out_blocks,
            cut_blocks=self._counts.cut_blocks,
            lost_cards=self._lost_cards,
            queued_s=stream.queued_s if stream else None,
            trim_ppm=stream.control.trim * 1e6 if stream else 0.0,
            handed_p50_s=p50_s,
            handed_p99_s=p99_s,
        )

    def waits_s(self) -> float:
        """Return how long a sample is to wait in the card, less where that holds less, in s."""
        stream = self._stream
        return stream.target_s if stream else self._target_s

    def handed(self) -> NDArray[np.float64]:
        """Return how old each of the last blocks was when the card had it, (n,) s, in no order."""
        return self._late_s[: self._n_handed].copy()

    def _open(self) -> CardStream:
        asked_s = max(2 * self._target_s + 3 * self._block_s, 2 * SOUND_AHEAD_S)
        buffer_size = round(asked_s * self._rate_hz)
        shortest = max(buffer_size // MOST_PERIODS, 16)
        card = OutputCard(
            self._device,
            rate_hz=self._rate_hz,
            period_size=max(min(self._block_size, round(0.005 * self._rate_hz)), shortest),
            buffer_size=buffer_size,
        )
        self._handover.clear()  # what another card did not play any more
        return CardStream(
            card, self._rate_hz, self._block_size, self._target_s, counts=self._counts
        )

    def _play(self, stream: CardStream) -> None:
        since_s = time.monotonic()
        while not self._ended.is_set():
            wait_s = stream.patience_s if stream.sounds else ASK_S
            block = self._handover.take(max(since_s + wait_s - time.monotonic(), 0.0))
            if block is not None:
                self._pass_on(stream, block)
            elif time.monotonic() < since_s + wait_s:
                continue  # woken: there is a sound, or an end
            elif stream.sounds:
                self._fill(stream)
            else:
                self._ask(stream)
            since_s = time.monotonic()
            if self._hung and stream.moving:
                self._heal(stream)

    def _pass_on(self, stream: CardStream, block: Block) -> None:
        age_s = time.monotonic() - block.captured_s
        queued_s = stream.observe(age_s)
        if queued_s is not None and stream.is_overfull(queued_s + age_s):
            self._counts.left_out_blocks += 1
            stream.control.restart()
            return
        if not stream.write(block.samples, age_s):
            return
        self._late_s[self._n_handed % len(self._late_s)] = time.monotonic() - block.captured_s
        self._n_handed += 1

    def _fill(self, stream: CardStream) -> None:
        """Go on with sounds where no block comes."""
        while stream.sounds:
            queued_s = stream.observe(None)
            # Nobody waits for a sound: it may lie further ahead than a stream.
            if queued_s is not None and queued_s > stream.ahead_s:
                return
            stream.fill()

    def _ask(self, stream: CardStream) -> None:
        """Notice a lost card before it is needed; one that hung must move again to be well."""
        stream.ask()
        if self._hung:
            stream.fill()
