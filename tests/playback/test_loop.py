# SPDX-License-Identifier: MIT
"""The virtual loop itself: what the other tests of this room lean on."""

from __future__ import annotations

import errno
import shutil
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import alsaaudio
import numpy as np
import pytest

from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.lab.loop import VirtualLoop

    Join = Callable[..., VirtualLoop]

PERIOD_SIZE = 240


def opened(loop: VirtualLoop, kind: int) -> Any:  # noqa: ANN401 - alsaaudio has no types
    device = loop.output if kind == alsaaudio.PCM_PLAYBACK else loop.input
    sizes = {"periodsize": PERIOD_SIZE, "periods": 64}  # a machine may stand still
    return alsaaudio.PCM(type=kind, device=device, rate=48000, channels=1, **sizes)


def test_what_is_played_is_captured_to_the_bit(join: Join) -> None:
    loop = join()
    ramp = np.arange(1, 1201, dtype="<i2")
    card, microphone = (opened(loop, kind) for kind in (0, 1))
    microphone.read()
    assert card.write(ramp) == len(ramp)
    heard = np.concatenate([np.frombuffer(microphone.read()[1], "<i2") for _ in range(12)])
    first = int(np.flatnonzero(heard)[0])
    np.testing.assert_array_equal(heard[first : first + len(ramp)], ramp)
    assert not heard[:first].any()
    assert not heard[first + len(ramp) :].any()
    card.drop()
    card.close()
    microphone.close()


def test_a_card_that_gets_nothing_stops_and_says_so(join: Join) -> None:
    loop = join()
    card = opened(loop, alsaaudio.PCM_PLAYBACK)
    period = np.zeros(PERIOD_SIZE, "<i2")
    card.write(period)
    time.sleep(0.03)
    assert card.write(period) == -errno.EPIPE
    assert card.write(period) == PERIOD_SIZE
    (lasted,) = loop.xruns(loop.output)
    assert lasted >= 0.03 * 48000 - PERIOD_SIZE - 1
    card.drop()
    card.close()


def test_a_blocking_writer_is_paced_by_the_cards_clock(join: Join) -> None:
    loop = join(output_ppm=-100_000)
    card = opened(loop, alsaaudio.PCM_PLAYBACK)
    period = np.zeros(PERIOD_SIZE, "<i2")
    began_s = time.monotonic()
    written = card.write(np.zeros(8 * PERIOD_SIZE, "<i2"))  # it starts with the first sample
    written += sum(card.write(period) for _ in range(192))
    card.drain()
    lasted_s = time.monotonic() - began_s
    assert written == 200 * PERIOD_SIZE
    by_its_clock_s = written / (48000 * 0.9)
    assert by_its_clock_s - 0.005 < lasted_s < 2 * by_its_clock_s, "late at most"
    card.close()


def test_what_was_open_when_the_plug_was_pulled_stays_lost(join: Join) -> None:
    """As with a card: what is plugged in again is another one to the kernel."""
    loop = join()
    card, microphone = (opened(loop, kind) for kind in (0, 1))
    microphone.read()
    for device in (loop.output, loop.input):
        loop.unplug(device)
    for use in (lambda: card.write(np.zeros(PERIOD_SIZE, "<i2")), microphone.read):
        with pytest.raises(alsaaudio.ALSAAudioError):
            use()
    for device in (loop.output, loop.input):
        loop.plug(device)
    for use in (lambda: card.write(np.zeros(PERIOD_SIZE, "<i2")), microphone.read):
        with pytest.raises(alsaaudio.ALSAAudioError):
            use()
    card.close()
    microphone.close()
    card = opened(loop, alsaaudio.PCM_PLAYBACK)
    assert card.write(np.zeros(PERIOD_SIZE, "<i2")) == PERIOD_SIZE
    card.drop()
    card.close()


def test_a_card_that_hangs_or_goes_has_not_played_what_it_was_given(join: Join) -> None:
    """Who waits for its end waits for ever, or is told."""
    loop = join()
    card = opened(loop, alsaaudio.PCM_PLAYBACK)
    card.write(np.zeros(20 * PERIOD_SIZE, "<i2"))
    loop.hang(loop.output)
    ends: list[str] = []

    def drain() -> None:
        try:
            card.drain()
            ends.append("played")
        except alsaaudio.ALSAAudioError as error:
            ends.append(str(error))

    waiter = threading.Thread(target=drain)
    waiter.start()
    time.sleep(0.4)
    assert ends == []
    loop.unplug(loop.output)
    waiter.join(60.0)
    assert len(ends) == 1
    assert "No such device" in ends[0]
    card.close()


def test_a_card_grants_no_longer_a_buffer_than_the_cable_holds(join: Join) -> None:
    """Else what is to be heard later would take the place of what is to be heard now."""
    loop = join(output_rate_hz=192000, input_rate_hz=192000)
    ramp = np.arange(200_000, dtype=np.int32).astype("<i2")
    card, microphone = (
        alsaaudio.PCM(type=kind, device=device, rate=192000, channels=1, **sizes)
        for kind, device, sizes in (
            (alsaaudio.PCM_PLAYBACK, loop.output, {"periodsize": 16384, "periods": 16}),
            (alsaaudio.PCM_CAPTURE, loop.input, {"periodsize": 1024, "periods": 64}),
        )
    )
    microphone.read()
    writer = threading.Thread(target=lambda: (card.write(ramp), card.drain()))
    writer.start()
    heard = np.concatenate([np.frombuffer(microphone.read()[1], "<i2") for _ in range(230)])
    writer.join()
    first = int(np.flatnonzero(heard)[0]) - 1  # the ramp begins with a zero
    np.testing.assert_array_equal(heard[first : first + len(ramp)], ramp)
    card.close()
    microphone.close()


@pytest.mark.skipif(shutil.which("aplay") is None, reason="alsa-utils is not installed")
def test_another_program_plays_and_another_one_records(join: Join, tmp_path: Path) -> None:
    """ALSA's own two, which know nothing of this project."""
    loop = join()
    ramp = np.arange(1, 9601, dtype="<i2")
    shape = ["-q", "-t", "raw", "-f", "S16_LE", "-r", "48000", "-c", "1"]
    file = tmp_path / "recorded.raw"
    command = ["arecord", "-D", loop.input, *shape, file]

    def recorded() -> np.ndarray:
        samples = np.fromfile(file, "<i2")
        return samples[np.argmax(samples != 0) :][: len(ramp)]

    recorder = subprocess.Popen(command, env=loop.environment())
    try:
        wait_until(lambda: file.exists() and file.stat().st_size, "it records")
        subprocess.run(
            ["aplay", "-D", loop.output, *shape],
            env=loop.environment(),
            input=ramp.tobytes(),
            check=True,
        )
        wait_until(lambda: recorded().any() and len(recorded()) == len(ramp), "all of it is there")
    finally:
        recorder.kill()
        recorder.wait()
    np.testing.assert_array_equal(recorded(), ramp)
