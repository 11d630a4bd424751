# SPDX-License-Identifier: MIT
"""A running `edge analyze`, and what it is given and leaves behind."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.conftest import wait_until

STOP_S = 10.0  # what the test waits for a stop before it counts as hung: one takes 0.2 s
# The worker is at such a clip for 6 s: a test that is held up meets it in the middle all the same.
LONG_S = 480.0
ANY_LOAD = "analysis.max_load=1.0"
PICTURE = "analysis.picture=true"


class Analyzer:
    """A running `edge analyze` over a state directory."""

    def __init__(
        self, state: Path, *overrides: str, program: str = "", wrap: tuple[str, ...] = ()
    ) -> None:
        self._log_file = state / "analyze.log"
        settings = [f'state.directory="{state}"', ANY_LOAD, "analysis.picture=false", *overrides]
        arguments = [part for one in settings for part in ("--set", one)]
        how = ["-c", program] if program else ["-m", "edge", "analyze", *arguments]
        command = [*wrap, sys.executable, *how]
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def log(self) -> str:
        return self._log_file.read_text(errors="replace")

    def sees(self, path: Path) -> Path:
        """Return `path` as the analyzer's own mounts show it."""
        return Path(f"/proc/{self.process.pid}/root{path}")

    def child(self) -> int | None:
        """Return the worker's process id, None while there is none."""
        pid = self.process.pid
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for child in children:
                if "analyze.worker" in Path(f"/proc/{child}/cmdline").read_text():
                    return int(child)
        return None

    def wait_child(self) -> int:
        """Return the process id of a worker that works: it has imported what it needs."""

        def working() -> int | None:
            child = self.child()
            return child if child and "soundfile" in libraries(child) else None

        return wait_until(working, "a worker that works")

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running {STOP_S} s after SIGTERM:\n{self.log()}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def libraries(pid: int) -> str:
    """Return what is mapped into a process, "" when it has ended."""
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    return state_of(pid) not in {"", "Z", "X"}


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def bucket(state: Path) -> Path:
    folder = state / "clips/0000"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def put(state: Path, number: int, sound: Path, label: str = "dog_bark") -> str:
    """Place a recording as a clip of the box; return its stem."""
    stem = f"{number:07d}_20261122T221736Z_{label}"
    sidecar = {
        "schema": "edge-clip/1",
        "clip_id": f"edge-abc-{number}",
        "labels": [label],
        "events": [{"event_id": "e1", "onset_sample": 1000, "offset_sample": 9000}],
        "rate_hz": 16000,
        "start_sample": 0,
        "start_time": "2026-11-22T22:17:36.545Z",
        "clock_synchronised": True,
    }
    (bucket(state) / f"{stem}.json").write_text(json.dumps(sidecar))
    part = bucket(state) / f".{stem}.part"
    shutil.copyfile(sound, part)
    part.rename(bucket(state) / f"{stem}{sound.suffix}")
    return stem


def made(folder: Path, seconds: float, rate_hz: int = 16000) -> Path:
    """Return a recording of noise and clicks."""
    rng = np.random.default_rng(0)
    samples = rng.normal(0.0, 0.02, round(seconds * rate_hz))
    samples[:: rate_hz // 2] = 0.8
    path = folder / f"made-{seconds:g}-{rate_hz}.flac"
    if not path.exists():
        soundfile.write(path, samples.astype("f4"), rate_hz)
    return path


def reports(state: Path) -> dict[str, dict[str, Any]]:
    """Return every report by its clip's stem; each is whole at any moment."""
    paths = bucket(state).glob("[!.]*.analysis.json")
    return {path.name.partition(".")[0]: json.loads(path.read_bytes()) for path in paths}


def messages(state: Path) -> list[dict[str, Any]]:
    paths = sorted((state / "spool").glob("analysis-*.json"))
    return [json.loads(base64.b64decode(json.loads(p.read_bytes())["payload"])) for p in paths]


def leftovers(state: Path) -> list[str]:
    return [path.name for path in state.rglob(".*")]


def wait_for_all(state: Path, stems: list[str], timeout_s: float = 100.0) -> None:
    wait_until(lambda: set(stems) <= set(reports(state)), "all reports", timeout_s)


def unit_program(state: Path, how: str, *overrides: str) -> str:
    """Return a program that runs the unit with what no setting says, as `stall_s=1.5`."""
    settings = (f'state.directory="{state}"', *overrides)
    return f"""
import logging, sys
from edge.config.load import load_settings
from edge.service.analyze.idle import IdleGate
from edge.service.analyze.unit import Unit
from pathlib import Path
logging.basicConfig(level="INFO")
gate = IdleGate(Path("{state}"), max_load=1.0, max_temperature_c=110.0)
sys.exit(Unit(load_settings(None, {settings!r}), gate, {how}).run())
"""
