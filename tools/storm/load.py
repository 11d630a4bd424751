# SPDX-License-Identifier: MIT
"""Every processor busy with other programs while the unit listens: no sample may be lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools.demo.place import start_child
from tools.lab.microphone import VirtualMicrophone
from tools.storm.broker import Broker

NICE: Final = -10
"""As the unit's; CPUWeight=1000 is as much for its group. Who may not have it goes without."""

LOOK_S: Final = 5.0
STARTS_WITHIN_S: Final = 60.0
KEYS: Final = ("samples", "xruns", "gaps", "late_patches", "inferences", "longest_read_delay_ms")


@dataclass(slots=True)
class Load:
    """The last figures of the unit, and what it should not have had."""

    nice: int
    figures: dict[str, Any] = field(default_factory=dict)
    overruns: list[str] = field(default_factory=list)
    code: int = 0

    @property
    def wrong(self) -> list[str]:
        """What was lost."""
        lost = [f"{self.figures[key]} {key}" for key in ("xruns", "gaps") if self.figures.get(key)]
        ended = [f"the unit ended with {self.code}"] if self.code else []
        return lost + self.overruns + ended + ([] if self.figures else ["it has told no figures"])

    def __str__(self) -> str:
        """Return the figures in a line."""
        told = ", ".join(f"{key} {self.figures.get(key)}" for key in KEYS)
        return f"nice {self.nice}: {told}"


def load(place: Path, raw: Path, minutes: float, running: ExitStack) -> Load:
    """Listen with the shipped settings for so long while a busy loop runs for each processor."""
    broker = Broker(place, running)
    microphone = VirtualMicrophone(place / "microphone", raw, loop=True)
    settings = [
        'node.id="load"',
        f'capture.device="{microphone.name}"',
        f'state.directory="{place / "state"}"',
        f'publish.url="mqtt://127.0.0.1:{broker.port}"',
    ]
    command = [sys.executable, "-m", "edge", "listen"]
    command += [part for one in settings for part in ("--set", one)]
    environment = microphone.environment() | {"RUNTIME_DIRECTORY": str(place)}
    result = Load(_nice())
    with (place / "load.log").open("wb") as log:
        child = start_child(
            ["nice", "-n", str(result.nice), *command], running, environment=environment, output=log
        )
    file = place / "load.json"
    _wait_for(file)
    if result.nice:
        Path(f"/proc/{child.pid}/autogroup").write_text(str(result.nice), encoding="ascii")
    with ExitStack() as busy:
        for _ in range(os.cpu_count() or 1):
            start_child([sys.executable, "-c", "while True: pass"], busy)
        end_s = time.monotonic() + 60.0 * minutes
        while time.monotonic() < end_s and child.poll() is None:
            time.sleep(LOOK_S)
            result.figures = json.loads(file.read_text(encoding="utf-8"))
    child.terminate()
    result.code = child.wait()
    lines = (place / "load.log").read_text(errors="replace").splitlines()
    result.overruns = [line for line in lines if " overrun, " in line]
    return result


def _nice() -> int:
    allowed = subprocess.run(
        ["nice", "-n", str(NICE), "nice"], capture_output=True, text=True, check=False
    )
    return int(allowed.stdout or 0)


def _wait_for(file: Path) -> None:
    end_s = time.monotonic() + STARTS_WITHIN_S
    while not file.exists() and time.monotonic() < end_s:
        time.sleep(0.1)
