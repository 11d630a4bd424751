# SPDX-License-Identifier: MIT
"""A card that answers oddly, in the place of alsa-lib's: real ones can't be told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import alsaaudio

from edge.capture.alsa import AlsaSource
from edge.errors import DeviceError
from edge.types import Gap
from tools.fuzzing.mutate import must

if TYPE_CHECKING:
    import random

PERIOD_SIZE: Final = 16
READS: Final = 40
_LOST: Final = "No such device [odd]"
_ASLEEP: Final = "Streams pipe error [odd]"


class _Pcm:
    """What `AlsaSource` asks of a PCM."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def _may_be_gone(self) -> None:
        if self._rng.random() < 0.01:
            raise alsaaudio.ALSAAudioError(_LOST)

    def info(self) -> dict[str, Any]:
        self._may_be_gone()
        return {
            "rate": 48000,
            "channels": 1,
            "period_size": self._rng.choice((PERIOD_SIZE, PERIOD_SIZE, 8)),
            "periods": 4,
            "buffer_size": 4 * PERIOD_SIZE,
            "format_name": self._rng.choice(("S16_LE", "S16_LE", "S16_LE", "U8")),
            "card_no": self._rng.choice((0, -1, 7)),
        }

    def getformats(self) -> dict[str, int]:
        self._may_be_gone()
        return {"S16_LE": 2}

    def getrates(self) -> object:
        return self._rng.choice((48000, (8000, 192000), [44100, 48000]))

    def getchannels(self) -> list[int]:
        return [1]

    def read(self) -> tuple[int, bytes]:
        answer = self._rng.random()
        if answer < 0.1:
            return -32, b""  # an overrun
        if answer < 0.12:
            return 0, b""
        if answer < 0.13:
            raise alsaaudio.ALSAAudioError(_ASLEEP)
        if answer < 0.14:
            raise alsaaudio.ALSAAudioError(_LOST)
        count = self._rng.choice((PERIOD_SIZE, PERIOD_SIZE, 1, 8))
        return count, bytes(2 * count)

    def avail(self) -> int:
        self._may_be_gone()
        return self._rng.choice((0, 0, 5, PERIOD_SIZE, 10**9, -32, -1))

    def drop(self) -> None:
        self._may_be_gone()

    def close(self) -> None:
        return


class OddCard:
    """A source on such a card."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def read_all(self) -> None:
        """Read until it is lost, or enough; the index must neither jump nor stand still."""
        with patch.object(alsaaudio, "PCM", lambda **_: _Pcm(self._rng)):
            source = AlsaSource(
                "default",
                rate_hz=48000,
                channels=1,
                period_size=PERIOD_SIZE,
                periods=4,
                sample_format="S16_LE",
            )
        end = 0
        for _ in range(READS):
            try:
                item = source.read()
            except DeviceError:
                return
            length = item.lost_samples if isinstance(item, Gap) else len(item.samples)
            must(item.sample_index == end, "the index goes on where it was")
            must(length > 0, "and moves")
            end += length
