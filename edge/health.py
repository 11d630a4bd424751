# SPDX-License-Identifier: MIT
"""The figures of the box itself: processor, memory, heat, disk, clock."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from edge.clock import wall_clock_synchronised

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class BoxHealth:
    """Reads /proc and /sys; what a machine does not have is None.

    Parameters
    ----------
    state_directory : whose disk is watched.
    root : "/" or a tree that stands in for it.
    """

    def __init__(self, state_directory: Path, root: Path = Path("/")) -> None:
        self._state_directory = state_directory
        self._proc = root / "proc"
        self._sys = root / "sys"
        self._started_s = time.monotonic()
        self._last = (self._started_s, time.process_time())

    def read(self) -> dict[str, Any]:
        """Return the figures now; `cpu_percent` is of one core, since the last call."""
        now, busy = time.monotonic(), time.process_time()
        before, busy_before = self._last
        self._last = (now, busy)
        return {
            "uptime_s": round(now - self._started_s),
            "cpu_percent": round(100 * (busy - busy_before) / max(now - before, 1e-3), 2),
            "memory_mb": self._memory_mb(),
            "temperature_c": self._temperature_c(),
            "throttled": self._throttled(),
            "disk_free_mb": self._disk_free_mb(),
            "disk_written_mb": self._disk_written_mb(),
            "clock_synchronised": wall_clock_synchronised(),
        }

    @property
    def has_thermometer(self) -> bool:
        """Whether `temperature_c` is ever known."""
        return self._temperature_c() is not None

    def _memory_mb(self) -> float | None:
        text = _text(self._proc / "self/statm")
        return round(int(text.split()[1]) * PAGE_BYTES / 1e6, 1) if text else None

    def _temperature_c(self) -> float | None:
        text = _text(self._sys / "class/thermal/thermal_zone0/temp")
        return round(int(text) / 1000, 1) if text else None

    def _throttled(self) -> str | None:
        """Return the firmware's bits: 0x1 under-voltage, 0x4 throttled, << 16 since boot."""
        # "soc", on a Pi 5 "soc@107c000000"; some kernels have no such file.
        for path in (self._sys / "devices/platform").glob("soc*/soc*:firmware/get_throttled"):
            if text := _text(path):
                return f"0x{int(text, 16):x}"
        return None

    def _disk_free_mb(self) -> float | None:
        try:
            disk = os.statvfs(self._state_directory)
        except OSError:
            return None
        return round(disk.f_bavail * disk.f_frsize / 1e6, 1)

    def _disk_written_mb(self) -> float | None:
        for line in _text(self._proc / "self/io").splitlines():
            if line.startswith("write_bytes:"):
                return round(int(line.split()[1]) / 1e6, 3)
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
