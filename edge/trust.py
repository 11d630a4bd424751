# SPDX-License-Identifier: MIT
"""A wall clock by which things may be deleted: it may not leap ahead on its word alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge.types import Utc

LEAP: Final = timedelta(days=1)
"""Further ahead than expected, a clock has leapt: no oscillator drifts so much."""

HOLD_S: Final = 6 * 3600.0
"""A leap that lasts so long is believed: a time server's mistake is mended by then, and a box
that starts each day still gets there."""


class TrustedClock:
    """The time that clips, or messages, are aged by.

    A synchronised clock is believed while it goes on from what was seen of it. After a leap
    ahead the old time goes on, by the monotonic clock, for `HOLD_S`; a clock that falls back is
    believed at once, for it only makes them younger.
    """

    def __init__(self) -> None:
        self._seen: tuple[datetime, float] | None = None
        self._leapt_s: float | None = None

    def begin(self, seen: datetime | None, mono_s: float) -> None:
        """Start from the newest time that is known from before, such as the last clip's."""
        self._seen = (seen, mono_s) if seen else None

    def read(self, now: Utc | None, mono_s: float) -> datetime | None:
        """Return the time to age by; None while the clock is not synchronised."""
        if now is None or not now.synchronised:
            return None
        told = datetime.fromisoformat(now.text)
        expected = told if self._seen is None else self._expected(*self._seen, mono_s)
        if told > expected + LEAP:
            self._leapt_s = mono_s if self._leapt_s is None else self._leapt_s
            if mono_s < self._leapt_s + HOLD_S:
                return expected
        self._leapt_s = None
        self._seen = (told, mono_s)
        return told

    @staticmethod
    def _expected(seen: datetime, seen_s: float, mono_s: float) -> datetime:
        return seen + timedelta(seconds=mono_s - seen_s)
