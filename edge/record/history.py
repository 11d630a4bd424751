# SPDX-License-Identifier: MIT
"""The last seconds of a stream as captured: all channels, every bit, by absolute sample index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.types import Gap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge.types import Period, StreamFormat

# How `Period.samples` holds each format.
_DTYPES: Final = {"S16_LE": np.int16, "FLOAT_LE": np.float32}


@dataclass(frozen=True, slots=True)
class Hole:
    """Samples of a stretch that nobody has: lost on the way, or overwritten before they were read.

    `cause` is that of a `Gap`, or "overwritten".
    """

    start: int
    stop: int
    cause: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples [`start`, `start` + n) as (n, channels) in the captured type; holes are zero."""

    start: int
    samples: NDArray[Any]
    holes: tuple[Hole, ...]

    def part(self, start: int, stop: int) -> Stretch:
        """Return samples [start, stop) of it, which must lie inside, without a copy."""
        samples = self.samples[start - self.start : stop - self.start]
        return Stretch(start, samples, tuple(_within(self.holes, start, stop)))


class History:
    """A ring of raw samples: one thread writes, one reads, and neither waits for the other.

    The writer moves `start` before it overwrites; the reader copies first and looks at
    `start` afterwards. What was overwritten meanwhile is a hole of the stretch, so a
    reader that a disk has kept too long loses samples knowingly.

    Memory is `size_bytes`, allocated at once; a write costs one copy.

    Parameters
    ----------
    stream : of the periods that will be written.
    capacity : samples per channel, more than one period.
    """

    def __init__(self, stream: StreamFormat, capacity: int) -> None:
        if capacity <= stream.period_size:
            raise ValueError(f"capacity = {capacity}: must be over {stream.period_size}")
        self._capacity = capacity
        dtype = _DTYPES.get(stream.sample_format, np.int32)
        self._samples = np.zeros((capacity, stream.channels), dtype)
        self._holes: tuple[Hole, ...] = ()  # replaced as a whole, never changed
        self._start = 0
        self._end = 0

    @property
    def end(self) -> int:
        """Index after the newest sample."""
        return self._end

    @property
    def size_bytes(self) -> int:
        """Bytes that it holds for life."""
        return self._samples.nbytes

    def write(self, item: Period | Gap) -> None:
        """Append a period, or note a gap (capture thread). A period is copied."""
        if isinstance(item, Gap):
            self._skip(item)
            return
        end = item.sample_index + len(item.samples)
        self._start = max(self._start, end - self._capacity)
        at = item.sample_index % self._capacity
        first = min(len(item.samples), self._capacity - at)
        self._samples[at : at + first] = item.samples[:first]
        self._samples[: len(item.samples) - first] = item.samples[first:]
        self._end = end

    def _skip(self, gap: Gap) -> None:
        end = gap.sample_index + gap.lost_samples
        self._start = max(self._start, end - self._capacity)
        still = tuple(hole for hole in self._holes if hole.stop > self._start)
        self._holes = (*still, Hole(gap.sample_index, end, gap.cause))
        self._end = end

    def read(self, start: int, stop: int) -> Stretch:
        """Return a copy of samples [start, stop), which must not lie ahead (another thread).

        Raises `ValueError` if 0 <= start < stop <= `end` does not hold.
        """
        if not 0 <= start < stop <= self._end:
            raise ValueError(f"[{start}, {stop}) is not within [0, {self._end})")
        reachable = max(start, stop - self._capacity)
        samples = np.zeros((stop - start, self._samples.shape[1]), self._samples.dtype)
        at = reachable % self._capacity
        first = min(stop - reachable, self._capacity - at)
        copied = samples[reachable - start :]
        copied[:first] = self._samples[at : at + first]
        copied[first:] = self._samples[: len(copied) - first]
        # Only now: while it was copied, more may have been overwritten.
        kept = min(max(self._start, start), stop)
        holes = [Hole(start, kept, "overwritten")] if kept > start else []
        holes += _within(self._holes, kept, stop)
        for hole in holes:
            samples[hole.start - start : hole.stop - start] = 0
        return Stretch(start, samples, tuple(holes))


def _within(holes: Iterable[Hole], start: int, stop: int) -> list[Hole]:
    """Return what of `holes` lies in [start, stop)."""
    return [
        Hole(max(hole.start, start), min(hole.stop, stop), hole.cause)
        for hole in holes
        if hole.start < stop and hole.stop > start
    ]
