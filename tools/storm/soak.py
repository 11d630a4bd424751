# SPDX-License-Identifier: MIT
"""Hours of sound as fast as they go through the whole unit: nothing of it may grow."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from contextlib import ExitStack

from tools.storm.broker import Broker

BARS: Final = "▁▂▃▄▅▆▇█"
WIDTH: Final = 60
LOOK_S: Final = 0.5
LONGEST_H: Final = 24.0  # as capture.seconds allows
# Growth from the second quarter to the last that is still flat: the history fills up in the first.
MOST_GROWTH: Final = {"memory_mb": 1.05, "files": 1.0, "threads": 1.0, "disk_mb": 1.2}
COUNTS: Final = ("events", "clips_saved", "messages_sent", "late_patches", "disk_written_mb")
PAGE_MB: Final = 4096 / 1e6


@dataclass(slots=True)
class Soak:
    """What was seen of the process, look by look."""

    seen: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MOST_GROWTH})
    figures: dict[str, str] = field(default_factory=dict)
    code: int = 0

    def growth(self, name: str) -> float:
        """Return the highest of the last quarter over the highest of the second."""
        values = self.seen[name]
        quarter = max(len(values) // 4, 1)
        return max(values[-quarter:]) / max(max(values[quarter : 2 * quarter], default=1.0), 1e-3)

    @property
    def wrong(self) -> list[str]:
        """What grew, and whether it ended in order."""
        grown = [
            f"{name} grew by {self.growth(name):.2f}"
            for name, most in MOST_GROWTH.items()
            if self.growth(name) > most
        ]
        return grown + ([f"the unit ended with {self.code}"] if self.code else [])

    def plot(self) -> str:
        """Return a line for each figure: a picture, its first and its last value."""
        return "\n".join(
            f"{name:10} {_spark(values)} {values[0]:.1f} to {values[-1]:.1f}"
            for name, values in self.seen.items()
            if values
        )

    def counts(self, hours: float) -> str:
        """Return what happened, and what the disk was given for it; `write_bytes` of proc(5)."""
        known = (f"{name} {self.figures[name]}" for name in COUNTS if name in self.figures)
        written_mb = float(self.figures.get("disk_written_mb", 0.0))
        return f"{', '.join(known)}: {written_mb / hours * 24.0:.0f} MB a day"


def soak(place: Path, hours: float, more: list[str], running: ExitStack) -> Soak:
    """Run the unit over so much sound, with a broker, clips, alarms and retention.

    `more` are settings.
    """
    broker = Broker(place, running)
    state = place / "state"
    settings = [
        'node.id="soak"',
        'capture.source="synth"',
        'capture.pace="fast"',
        f"capture.seconds={hours * 3600.0}",
        f'state.directory="{state}"',
        f'publish.url="mqtt://127.0.0.1:{broker.port}"',
        "retention.max_total_mb=20",
        "retention.min_per_label=0",  # else so little room is soon full of what may not go
        *more,
    ]
    command = [sys.executable, "-m", "edge", "listen"]
    command += [part for one in settings for part in ("--set", one)]
    result = Soak()
    with (place / "soak.log").open("wb") as log, subprocess.Popen(command, stderr=log) as unit:
        while unit.poll() is None:
            _look(unit.pid, state, result)
            time.sleep(LOOK_S)
    result.code = unit.returncode
    told = (place / "soak.log").read_text(errors="replace").rpartition(" stats ")[2]
    result.figures = dict(pair.partition("=")[::2] for pair in told.split("\n")[0].split())
    return result


def _look(pid: int, state: Path, result: Soak) -> None:
    proc = Path("/proc") / str(pid)
    try:
        resident = int((proc / "statm").read_text().split()[1]) * PAGE_MB
        files = len(list((proc / "fd").iterdir()))
        threads = len(list((proc / "task").iterdir()))
        disk = sum(one.stat().st_size for one in _files(state)) / 1e6
    except OSError:  # it has ended, or a clip has gone, between two looks
        return
    for name, value in zip(MOST_GROWTH, (resident, files, threads, disk), strict=True):
        result.seen[name].append(float(value))


def _files(state: Path) -> list[Path]:
    """Return what the unit keeps, but for the minutes: `level.days` of them are there to stay."""
    return [one for one in state.rglob("*") if one.is_file() and one.parent.name != "levels"]


def _spark(values: list[float]) -> str:
    parts = [part.max() for part in np.array_split(np.array(values), min(WIDTH, len(values)))]
    top = max(*parts, 1e-9)
    return "".join(BARS[min(int(part / top * len(BARS)), len(BARS) - 1)] for part in parts)
