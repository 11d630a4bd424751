# SPDX-License-Identifier: MIT
"""Other clocks for one process: steps of the wall's, a machine that sleeps, a time server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.lab.plugin import build_preload

if TYPE_CHECKING:
    from pathlib import Path


class FaultClock:
    """The clocks of a process that is started behind `wrap`; they may change at any time.

    Parameters
    ----------
    directory : holds the library and the file that says how the clocks are.
    """

    def __init__(self, directory: Path) -> None:
        directory = directory.resolve()
        self._library = build_preload("fault_clock", directory)
        self._file = directory / "clocks"
        self._wall_s = self._slept_s = 0.0
        self._synchronised: int = False
        self._write()

    def wrap(self) -> tuple[str, ...]:
        """Return the words to put before a command that is to have these clocks."""
        return ("env", f"LD_PRELOAD={self._library}", f"EDGE_LAB_CLOCK={self._file}")

    def step(self, seconds: float) -> None:
        """Step the wall clock; as the kernel does, forget that it was synchronised."""
        self._wall_s += seconds
        self._synchronised = False
        self._write()

    def correct(self) -> None:
        """Set the wall clock right, as a time server does."""
        self._wall_s, self._synchronised = self._slept_s, True
        self._write()

    def hide(self) -> None:
        """Let nobody ask the kernel whether the clock is right, as a sandbox does."""
        self._synchronised = -1
        self._write()

    def sleep(self, seconds: float) -> None:
        """Let the machine have slept: wall and boot clock have gone on, the monotonic has not."""
        self._wall_s += seconds
        self._slept_s += seconds
        self._write()

    def wall_s(self, real_s: float) -> float:
        """Return what the process takes `real_s` for, seconds since 1970."""
        return real_s + self._wall_s

    def _write(self) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(f"{self._wall_s} {self._slept_s} {int(self._synchronised)}")
        part.replace(self._file)  # at once: a file that is half written would be another time
