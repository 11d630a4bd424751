# SPDX-License-Identifier: MIT
"""What the capture thread has seen of the stream: where it is, what was lost, who is dead."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from edge.capture.channels import ChannelCheck
from edge.capture.liveness import Liveness
from edge.types import Gap

if TYPE_CHECKING:
    from typing import Literal

    from edge.capture.liveness import State
    from edge.clock import StreamClock
    from edge.types import Period, StreamFormat

    Microphone = State | Literal["lost", "stalled", "wrong_rate"]

log = logging.getLogger(__name__)

WRONG_RATE: Final = 0.005
"""No crystal is off by a tenth of that; 44.1 for 48 kHz is 0.08."""


class StreamWatch:
    """Follows a stream period by period; its figures are read by any thread.

    Parameters
    ----------
    clock : is tied to the sample index with every period.
    """

    def __init__(self, stream: StreamFormat, clock: StreamClock) -> None:
        self._clock = clock
        self._liveness = Liveness(stream.rate_hz)
        self._channels = ChannelCheck(stream.rate_hz, stream.channels)
        self._lost_samples = 0
        self._gap_end = -1
        self._longest_delay_s = 0.0
        self._rate_hz = stream.rate_hz
        self._wrong_hz: float | None = None
        self._stalled = False
        self._heard: Microphone = "ok"
        self._microphone_told: Microphone = "ok"
        self._channels_told = ""
        self.gaps = 0
        """How many there were."""
        self.sample_index = 0
        """After the last sample that came in."""

    @property
    def microphone(self) -> Microphone:
        """What is wrong with it; "ok": nothing."""
        if self._stalled:
            return "stalled"
        return "wrong_rate" if self._heard == "ok" and self._wrong_hz else self._heard

    def look(self, *, stalled: bool, measured_hz: float | None) -> None:
        """Take what the capture thread can't see (main thread).

        Parameters
        ----------
        stalled : nothing comes in any more, not even a gap.
        measured_hz : the source's true rate. Where it is wrong the samples go on: a card that lies
            would lie again if it were opened anew, and what lies between would be lost.
        """
        self._stalled = stalled
        off = abs((measured_hz or self._rate_hz) / self._rate_hz - 1.0)
        # Between the two it stays as it is, so that no card is told again and again.
        if off > WRONG_RATE or off < WRONG_RATE / 2:
            self._wrong_hz = measured_hz if off > WRONG_RATE else None

    def note(self, item: Period | Gap) -> None:
        """Take what the source read (capture thread)."""
        if isinstance(item, Gap):
            # While a device is away one hole comes in many pieces.
            self.gaps += item.sample_index != self._gap_end
            self.sample_index = self._gap_end = item.sample_index + item.lost_samples
            self._lost_samples += item.lost_samples
            if item.cause == "unplugged":
                self._heard = "lost"
            self._liveness.reset()
            self._channels.reset()
            return
        self.sample_index = item.sample_index + len(item.samples)
        self._clock.tie(self.sample_index, item.mono_s)
        delay_s = item.mono_s - self._clock.mono_s(self.sample_index)
        self._longest_delay_s = max(self._longest_delay_s, delay_s)
        self._heard = self._liveness.process(item)
        self._channels.process(item)

    def figures(self) -> dict[str, Any]:
        """Return what `health` says of the stream."""
        return {
            "samples": self.sample_index,
            "microphone": self.microphone,
            "channels": self._channels.trouble or "ok",
            "gaps": self.gaps,
            "lost_samples": self._lost_samples,
            "longest_read_delay_ms": round(1e3 * self._longest_delay_s, 1),
        }

    def tell_changes(self) -> bool:
        """Log once when the microphone or a channel dies and when it lives again (main thread).

        Return whether there was such a change.
        """
        microphone, channels = self.microphone, self._channels.trouble
        if (microphone, channels) == (self._microphone_told, self._channels_told):
            return False
        if "lost" in {microphone, self._microphone_told}:
            pass  # the source has said why, and since when
        elif microphone == "ok" != self._microphone_told:
            log.info("the microphone hears again, after %s", self._microphone_told)
        elif microphone == "wrong_rate":
            log.error(
                "the microphone gives %.0f samples a second instead of %d: pitches and bands are"
                " wrong (another capture.rate_hz, or another microphone)",
                self._wrong_hz,
                self._rate_hz,
            )
        elif microphone != self._microphone_told:
            log.error("the microphone hears nothing: %s", microphone)
        if channels != self._channels_told:
            log.warning("%s", channels or "the channels are well again")
        self._microphone_told, self._channels_told = microphone, channels
        return True
