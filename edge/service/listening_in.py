# SPDX-License-Identifier: MIT
"""Listening in: the filtered signal to a loudspeaker as it comes, and sounds on command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.monitor import Monitor
from edge.playback.out import PlaybackOut
from edge.service.priority import hurry
from edge.types import Gap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.dsp.clean import Cleaner
    from edge.playback.sounds import Sound, Told
    from edge.service.supervisor import Supervisor
    from edge.types import Period, StreamFormat

THREAD: Final = "playback"


class ListeningIn:
    """The signal path from the capture thread to a card.

    Both threads have real-time priority: at 2.5 ms a period nobody may be before them.

    Parameters
    ----------
    device : as ALSA names it.
    stream : the format as granted by the source.
    chain_sos : (n_sections, 6) float64, the filters that are to be heard.
    channel : from 0; None: the mean of all.
    gain_db : before the filters.
    buffer_ms : what waits in the card when a period comes: so late may one be.
    cleaner, reference : after the filters, as `Monitor` takes them.
    """

    def __init__(
        self,
        device: str,
        *,
        stream: StreamFormat,
        chain_sos: NDArray[np.float64],
        channel: int | None = None,
        gain_db: float = 0.0,
        buffer_ms: float = 10.0,
        cleaner: Cleaner | None = None,
        reference: int | None = None,
    ) -> None:
        self._monitor = Monitor(
            stream,
            chain_sos,
            channel=channel,
            gain_db=gain_db,
            cleaner=cleaner,
            reference=reference,
        )
        self.out = PlaybackOut(
            device,
            rate_hz=stream.rate_hz,
            block_size=stream.period_size,
            target_s=buffer_ms / 1000.0,
        )
        self._cleaning_s = self._monitor.delay_samples / stream.rate_hz
        self._supervisor: Supervisor | None = None

    def take(self, item: Period | Gap) -> None:
        """Filter a period and hand it on; never waits (capture thread)."""
        if isinstance(item, Gap):
            self._monitor.restart()
            self.out.skip(item.lost_samples)
            return
        self.out.take(self._monitor.process(item.samples), item.mono_s)

    def play_sound(self, sound: Sound, *, alone: bool, told: Told) -> None:
        """Play a sound at the stream's rate, as `PlaybackOut` does (any thread)."""
        self.out.play_sound(sound, alone=alone, told=told)

    def start(self, supervisor: Supervisor) -> None:
        """Start the thread that plays."""
        self._supervisor = supervisor
        supervisor.start(THREAD, self._run)

    def stop(self, within_s: float = 1.0) -> None:
        """Fall silent."""
        self.out.stop()
        if self._supervisor:
            self._supervisor.join(THREAD, within_s)

    def figures(self) -> dict[str, Any]:
        """Return what `health` says of it; times in ms, None where there is nothing to tell.

        What is heard is as old as `handed` and `cleaning` together when the card has it.
        """
        now = self.out.figures()
        return {
            "playback": now.state,
            "playback_underruns": now.underruns,
            "playback_dropped_blocks": now.dropped_blocks + now.left_out_blocks + now.cut_blocks,
            "playback_lost_cards": now.lost_cards,
            "playback_queued_ms": _ms(now.queued_s),
            "playback_ppm": round(now.trim_ppm, 1),
            "playback_cleaning_ms": _ms(self._cleaning_s),
            "playback_handed_p50_ms": _ms(now.handed_p50_s),
            "playback_handed_p99_ms": _ms(now.handed_p99_s),
        }

    def _run(self) -> None:
        hurry()
        self.out.run()


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000.0 * seconds, 3)
