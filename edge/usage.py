# SPDX-License-Identifier: MIT
"""Who used the processor: our own threads and other programs, as the kernel counts them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_TICK_S: Final = 1.0 / os.sysconf("SC_CLK_TCK")


class Spent(NamedTuple):
    """What a thread has had of a processor, and how long it has waited for one, in s."""

    ran_s: float = 0.0
    waited_s: float = 0.0

    def since(self, before: Spent) -> Spent:
        """Return what came after `before`."""
        return Spent(self.ran_s - before.ran_s, self.waited_s - before.waited_s)


class Program(NamedTuple):
    """A process by its name, and what it has had of a processor, in s."""

    name: str
    ran_s: float


def own_threads(root: Path = Path("/")) -> dict[int, Spent]:
    """Return what each thread of this process has spent, by the kernel's number.

    Some 10 us a thread. Source: the kernel's Documentation/scheduler/sched-stats.rst.
    """
    spent = {}
    for task in _folder(root / "proc/self/task"):
        with suppress(OSError, ValueError):  # it has ended meanwhile
            ran, waited, _ = (root / f"proc/self/task/{task}/schedstat").read_text().split()
            spent[int(task)] = Spent(int(ran) / 1e9, int(waited) / 1e9)
    return spent


def other_programs(root: Path = Path("/")) -> dict[int, Program]:
    """Return the other processes of the machine, as far as they can be seen, by number.

    Some 15 us a process. Source: proc_pid_stat(5).
    """
    programs = {}
    for pid in _folder(root / "proc"):
        if not pid.isdecimal() or int(pid) == os.getpid():
            continue
        with suppress(OSError, ValueError, IndexError):
            text = (root / f"proc/{pid}/stat").read_text(errors="replace")
            # A name may hold spaces and brackets of its own.
            name, _, rest = text.partition("(")[2].rpartition(")")
            fields = rest.split()
            ticks = int(fields[11]) + int(fields[12])  # utime and stime
            programs[int(pid)] = Program(name, ticks * _TICK_S)
    return programs


def _folder(path: Path) -> list[str]:
    try:
        return [one.name for one in path.iterdir()]
    except OSError:
        return []
