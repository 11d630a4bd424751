# SPDX-License-Identifier: MIT
"""Why samples were lost: who had the processor while capture should have read.

What each thread has had of it is looked at once a second, and again when an overrun is read:
the difference names who it was. In the way of the samples that costs nothing until then.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.service.notify import Every
from edge.usage import Spent, other_programs, own_threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.clock import StreamClock
    from edge.types import Gap
    from edge.usage import Program

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
PROGRAMS_S: Final = 10.0  # some milliseconds on a small box
REMEMBERED: Final = 32  # looks: longer than the watchdog lets anything stand still
SHARE: Final = 0.4
"""Who had so much of the time in which nothing was read has made it so."""

ASLEEP_S: Final = 0.1
CLOSE_LOOKS: Final = 3
AGAIN_S: Final = 60.0
"""The same cause is told again after this time, not each time."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was spent until `mono_s`: by each thread by its name, and by all that ever were.

    `slept_s`: the machine, since it was booted.
    """

    mono_s: float
    slept_s: float
    ran_s: float
    threads: Mapping[str, Spent]

    def since(self, before: Snapshot) -> dict[str, Spent]:
        """Return what each thread has spent since `before`, also one that has ended."""
        spent = {
            name: one.since(before.threads.get(name, Spent())) for name, one in self.threads.items()
        }
        ended = " or ".join(sorted(before.threads.keys() - self.threads.keys()))
        rest_s = self.ran_s - before.ran_s - sum(one.ran_s for one in spent.values())
        return spent | {ended or "that has ended": Spent(max(rest_s, 0.0))}


@dataclass(frozen=True, slots=True)
class Cause:
    """`who`: a thread's name, or one of "another program", "stopped", "asleep", "unknown"."""

    who: str
    text: str


def snapshot() -> Snapshot:
    """Return what our threads have spent by now: 0.1 ms."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    threads: dict[str, Spent] = {}
    for number, spent in own_threads().items():
        name = names.get(number, "of a library")
        so_far = threads.get(name, Spent())
        threads[name] = Spent(so_far.ran_s + spent.ran_s, so_far.waited_s + spent.waited_s)
    return Snapshot(time.monotonic(), _slept_s(), time.process_time(), threads)


def _slept_s() -> float:
    """Return how long the machine has slept since its boot.

    By the closest of some looks: on a busy machine much time passes between two clocks.
    """
    looks = []
    for _ in range(CLOSE_LOOKS):
        before_s = time.monotonic()
        boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        looks.append((time.monotonic() - before_s, boot_s - before_s))
    return min(looks)[1]


def cause_of(
    before: Snapshot, after: Snapshot, stall_s: float, *, continued: bool, processors: int
) -> Cause:
    """Return why capture did not read for `stall_s`, which lies between the two.

    Parameters
    ----------
    continued : a stopped process was told to go on meanwhile.
    processors : how many this process may use.
    """
    slept_s = after.slept_s - before.slept_s
    if slept_s > ASLEEP_S:
        return Cause("asleep", f"the machine slept for {slept_s:.1f} s")
    if continued:
        return Cause("stopped", "this process was stopped from outside, and told to go on")
    return _blamed(after.since(before), SHARE * stall_s, processors)


def _blamed(spent: dict[str, Spent], much_s: float, processors: int) -> Cause:
    """Return who had the processor, from what each thread has spent."""
    capture = spent.pop("capture", Spent())
    if capture.ran_s >= much_s:
        return Cause("capture", f"capture itself worked for {capture.ran_s:.2f} s")
    who = max(spent, key=lambda name: spent[name].ran_s, default="")
    longest = spent.get(who, Spent())
    ours_s = sum(one.ran_s for one in spent.values())
    # It waited for a processor; what a thread of ours did on another one is not why.
    starved = capture.waited_s >= much_s and ours_s < much_s * processors
    # In real time it never does: it sleeps until who has the interpreter has a processor. For ours
    # that one has waited no longer than they ran; who ran nearly all the time has not waited then.
    nearly_s = much_s / SHARE * (1.0 - SHARE)
    starved |= longest.waited_s > ours_s and longest.ran_s < nearly_s
    if longest.ran_s >= much_s and not starved:
        return Cause(who, f"thread {who} held the processor for {longest.ran_s:.2f} s")
    waited_s = max(one.waited_s for one in (capture, *spent.values()))
    if waited_s >= much_s:
        return Cause("another program", f"another program: {waited_s:.2f} s without a processor")
    return Cause("unknown", "nobody had the processor: a driver or the disk, or a lock that slept")


class Overruns:
    """Notes overruns on the capture thread, and tells their cause on the main thread.

    Parameters
    ----------
    clock : of the stream, of `rate_hz`.
    """

    def __init__(self, clock: StreamClock, rate_hz: int) -> None:
        self._clock = clock
        self._rate_hz = rate_hz
        self._due = Every(LOOK_S, 0.0)
        self._programs_due = Every(PROGRAMS_S, 0.0)
        self._looks: deque[Snapshot] = deque(maxlen=REMEMBERED)
        self._programs: tuple[float, dict[int, Program]] = (0.0, {})
        self._noted: deque[tuple[Gap, float, Snapshot]] = deque(maxlen=REMEMBERED)
        self._continued_s = float("-inf")
        self._told = ("", float("-inf"))
        self._figures: dict[str, Any] = {}

    def look(self, now_s: float) -> None:
        """Look at what is spent, where that is due (main thread)."""
        if self._due.due(now_s):
            self._looks.append(snapshot())
        if self._programs_due.due(now_s):
            self._programs = (now_s, other_programs())

    def goes_on(self) -> None:
        """Note that this process was stopped and goes on: the handler of SIGCONT."""
        self._continued_s = time.monotonic()

    def note(self, gap: Gap) -> None:
        """Note an overrun at once (capture thread)."""
        # Not since the last read returned: who waits for the interpreter returns late itself.
        self._noted.append((gap, self._clock.mono_s(gap.sample_index), snapshot()))

    def tell(self) -> bool:
        """Find out and log the cause of what was noted (main thread).

        Return whether that is news: the same cause is told once a minute.
        """
        news = False
        while self._noted:
            news |= self._tell(*self._noted.popleft())
        return news

    def figures(self) -> dict[str, Any]:
        """Return the last overrun, for `health`; nothing: there was none."""
        return self._figures

    def _tell(self, gap: Gap, due_s: float, after: Snapshot) -> bool:
        cause = self._cause(due_s, after)
        text = cause.text
        if cause.who == "another program":
            text += self._busiest(after.mono_s)
        lost_ms = round(1e3 * gap.lost_samples / self._rate_hz)
        self._figures = {
            "last_xrun": self._clock.utc(gap.sample_index).text,
            "last_xrun_lost_ms": lost_ms,
            "last_xrun_cause": text,
        }
        who, told_s = self._told
        if who == cause.who and after.mono_s < told_s + AGAIN_S:
            return False
        self._told = (cause.who, after.mono_s)
        log.warning("overrun, %d ms lost: %s", lost_ms, text)
        return True

    def _cause(self, due_s: float, after: Snapshot) -> Cause:
        """Return who kept capture from reading what was due since `due_s`."""
        looks = [look for look in self._looks if look.mono_s <= due_s]
        if not looks:
            return Cause("unknown", "the unit had just begun")
        return cause_of(
            looks[-1],
            after,
            after.mono_s - due_s,
            continued=self._continued_s > due_s,
            processors=len(os.sched_getaffinity(0)),
        )

    def _busiest(self, now_s: float) -> str:
        """Return the program that has used the processor most since the last look, in words."""
        since_s, before = self._programs
        programs = other_programs()
        spent_s = {
            pid: program.ran_s - (before[pid].ran_s if pid in before else 0.0)
            for pid, program in programs.items()
        }
        if not spent_s:  # this process may not see others
            return ""
        pid = max(spent_s, key=lambda one: spent_s[one])
        of_s = max(now_s - since_s, 0.0)
        return f"; {programs[pid].name} ({pid}) had {spent_s[pid]:.1f} s of one in {of_s:.1f} s"
