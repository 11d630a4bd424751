# SPDX-License-Identifier: MIT
"""How long a sound takes through the box: clicks around a loop of two cards, or one's own.

The output is joined to the input, by a cable or through the air. A click is played; when it
is captured, it alone is let through to the output and so captured once more. From the one to
the other it went the whole way: card, driver, filters, clocks joined, driver, card, cable.
"""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from edge.capture.alsa import AlsaSource
from edge.dsp.spec import CoreSpec
from edge.errors import DeviceError
from edge.monitor import Monitor
from edge.playback.out import PlaybackOut
from edge.service.build import chain_filters, heard_channel
from edge.service.cleaning import build_cleaner, specs_for
from edge.service.designs import core_design
from edge.service.priority import hurry
from edge.service.supervisor import Supervisor
from edge.types import Gap, Period

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.capture.source import Source
    from edge.config.schema import Settings
    from edge.playback.out import Figures

    Float32 = NDArray[np.float32]

PERIODS: Final = 16
SETTLE_S: Final = 1.0
PAUSE_S: Final = 0.1
CLICK_S: Final = 0.002  # so long a click and its ringing last, and so much may a queue be short
LOST_AFTER_S: Final = 0.5
CLICK_LEVEL: Final = 0.5
LEAST_LEVEL: Final = 0.01
OVER_NOISE: Final = 4.0
OF_THE_FIRST: Final = 0.2  # what comes back fainter is the room's answer to the first time
SWITCH_INTERVAL_S: Final = 0.0005  # as in the listener


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


@dataclass(frozen=True, slots=True)
class Latencies:
    """What was measured. Times are (n,) float64, in s."""

    facts: dict[str, Any]
    """`cleaning_ms` comes to both ways where noise reduction is on: it would swallow the clicks."""
    handed_s: NDArray[np.float64] = field(repr=False)
    around_s: NDArray[np.float64] = field(repr=False)
    lost_clicks: int
    xruns: int
    figures: Figures
    real_time: bool


def measure_latency(
    settings: Settings,
    input_device: str,
    output_device: str,
    *,
    seconds: float,
    period_size: int,
    buffer_ms: float,
) -> Latencies:
    """Measure with the filters and the channel of the settings. Raises as `LatencyRun`."""
    with AlsaSource(
        input_device,
        rate_hz=settings.capture.rate_hz,
        channels=settings.capture.channels,
        period_size=period_size,
        periods=PERIODS,
        sample_format=settings.capture.sample_format,
    ) as source:
        rate_hz = source.format.rate_hz
        spec = CoreSpec(rate_hz, rate_hz, chain_filters(settings, rate_hz))
        cleaner = build_cleaner(specs_for(settings, "playback"), source.format, period_size)
        run = LatencyRun(
            source,
            output_device,
            chain_sos=core_design(spec, settings.state.path).chain_sos,
            channel=heard_channel(settings.capture.channel, source.format),
            buffer_ms=buffer_ms,
            cleaning_s=cleaner.delay_samples / rate_hz if cleaner else 0.0,
        )
        return run.run(seconds)


class LatencyRun:
    """One measurement. `run` takes as long as it is asked to.

    Parameters
    ----------
    source : the input; closed by who opened it.
    device : the output, as ALSA names it.
    chain_sos : (n_sections, 6) float64, the filters on the way.
    channel : from 0; None: the mean of all.
    buffer_ms : as of `ListeningIn`.
    cleaning_s : what noise reduction would add, for the facts.
    """

    def __init__(
        self,
        source: Source,
        device: str,
        *,
        chain_sos: NDArray[np.float64],
        channel: int | None,
        buffer_ms: float,
        cleaning_s: float,
    ) -> None:
        stream = source.format
        self._source = source
        self._facts = {
            "input": source.name,
            "output": device,
            "rate_hz": stream.rate_hz,
            "period_size": stream.period_size,
            "buffer_ms": buffer_ms,
            "cleaning_ms": round(1000.0 * cleaning_s, 3),
        }
        self._monitor = Monitor(stream, chain_sos, channel=channel)
        self._out = PlaybackOut(
            device,
            rate_hz=stream.rate_hz,
            block_size=stream.period_size,
            target_s=buffer_ms / 1000.0,
            history=1 << 20,  # all of them
        )
        self._clicks = Clicks(stream.rate_hz, self._out.play_sound, self._out.waits_s)
        self._supervisor = Supervisor()
        self._real_time = False

    def run(self, seconds: float) -> Latencies:
        """Return what was measured in so long a time after settling.

        Raises `DeviceError` when the input is lost, when the output isn't there, or when no
        click comes back.
        """
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.collect()
        gc.freeze()
        try:
            self._supervisor.start("playback", self._play)
            self._supervisor.start("capture", self._capture)
            self._supervisor.ended.wait(SETTLE_S)
            if self._out.trouble is not None and not self._supervisor.failure:
                raise self._out.trouble
            self._supervisor.ended.wait(seconds)
            self._supervisor.end()
            self._supervisor.join("capture", 1.0)  # whom figures would keep waiting
            figures = self._out.figures()
        finally:
            self._supervisor.end()
            self._supervisor.join("capture", 1.0)
            self._out.stop()
            self._supervisor.join("playback", 1.0)
            gc.unfreeze()
            sys.setswitchinterval(interval_s)
        if self._supervisor.failure:
            raise self._supervisor.failure
        if not self._clicks.around_s:
            raise DeviceError(
                f"of {self._clicks.lost} clicks none came back",
                "join output and input by a cable, or stand the loudspeaker before the microphone; "
                "turn the volume up",
            )
        return Latencies(
            facts=self._facts,
            handed_s=self._out.handed(),
            around_s=np.array(self._clicks.around_s),
            lost_clicks=self._clicks.lost,
            xruns=self._source.xruns,
            figures=figures,
            real_time=self._real_time,
        )

    def _play(self) -> None:
        hurry()
        self._out.run()

    def _capture(self) -> None:
        self._real_time = hurry()
        while not self._supervisor.ended.is_set():
            item = self._source.read()
            if isinstance(item, Gap):
                self._monitor.restart()
                self._out.skip(item.lost_samples)
            if not isinstance(item, Period):
                continue
            mono = self._monitor.process(item.samples)
            self._out.take(self._clicks.process(mono, item.sample_index), item.mono_s)
