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
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.capture.alsa import AlsaSource
from edge.dsp.spec import CoreSpec
from edge.errors import DeviceError
from edge.monitor import Monitor
from edge.playback.out import PlaybackOut
from edge.service.build import chain_filters, heard_channel
from edge.service.cleaning import build_cleaner, specs_for
from edge.service.clicks import SETTLE_S, Clicks
from edge.service.designs import core_design
from edge.service.priority import hurry
from edge.service.supervisor import Supervisor
from edge.types import Gap, Period

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.capture.source import Source
    from edge.config.schema import Settings
    from edge.playback.out import Figures

PERIODS: Final = 16
SWITCH_INTERVAL_S: Final = 0.0005  # as in the listener


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
