# SPDX-License-Identifier: MIT
"""Real-time priority for the few threads that somebody waits for."""

from __future__ import annotations

import logging
import os
import time
from typing import Final

log = logging.getLogger(__name__)

PRIORITY: Final = 5  # of 1..99: over everything ordinary, under the kernel's own interrupts
LOOK_S: Final = 2.0
BUSY: Final = 0.6
"""Who runs for so much of the time does not wait for sound."""


def hurry() -> bool:
    """Let the calling thread run before every ordinary one; return whether that was allowed.

    An ordinary thread, however nice the others are, may wait for the end of another one's slice:
    3 to 5 ms. Only for threads that sleep nearly always.
    """
    return _schedule(os.SCHED_RR, PRIORITY)


def _schedule(policy: int, priority: int) -> bool:
    try:
        # Children are ordinary again.
        policy |= os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except OSError:  # also from a sandbox, or a kernel, that does not know the call
        return False
    return True


class RealTime:
    """Real-time priority as long as its thread sleeps: else nobody else had the processor.

    A device that never lets a reader wait (ALSA's `null`), or a thread that the processor is too
    slow for, would leave the rest of a small box the kernel's twentieth.

    Parameters
    ----------
    thread : its name, for the log.
    """

    def __init__(self, thread: str) -> None:
        self._thread = thread
        self._why_not = ""
        self._told = ""
        self._looked_s = 0.0
        self._ran_s = 0.0
        self.active = False
        """Whether the thread runs before every ordinary one."""

    def ask(self) -> None:
        """Ask for it (the thread itself)."""
        self.active = hurry()
        if not self.active:
            self._why_not = "this user, or this system, may not have a real-time one"
        self._looked_s, self._ran_s = time.monotonic(), time.thread_time()

    def keep(self) -> None:
        """Give it back, for good, where there was hardly any sleep (the thread itself).

        To be called often: some 0.1 us.
        """
        now_s = time.monotonic()
        if not self.active or now_s < self._looked_s + LOOK_S:
            return
        before_s, self._ran_s = self._ran_s, time.thread_time()
        share = (self._ran_s - before_s) / (now_s - self._looked_s)
        self._looked_s = now_s
        if share > BUSY and _schedule(os.SCHED_OTHER, 0):
            self.active = False
            self._why_not = f"it had {100 * share:.0f} % of a processor, and the others need some"

    def tell(self) -> bool:
        """Log why it is not active, once; return whether that is news (another thread)."""
        if self._why_not == self._told:
            return False
        self._told = self._why_not
        log.info("%s is an ordinary thread: %s", self._thread, self._told)
        return True
