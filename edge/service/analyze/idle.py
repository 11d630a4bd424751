# SPDX-License-Identifier: MIT
"""Whether the box is idle: nothing is heard, nobody else computes, it is not hot.

The load average would count the analysis itself, and lags by a minute. What counts here
is the processor time of everybody else: all that /proc/stat says was used, less that
of this process and its worker.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.health import BoxHealth
from edge.service.hearing import is_hearing

MEASURE_S: Final = 2.0  # over which the others' load is measured, and how often heat is read
COOLER_C: Final = 3.0  # hot ends only this far under the limit: no flutter around it
EASIER: Final = 0.8  # as above, a factor: busy ends under this share of the limit

if TYPE_CHECKING:
    from collections.abc import Callable

_MEASURING: Final = "the load is being measured"
_BUSY: Final = "others use"

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Fields of the "cpu" line. Source: proc_stat(5). Waiting for a disk is no computing.
_IDLE, _IOWAIT = 3, 4
_FIELDS: Final = 8  # guest time, behind them, is already in user time


class _Used(NamedTuple):
    """Processor seconds at a moment: of everybody, and of ourselves."""

    at_s: float
    everybody_s: float
    ours_s: float


class IdleGate:
    """Says what keeps the box from being idle.

    Parameters
    ----------
    state_directory : of the listener whose hearing counts.
    max_load : processor use of others, per core; from 1.0 (all cores are fully used) any is idle.
    max_temperature_c : degrees Celsius.
    root : "/" or a tree that stands in for it.
    mono : a clock in seconds.
    """

    def __init__(
        self,
        state_directory: Path,
        *,
        max_load: float,
        max_temperature_c: float,
        root: Path = Path("/"),
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state_directory = state_directory
        self._max_load = max_load
        self._max_temperature_c = max_temperature_c
        self._proc = root / "proc"
        self._box = BoxHealth(state_directory, root)
        self._mono = mono
        self._last: _Used | None = None
        self._cores = os.cpu_count() or 1
        self._busy = self._hot = ""

    def reason(self, worker: int | None) -> str:
        """Return why the box is not idle, "" when it is; the same words while it is the same.

        Costs some 20 us, and 0.3 ms every 2 s. A box that has only just been looked at is
        not known to be idle: the first 2 s it is being measured.

        Parameters
        ----------
        worker : process id of the worker, whose computing is not counted; None without one.
        """
        if is_hearing(self._state_directory):
            return "something is heard"
        now_s = self._mono()
        if self._last is None:
            self._last = self._used(now_s, worker)
            self._busy = _MEASURING if self._max_load < 1.0 else ""
            self._feel()
        elif now_s - self._last.at_s >= MEASURE_S:
            self._measure(self._used(now_s, worker), self._last)
        return self._hot or self._busy

    def _measure(self, used: _Used, before: _Used) -> None:
        self._last = used
        others_s = (used.everybody_s - before.everybody_s) - (used.ours_s - before.ours_s)
        # Ticks are rounded: on a machine that is all busy they may say more than there is.
        load = min(max(others_s, 0.0) / (used.at_s - before.at_s) / self._cores, 1.0)
        was_busy = self._busy.startswith(_BUSY)
        if load <= self._max_load * (EASIER if was_busy else 1.0):
            self._busy = ""
        elif not was_busy:
            self._busy = f"{_BUSY} {100 * load:.0f} % of the processor"
        self._feel()

    def _feel(self) -> None:
        celsius = self._box.read()["temperature_c"]
        limit = self._max_temperature_c - (COOLER_C if self._hot else 0.0)
        if celsius is None or celsius <= limit:
            self._hot = ""
        elif not self._hot:
            self._hot = f"the processor is {celsius:.0f} degrees hot"

    def _used(self, now_s: float, worker: int | None) -> _Used:
        text = (self._proc / "stat").read_text(encoding="ascii")
        ticks = [int(field) for field in text.partition("\n")[0].split()[1 : 1 + _FIELDS]]
        everybody = sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT]
        # A worker that has ended counts among the children: it moves from one term to the other.
        ended = os.times()
        ours_s = sum(ended[:4]) + self._ticks_of(worker) / _TICKS_PER_S
        return _Used(now_s, everybody / _TICKS_PER_S, ours_s)

    def _ticks_of(self, worker: int | None) -> int:
        """Return the ticks that a process has used. Source: proc_pid_stat(5), utime and stime."""
        try:
            text = (self._proc / f"{worker}/stat").read_text(encoding="ascii") if worker else ""
        except OSError:
            text = ""  # it has just ended
        after_name = text.rpartition(")")[2].split()
        return int(after_name[11]) + int(after_name[12]) if after_name else 0
