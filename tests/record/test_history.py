# SPDX-License-Identifier: MIT
from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.record.history import History, Hole
from edge.types import Gap, Period, StreamFormat

STREAM = StreamFormat(48000, 2, 100, "S16_LE")


def sound(start: int, n: int, channels: int = 2, dtype: Any = np.int16) -> np.ndarray[Any, Any]:  # noqa: ANN401 - a dtype
    """Return samples of which each says where it stands."""
    at = np.arange(start, start + n)[:, None] * channels + np.arange(channels)
    return (at % 30_000 + 1).astype(dtype)


def feed(history: History, start: int, stop: int, step: int = 100) -> None:
    for at in range(start, stop, step):
        n = min(step, stop - at)
        history.write(Period(at, sound(at, n), 0.0))


@given(st.integers(101, 400), st.integers(1, 100), st.integers(0, 1500))
def test_what_is_still_kept_comes_back_bit_for_bit(capacity: int, step: int, length: int) -> None:
    history = History(STREAM, capacity)
    feed(history, 0, length, step)
    assert history.end == length
    start = max(length - capacity, 0)
    if start < length:
        stretch = history.read(start, length)
        np.testing.assert_array_equal(stretch.samples, sound(start, length - start))
        assert stretch.holes == ()


def test_what_is_no_longer_kept_is_a_hole_of_zeros() -> None:
    history = History(STREAM, 300)
    feed(history, 0, 1000)
    stretch = history.read(600, 900)
    assert stretch.holes == (Hole(600, 700, "overwritten"),)
    assert not stretch.samples[:100].any()
    np.testing.assert_array_equal(stretch.samples[100:], sound(700, 200))


def test_a_gap_is_a_hole_of_zeros_and_what_follows_stands_where_it_belongs() -> None:
    history = History(STREAM, 1000)
    feed(history, 0, 500)
    history.write(Gap(500, 130, "xrun", 0.0))
    feed(history, 630, 900)
    stretch = history.read(450, 800)
    assert stretch.holes == (Hole(500, 630, "xrun"),)
    np.testing.assert_array_equal(stretch.samples[:50], sound(450, 50))
    assert not stretch.samples[50:180].any()
    np.testing.assert_array_equal(stretch.samples[180:], sound(630, 170))


def test_a_gap_longer_than_the_memory_leaves_only_what_came_after() -> None:
    history = History(STREAM, 300)
    feed(history, 0, 300)
    history.write(Gap(300, 10**9, "suspended", 0.0))
    end = 300 + 10**9
    history.write(Period(end, sound(end, 100), 0.0))
    stretch = history.read(end - 50, end + 100)
    assert stretch.holes == (Hole(end - 50, end, "suspended"),)
    np.testing.assert_array_equal(stretch.samples[50:], sound(end, 100))


def test_a_part_of_a_stretch_is_what_would_have_been_read_without_a_copy() -> None:
    history = History(STREAM, 1000)
    feed(history, 0, 500)
    history.write(Gap(500, 130, "xrun", 0.0))
    feed(history, 630, 900)
    whole = history.read(450, 800)
    for start, stop in ((450, 800), (500, 520), (450, 500), (620, 700), (630, 631)):
        part, wanted = whole.part(start, stop), history.read(start, stop)
        np.testing.assert_array_equal(part.samples, wanted.samples)
        assert (part.start, part.holes) == (start, wanted.holes)
        assert part.samples.base is not None


@pytest.mark.parametrize(
    ("sample_format", "dtype"),
    [("S16_LE", np.int16), ("S24_3LE", np.int32), ("S32_LE", np.int32), ("FLOAT_LE", np.float32)],
)
def test_each_format_is_kept_in_its_own_type(sample_format: Any, dtype: Any) -> None:  # noqa: ANN401 - a dtype
    history = History(StreamFormat(48000, 1, 10, sample_format), 100)
    history.write(Period(0, sound(0, 10, 1, dtype), 0.0))
    assert history.read(0, 10).samples.dtype == dtype
    assert history.size_bytes == 100 * np.dtype(dtype).itemsize


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 5), (6, 5), (0, 101)])
def test_what_was_never_there_is_an_error(start: int, stop: int) -> None:
    history = History(STREAM, 300)
    feed(history, 0, 100)
    with pytest.raises(ValueError, match="is not within"):
        history.read(start, stop)


def test_a_reader_beside_a_writer_never_takes_new_samples_for_old_ones() -> None:
    """What it reads is right, or said to be overwritten."""
    history = History(STREAM, 2000)
    feed(history, 0, 2000)
    done = threading.Event()

    def write() -> None:
        at = 2000
        while not done.is_set():
            history.write(Period(at, sound(at, 100), 0.0))
            at += 100

    writer = threading.Thread(target=write)
    writer.start()
    overwritten = rounds = 0
    end_s = time.monotonic() + 60
    try:
        while (overwritten < 3 or rounds < 300) and time.monotonic() < end_s:
            rounds += 1
            end = history.end
            stretch = history.read(end - 1990, end)
            lost = max((hole.stop for hole in stretch.holes), default=end - 1990)
            overwritten += bool(stretch.holes)
            np.testing.assert_array_equal(
                stretch.samples[lost - stretch.start :], sound(lost, end - lost)
            )
    finally:
        done.set()
        writer.join()
    assert overwritten, "the test has met what it is about"


def test_a_history_shorter_than_a_period_is_an_error() -> None:
    with pytest.raises(ValueError, match="must be over 100"):
        History(STREAM, 100)
