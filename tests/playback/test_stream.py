# SPDX-License-Identifier: MIT
"""What is too old to start with, on a card of arithmetic."""

from __future__ import annotations

import numpy as np

from edge.playback.stream import CardStream, Counts


class Card:
    """Stands still until it is written to, and takes all."""

    rate_hz = 48000
    buffer_size = 9600

    def __init__(self) -> None:
        self.taken: list[np.ndarray] = []

    def queued(self) -> int:
        return sum(map(len, self.taken))

    def write(self, mono: np.ndarray) -> int:
        self.taken.append(mono.copy())
        return len(mono)

    def ask(self) -> None:
        pass


def test_a_block_that_is_too_old_is_counted_and_no_sound_goes_with_it() -> None:
    card, counts, told = Card(), Counts(), []
    stream = CardStream(card, 48000, 480, 0.01, counts=counts)  # type: ignore[arg-type]
    stream.sounds.add(np.ones(480, np.float32), alone=True, told=told.append)
    assert not stream.write(np.zeros(480, np.float32), 0.05)
    assert (counts.left_out_blocks, told, card.taken) == (1, [], [])
    assert stream.write(np.zeros(480, np.float32), 0.0)
    assert told == [None]
    assert not stream.sounds
    assert counts == Counts(left_out_blocks=1)


def test_a_block_of_which_the_begin_is_too_old_is_counted_as_cut() -> None:
    card, counts = Card(), Counts()
    stream = CardStream(card, 48000, 480, 0.01, counts=counts)  # type: ignore[arg-type]
    assert stream.write(np.zeros(480, np.float32), 0.015)
    assert sum(map(len, card.taken)) < 480 - 200
    assert counts == Counts(cut_blocks=1)
