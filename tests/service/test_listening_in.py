# SPDX-License-Identifier: MIT
"""Listening in, from a period to the cable."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.capture.alsa import AlsaSource
from edge.capture.synth import SynthSource
from edge.dsp.clean import Cleaner
from edge.dsp.clean_spec import NoiseSpec
from edge.monitor import Monitor
from edge.service.listening_in import ListeningIn
from edge.service.supervisor import Supervisor
from edge.types import Gap, Period
from tests.conftest import wait_until
from tools.lab.loop import VirtualLoop

if TYPE_CHECKING:
    from pathlib import Path

NO_FILTERS = np.zeros((0, 6))


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VirtualLoop:
    loop = VirtualLoop(tmp_path, name=tmp_path.name)
    monkeypatch.setenv("ALSA_CONFIG_PATH", loop.environment()["ALSA_CONFIG_PATH"])
    return loop


@pytest.mark.usefixtures("hurried")
def test_what_a_source_delivers_is_heard_with_the_gain_and_told_in_health(
    loop: VirtualLoop,
) -> None:
    supervisor = Supervisor()
    heard = []
    asked = {"rate_hz": 48000, "channels": 1, "period_size": 480, "periods": 32}
    source = SynthSource("tone", period_size=480, gaps=[(4800, 9600)])
    with AlsaSource(loop.input, **asked) as microphone:
        listening = ListeningIn(
            loop.output, stream=source.format, chain_sos=NO_FILTERS, gain_db=6.0, buffer_ms=60.0
        )
        listening.start(supervisor)
        wait_until(lambda: listening.figures()["playback"] == "ok", "the card is open")
        end_s = time.monotonic() + 0.7
        while time.monotonic() < end_s:
            item = source.read()
            assert isinstance(item, Period | Gap)
            listening.take(item)
            if isinstance(period := microphone.read(), Period):
                heard.append(period.samples.copy())
        figures = listening.figures()
        listening.stop()
    assert supervisor.failure is None
    level_dbfs = 20 * np.log10(np.concatenate(heard).max() / 32768)
    assert level_dbfs == pytest.approx(-14.0, abs=0.1)
    assert figures["playback_handed_p99_ms"] >= figures["playback_handed_p50_ms"] > 0
    assert figures["playback_handed_p50_ms"] < 150, "a gap of 200 ms is no lateness"
    assert set(figures) == {
        "playback",
        *(f"playback_{name}" for name in ("underruns", "dropped_blocks", "lost_cards", "ppm")),
        *(f"playback_{name}_ms" for name in ("queued", "cleaning", "handed_p50", "handed_p99")),
    }


def test_how_late_noise_reduction_makes_it_is_told_in_health(loop: VirtualLoop) -> None:
    """So late a click is heard; `handed` does not know of it."""
    stream = SynthSource("silence").format
    cleaner = Cleaner(None, NoiseSpec(), stream.rate_hz, stream.period_size)
    monitor = Monitor(stream, NO_FILTERS, cleaner=cleaner)
    rng, n = np.random.default_rng(0), stream.period_size
    sound = rng.integers(-9000, 9000, (48000, 1)).astype(np.int16)
    heard = [monitor.process(sound[k : k + n]).copy() for k in range(0, 48000 - n, n)]
    whole = np.concatenate(heard)
    late = np.correlate(whole[:40000], sound[:20000, 0].astype(np.float32), "valid").argmax()
    listening = ListeningIn(loop.output, stream=stream, chain_sos=NO_FILTERS, cleaner=cleaner)
    assert listening.figures()["playback_cleaning_ms"] == pytest.approx(late / 48, abs=0.1)
    assert late > 2000


def test_an_alarm_sounds_through_it(loop: VirtualLoop) -> None:
    supervisor = Supervisor()
    asked = {"rate_hz": 48000, "channels": 1, "period_size": 480, "periods": 32}
    stream = SynthSource("silence").format
    with AlsaSource(loop.input, **asked) as microphone:
        listening = ListeningIn(loop.output, stream=stream, chain_sos=NO_FILTERS)
        listening.start(supervisor)
        wait_until(lambda: listening.figures()["playback"] == "ok", "the card is open")
        listening.play_sound(np.full(4800, 0.5, np.float32), alone=True, told=lambda _: None)

        def loudest() -> int:
            return (
                int(period.samples.max()) if isinstance(period := microphone.read(), Period) else 0
            )

        wait_until(lambda: loudest() == pytest.approx(16384, abs=50), "the alarm")
        listening.stop()


def test_without_a_card_it_says_so_and_takes_what_comes(loop: VirtualLoop) -> None:
    loop.unplug(loop.output)
    supervisor = Supervisor()
    source = SynthSource("tone", pace="fast")
    listening = ListeningIn(loop.output, stream=source.format, chain_sos=NO_FILTERS)
    listening.start(supervisor)

    def capture() -> None:
        for _ in range(100):
            listening.take(source.read())

    supervisor.start("capture", capture)
    assert supervisor.join("capture", 60.0)
    assert listening.figures()["playback"] == "away"
    listening.stop()
    assert supervisor.join("playback", 10.0)
    assert supervisor.failure is None
