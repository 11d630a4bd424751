# SPDX-License-Identifier: MIT
"""What the service manager is told, and when it may be told that all is well (main thread)."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from systemd.daemon import notify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

STATUS_EVERY_S: Final = 10.0
SAMPLES_STALL_S: Final = 2.0
INFERENCE_STALL_S: Final = 10.0  # at least; a model with long patches needs more


def tell(**variables: str | int) -> None:
    """Send `NAME=value` lines (READY, STATUS, WATCHDOG, STOPPING); nothing without a manager."""
    notify("\n".join(f"{name}={value}" for name, value in variables.items()))


def watchdog_interval_s(environment: Mapping[str, str], pid: int | None = None) -> float | None:
    """Return how often to feed the watchdog: half of what the unit allows; None: no watchdog.

    Source: sd_watchdog_enabled(3); python-systemd has no call for it.
    """
    meant_for = environment.get("WATCHDOG_PID", "")
    if meant_for and meant_for != str(os.getpid() if pid is None else pid):
        return None
    limit_us = environment.get("WATCHDOG_USEC", "")
    return int(limit_us) / 2e6 if limit_us.isdigit() and int(limit_us) > 0 else None


class Progress:
    """Decides whether the box still hears: samples *and* inference must advance.

    Parameters
    ----------
    now_s : monotonic seconds at the start; both begin as just seen.
    inference_stall_s : without an inference for so long, it stands still.
    """

    def __init__(self, now_s: float, inference_stall_s: float = INFERENCE_STALL_S) -> None:
        self.inference_stall_s = inference_stall_s
        self.hears = True
        """Whether samples, of the two, advance."""
        self._samples = (0, now_s)
        self._inferences = (0, now_s)

    def advancing(self, sample_index: int, inferences: int, now_s: float) -> bool:
        """Note both counters; return False once either has stood still for too long."""
        if sample_index != self._samples[0]:
            self._samples = (sample_index, now_s)
        if inferences != self._inferences[0]:
            self._inferences = (inferences, now_s)
        self.hears = now_s - self._samples[1] < SAMPLES_STALL_S
        return self.hears and now_s - self._inferences[1] < self.inference_stall_s


class Every:
    """Something that is due now and then.

    Parameters
    ----------
    first_s : when for the first time.
    """

    def __init__(self, interval_s: float, first_s: float) -> None:
        self._interval_s = interval_s
        self._next_s = first_s

    def due(self, now_s: float) -> bool:
        """Return whether it is due; then not again before the interval is over."""
        if now_s < self._next_s:
            return False
        self._next_s = now_s + self._interval_s
        return True


class Manager:
    """Tells the service manager READY with the first sample, and WATCHDOG while all is well.

    Parameters
    ----------
    now_s : monotonic seconds at the start.
    inference_stall_s : as of `Progress`.
    """

    def __init__(self, now_s: float, inference_stall_s: float) -> None:
        interval_s = watchdog_interval_s(os.environ)
        self.progress = Progress(now_s, inference_stall_s)
        self._watchdog = Every(interval_s, now_s) if interval_s else None
        self._status = Every(STATUS_EVERY_S, now_s)
        self.stalled = False
        """Whether samples or inference stand still."""
        self.ready = False
        """Whether a sample has come."""

    def tell(self, sample_index: int, turns: int, now_s: float, status: Callable[[], str]) -> None:
        """Tell what is due.

        Parameters
        ----------
        turns : of the inference thread so far.
        status : gives a line.
        """
        advancing = self.progress.advancing(sample_index, turns, now_s)
        if not advancing and not self.stalled:
            log.error("samples or inference stand still: the watchdog is no longer fed")
        if self.stalled and advancing:
            log.info("samples and inference go on")
        self.stalled = not advancing
        if sample_index and not self.ready:
            self.ready = True
            tell(READY=1)
        if advancing and self._watchdog and self._watchdog.due(now_s):
            tell(WATCHDOG=1)
        if self._status.due(now_s):
            tell(STATUS=status())
