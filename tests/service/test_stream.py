# SPDX-License-Identifier: MIT
"""What the capture thread's watch says of a stream that it is shown."""

from __future__ import annotations

import numpy as np
import pytest

from edge.clock import StreamClock
from edge.service.stream import StreamWatch
from edge.types import Gap, Period, StreamFormat

RATE_HZ = 48000


class Stream:
    """Shows periods of 0.1 s and gaps to a watch, one behind the other."""

    def __init__(self) -> None:
        self.watch = StreamWatch(StreamFormat(RATE_HZ, 2, 4800, "S16_LE"), StreamClock(RATE_HZ))
        self.at = 0

    def hear(self, *channels: np.ndarray) -> None:
        samples = np.stack(channels, axis=1).astype(np.int16)
        for start in range(0, len(samples), 4800):
            self.watch.note(Period(self.at, samples[start : start + 4800], self.at / RATE_HZ))
            self.at += 4800

    def lose(self, n_samples: int) -> None:
        self.watch.note(Gap(self.at, n_samples, "xrun", self.at / RATE_HZ))
        self.at += n_samples


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return 3000 * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))


def zeros(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE_HZ))


@pytest.mark.parametrize(("gap", "said"), [(0, "zeros"), (480, "ok")])
def test_two_silences_with_a_gap_between_them_are_not_one(gap: int, said: str) -> None:
    """Nobody knows what was there in between."""
    stream = Stream()
    stream.hear(zeros(0.7), zeros(0.7))
    if gap:
        stream.lose(gap)
    stream.hear(zeros(0.7), zeros(0.7))
    assert stream.watch.figures()["microphone"] == said


@pytest.mark.parametrize("gap", [0, 480])
def test_a_second_with_a_gap_in_it_judges_no_channel(gap: int) -> None:
    stream = Stream()
    for seed in range(12):
        stream.hear(noise(0.5, seed), -noise(0.5, seed))
        if gap:
            stream.lose(gap)
    assert (stream.watch.figures()["channels"] == "ok") == bool(gap)


def test_gaps_are_counted_and_the_index_goes_on_through_them() -> None:
    stream = Stream()
    stream.hear(noise(0.1), noise(0.1))
    stream.lose(1000)
    stream.lose(234)  # the same hole, read in two pieces
    stream.hear(noise(0.1), noise(0.1))
    stream.lose(1)
    figures = stream.watch.figures()
    assert (figures["gaps"], figures["lost_samples"]) == (2, 1235)
    assert figures["samples"] == stream.at == 9600 + 1235


def test_the_longest_delay_of_a_read_is_kept() -> None:
    """How near to an overrun it has been: the card's buffer bears so much."""
    stream = Stream()
    stream.hear(noise(1.0), noise(1.0))
    assert stream.watch.figures()["longest_read_delay_ms"] == 0.0
    samples = np.zeros((4800, 2), np.int16)
    stream.watch.note(Period(stream.at, samples, stream.at / RATE_HZ + 0.25))
    stream.at += 4800
    stream.hear(noise(1.0), noise(1.0))
    assert stream.watch.figures()["longest_read_delay_ms"] == 250.0


def test_a_rate_that_no_crystal_has_is_said_and_a_crystal_s_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = Stream()
    told = []
    for measured_hz in (None, 48010.0, 44100.0, 44100.1, 47810.0, 48000.0, 44100.0, None):
        stream.watch.look(stalled=False, measured_hz=measured_hz)
        told.append((stream.watch.figures()["microphone"], stream.watch.tell_changes()))
    wrong, still, well = ("wrong_rate", True), ("wrong_rate", False), ("ok", True)
    assert told == [("ok", False)] * 2 + [wrong, still, still, well, wrong, well]
    assert "gives 44100 samples a second instead of 48000" in caplog.text


def test_a_change_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stream = Stream()
    assert not stream.watch.tell_changes()
    stream.hear(noise(5), -noise(5))  # of opposite polarity
    stream.hear(zeros(1.5), zeros(1.5))
    assert [stream.watch.tell_changes() for _ in range(2)] == [True, False]
    stream.hear(noise(5), noise(5))
    assert [stream.watch.tell_changes() for _ in range(2)] == [True, False]
    said = caplog.messages
    assert said[0] == "the microphone hears nothing: zeros"
    assert said[2] == "the microphone hears again, after zeros"
    assert said[3] == "the channels are well again"
    assert len(said) == 4
