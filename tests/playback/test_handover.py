# SPDX-License-Identifier: MIT
from __future__ import annotations

import threading

import numpy as np

from edge.playback.handover import Handover


def test_blocks_come_out_as_they_went_in() -> None:
    line = Handover(4, 8)
    given = [np.arange(n, dtype=np.float32) + n for n in (8, 3, 1)]
    for number, samples in enumerate(given):
        line.give(samples, float(number))
    for number, samples in enumerate(given):
        block = line.take(1.0)
        assert block is not None
        np.testing.assert_array_equal(block.samples, samples)
        assert block.captured_s == number
    assert line.take(0.0) is None


def test_who_gives_never_waits_and_what_has_no_place_is_counted() -> None:
    line = Handover(4, 8)
    for number in range(10):
        line.give(np.full(8, number, np.float32), 0.0)
    assert line.dropped == 6
    heard = [line.take(0.0).samples[0] for _ in range(4)]
    assert heard == [0, 1, 2, 3]


def test_a_block_is_not_written_over_while_it_is_read() -> None:
    line = Handover(3, 2)
    line.give(np.full(2, 7, np.float32), 0.0)
    block = line.take(0.0)
    for number in range(20):
        line.give(np.full(2, number, np.float32), 0.0)
    assert block.samples.tolist() == [7, 7]


def test_a_woken_reader_returns_at_once() -> None:
    line = Handover(3, 2)
    woken = threading.Timer(0.05, line.wake)
    woken.start()
    assert line.take(30.0) is None
    woken.join()


def test_two_threads_lose_nothing_but_what_was_dropped() -> None:
    line, heard = Handover(8, 1), []

    def read() -> None:
        while (block := line.take(1.0)) is not None:
            heard.append(int(block.samples[0]))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(20000):
        line.give(np.array([number], np.float32), 0.0)
    line.wake()
    reader.join()
    assert len(heard) + line.dropped == 20000
    assert heard == sorted(set(heard))


def test_what_waits_can_be_forgotten() -> None:
    line = Handover(4, 2)
    line.wake()
    for _ in range(6):
        line.give(np.ones(2, np.float32), 0.0)
    line.wake()
    line.clear()
    assert line.take(0.0) is None
    line.give(np.full(2, 7, np.float32), 0.0)
    assert line.take(0.0).samples.tolist() == [7, 7]
