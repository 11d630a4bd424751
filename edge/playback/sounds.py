# SPDX-License-Identifier: MIT
"""Sounds that are mixed into a stream, one after the other."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from edge.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Told = Callable[[DeviceError | None], None]

MAX_SOUNDS: Final = 8


class Sound(Protocol):
    """An array, or what makes the samples of a slice when they are due."""

    def __len__(self) -> int:
        """Return how many samples it has."""

    def __getitem__(self, part: slice, /) -> Float32:
        """Return (n_samples,) float32."""


class _Asked(NamedTuple):
    sound: Sound
    alone: bool
    told: Told


class Sounds:
    """What one open card is yet to play. Ends with the card: an alarm is not to be heard later.

    Parameters
    ----------
    block_size : the longest block, in samples.
    """

    def __init__(self, block_size: int) -> None:
        self._waiting: deque[_Asked] = deque()
        self._lock = threading.Lock()
        self._why_closed: DeviceError | None = None
        self._now: _Asked | None = None
        self._at = 0
        self._begun: _Asked | None = None
        self._mixed = np.zeros(block_size, np.float32)

    def __bool__(self) -> bool:
        """Whether there is something to play."""
        return bool(self._now or self._waiting)

    def add(self, sound: Sound, *, alone: bool, told: Told) -> None:
        """Let it be played after those before it (any thread).

        `told` is called once from the playback thread: with None, when its first block is with
        the card, or with why it is not played. Raises `DeviceError` when it can't wait.
        """
        with self._lock:
            if why := self._why_closed:  # one that is raised again and again would grow
                raise DeviceError(why.message, why.help)
            if len(self._waiting) >= MAX_SOUNDS:
                raise DeviceError(f"{MAX_SOUNDS} sounds wait to be played", "wait for their end")
            self._waiting.append(_Asked(sound, alone, told))

    def mix(self, samples: Float32) -> Float32:
        """Return the block with the sound that is due added, or in its place (playback thread)."""
        if self._now is None and self._waiting:
            self._now = self._begun = self._waiting.popleft()
            self._at = 0
        if self._now is None:
            return samples
        mixed = self._mixed[: len(samples)]
        mixed[:] = 0.0 if self._now.alone else samples
        part = self._now.sound[self._at : self._at + len(mixed)]
        mixed[: len(part)] += part
        self._at += len(part)
        if self._at >= len(self._now.sound):
            self._now = None
        return mixed

    def handed(self) -> None:
        """Take what was mixed as being with the card (playback thread)."""
        begun, self._begun = self._begun, None
        if begun:
            begun.told(None)

    def close(self, why: DeviceError) -> None:
        """Play none any more (playback thread)."""
        with self._lock:
            self._why_closed = why
        if self._begun:
            self._begun.told(why)
        for asked in self._waiting:
            asked.told(why)
