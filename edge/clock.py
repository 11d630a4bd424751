# SPDX-License-Identifier: MIT
"""Three clocks and the one converter: sample index <-> monotonic <-> UTC.

The sample index counts what the card delivered (and what it lost). The card's
crystal is off by up to some 200 ppm, so 60 days of index alone would be
17 minutes wrong: the index is tied to CLOCK_MONOTONIC again with every period.
UTC is CLOCK_REALTIME at the moment of asking, carried back by monotonic time,
so a step of the wall clock never changes a length or an order.
"""

from __future__ import annotations

import ctypes
import time
from collections import deque
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.types import Moment, Utc

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S: Final = 10.0
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_TIMESYNC: Final = Path("/run/systemd/timesync/synchronized")
TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised
RIGHT_FOR_S: Final = 32_000.0
"""The kernel's own patience with a clock that nobody sets: 16 s of error at 500 ppm."""


class StreamClock:
    """Ties the sample index of a stream to time.

    A read returns late, never early: after it, `mono_s - index / rate` is the
    true offset plus a delay >= 0, so the lowest offset of the last 10 s is the
    best. `tie` is called by the capture thread only; the result is one float,
    read by any thread.

    Parameters
    ----------
    rate_hz : the stream's nominal rate.
    wall, mono : clocks in seconds; a replay passes its own.
    """

    def __init__(
        self,
        rate_hz: int,
        *,
        wall: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate_hz = rate_hz
        self._wall = wall
        self._mono = mono
        self._lowest: deque[tuple[float, float]] = deque()  # (mono_s, offset_s), offsets rising
        self._offset_s: float | None = None

    def tie(self, end_index: int, mono_s: float) -> None:
        """Note that sample `end_index` (the first not yet heard) was due at `mono_s`."""
        offset_s = mono_s - end_index / self._rate_hz
        while self._lowest and self._lowest[-1][1] >= offset_s:
            self._lowest.pop()
        self._lowest.append((mono_s, offset_s))
        while self._lowest[0][0] < mono_s - WINDOW_S:
            self._lowest.popleft()
        self._offset_s = self._lowest[0][1]

    def mono_s(self, sample_index: int) -> float:
        """Return when `sample_index` sounded, on CLOCK_MONOTONIC."""
        offset_s = self._mono() if self._offset_s is None else self._offset_s
        return offset_s + sample_index / self._rate_hz

    def utc(self, sample_index: int) -> Utc:
        """Return when `sample_index` sounded, in UTC as far as the box knows now."""
        return self.utc_of_mono(self.mono_s(sample_index))

    def wall_s(self, sample_index: int) -> float:
        """Return when `sample_index` sounded, in seconds since 1970 as far as the box knows now."""
        return self._wall() - self._mono() + self.mono_s(sample_index)

    def utc_of_mono(self, mono_s: float) -> Utc:
        """Return the UTC of a monotonic time."""
        return Utc(format_utc(self._wall() - self._mono() + mono_s), wall_clock_synchronised())


def utc_now() -> Utc:
    """Return the UTC of now, as far as the box knows."""
    return Utc(format_utc(time.time()), wall_clock_synchronised())


def moment_now() -> Moment:
    """Return this moment, by the wall clock and by the boot."""
    wall_s, boot_s = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    return Moment(wall_s, boot_s, boot_id(), wall_clock_synchronised())


@cache
def boot_id() -> str:
    """Return what the kernel calls this boot; empty where it has no name for it."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def format_utc(wall_s: float) -> str:
    """Return seconds since 1970 as ISO 8601 UTC with milliseconds."""
    moment = datetime.fromtimestamp(wall_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Timex(ctypes.Structure):
    # Only the first word matters (modes = 0: read); the kernel writes 208 bytes.
    _fields_ = [("modes", ctypes.c_uint), ("rest", ctypes.c_ubyte * 252)]


_LIBC = ctypes.CDLL(None, use_errno=True)


def wall_clock_synchronised(timesync: Path = _TIMESYNC) -> bool:
    """Return whether something keeps the wall clock right.

    The kernel knows, whoever it is that does: adjtimex(2). A sandbox that keeps the clock from
    being set keeps the kernel from being asked, too (`ProtectClock=`): then by the file that
    systemd-timesyncd touches whenever it has set the clock right.
    """
    state: int = _LIBC.adjtimex(ctypes.byref(_Timex()))
    return state != TIME_ERROR if state >= 0 else _set_lately(timesync)


def _set_lately(timesync: Path) -> bool:
    try:
        set_s = timesync.stat().st_mtime
    except OSError:
        return False
    return abs(time.time() - set_s) < RIGHT_FOR_S
