# SPDX-License-Identifier: MIT
from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import DeviceError
from edge.playback.sounds import Sounds

LOST = DeviceError("the card was lost", "plug it in again")


def forget(_: DeviceError | None) -> None:
    pass


@given(st.lists(st.integers(1, 40), max_size=6), st.lists(st.integers(1, 16), min_size=1))
def test_sounds_come_one_after_the_other_each_from_the_begin_of_a_block(
    lengths: list[int], blocks: list[int]
) -> None:
    sounds = Sounds(16)
    for number, length in enumerate(lengths, 1):
        sounds.add(np.full(length, number, np.float32), alone=True, told=forget)
    heard = [sounds.mix(np.full(n, 100.0, np.float32)).copy() for n in blocks]
    heard += [sounds.mix(np.full(16, 100.0, np.float32)).copy() for _ in range(3 * len(lengths))]
    assert not sounds
    mono = np.concatenate(heard)
    for number, length in enumerate(lengths, 1):
        assert np.count_nonzero(mono == number) == length
    assert (np.diff(mono[(mono > 0) & (mono < 100)]) >= 0).all()


def test_alone_it_silences_the_stream_and_else_it_is_added() -> None:
    sounds = Sounds(8)
    stream = np.full(8, 0.5, np.float32)
    for alone in (True, False):
        sounds.add(np.full(4, 0.25, np.float32), alone=alone, told=forget)
    assert sounds.mix(stream).tolist() == [0.25] * 4 + [0.0] * 4
    assert sounds.mix(stream).tolist() == [0.75] * 4 + [0.5] * 4
    assert sounds.mix(stream) is stream


def test_a_sound_is_made_when_it_is_due() -> None:
    class Long:
        """An hour, of which no more than a block is ever asked for."""

        asked = 0

        def __len__(self) -> int:
            return 3600 * 48000

        def __getitem__(self, part: slice) -> np.ndarray:
            made = np.arange(*part.indices(len(self)), dtype=np.float32)
            self.asked = max(self.asked, len(made))
            return made

    sounds, long = Sounds(8), Long()
    sounds.add(long, alone=True, told=forget)
    heard = np.concatenate([sounds.mix(np.zeros(8, np.float32)).copy() for _ in range(100)])
    np.testing.assert_array_equal(heard, np.arange(800))
    assert long.asked == 8


def test_what_was_mixed_but_did_not_reach_the_card_is_told_as_lost() -> None:
    sounds = Sounds(8)
    told: list[DeviceError | None] = []
    for _ in range(2):
        sounds.add(np.ones(8, np.float32), alone=True, told=told.append)
    sounds.mix(np.zeros(8, np.float32))
    sounds.close(LOST)
    assert told == [LOST, LOST]


def test_a_sound_asked_for_in_the_moment_of_the_loss_is_refused_or_told_once() -> None:
    for _ in range(50):
        sounds = Sounds(8)
        told: list[DeviceError | None] = []
        refused = []

        def ask(sounds: Sounds = sounds, told: list = told, refused: list = refused) -> None:
            for _ in range(4):
                try:
                    sounds.add(np.ones(8, np.float32), alone=True, told=told.append)
                except DeviceError:
                    refused.append(1)

        askers = [threading.Thread(target=ask) for _ in range(2)]
        for one in askers:
            one.start()
        sounds.close(LOST)
        for one in askers:
            one.join()
        assert len(told) + len(refused) == 8
        assert set(told) <= {LOST}
        with pytest.raises(DeviceError, match="was lost"):
            sounds.add(np.ones(8, np.float32), alone=True, told=forget)
