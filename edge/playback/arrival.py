# SPDX-License-Identifier: MIT
"""When samples were there, told from when somebody brought them."""

from __future__ import annotations

from typing import Final

CREEP: Final = 2e-3
"""More than any card's clock is slow: by so much the guess follows where nobody is on time."""

LOST_TRACK_S: Final = 0.5


class Arrival:
    """The end of each block by CLOCK_MONOTONIC, though the thread that brings them wakes up late.

    A card delivers evenly, so a block ends as long after the one before it as it is itself,
    or when it is brought, if that is sooner. A backlog that comes at once is thus known to
    be old.

    Parameters
    ----------
    rate_hz : of the samples, nominal.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._ended_s: float | None = None

    def observe(self, n_samples: int, brought_s: float) -> float:
        """Return when the last of `n_samples` that were brought at `brought_s` was there."""
        if self._ended_s is not None:
            due_s = self._ended_s + n_samples / self._rate_hz * (1.0 + CREEP)
            # Later than that, something is missing of which nobody has told.
            if due_s < brought_s < due_s + LOST_TRACK_S:
                brought_s = due_s
        self._ended_s = brought_s
        return brought_s

    def skip(self, lost_samples: int) -> None:
        """Take so many samples as lost."""
        if self._ended_s is not None:
            self._ended_s += lost_samples / self._rate_hz
