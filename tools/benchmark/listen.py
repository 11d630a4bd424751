# SPDX-License-Identifier: MIT
"""The real `edge listen` on a virtual microphone: how soon it hears, and what it weighs."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.capture.scene import synthesise_scene
from tools.benchmark.steps import rss_bytes
from tools.lab.microphone import VirtualMicrophone

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE_HZ: Final = 48000
SCENE_S: Final = 10.0
STARTS: Final = 5
SETTLED_S: Final = 20.0
PATIENCE_S: Final = 60.0
STEPS: Final = ("python", "numpy", "onnxruntime", "classifier")


def measure() -> dict[str, Any]:
    """Return the seconds to the first sample heard and the memory after 20 s, with their parts.

    No broker; filters designed by an earlier start. `start_s` is what a clock on the wall
    says, so it grows with the machine's load; `start_cpu_s`, the CPU time of the listener and
    of the child that reads its settings, hardly does. MB are 1e6 bytes, MiB 2**20.

    Raises `RuntimeError` when the listener ends, with what it said.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        microphone = _microphone(folder)
        with _listening(folder, microphone):
            pass  # designs the filters, which the starts that count find
        starts_s, starts_cpu_s = [], []
        for _ in range(STARTS):
            with _listening(folder, microphone) as (process, start_s):
                starts_s.append(start_s)
                starts_cpu_s.append(_cpu_s(process.pid))
                if len(starts_s) == STARTS:
                    time.sleep(SETTLED_S)
                    held = rss_bytes(process.pid)
        steps = [_steps() for _ in range(STARTS)]
    start_s = statistics.median(starts_s)
    return {
        "rss_mb": held / 1e6,
        "rss_mib": held / 2**20,
        "start_s": start_s,
        "start_cpu_s": statistics.median(starts_cpu_s),
        "rss_parts_mb": _parts([float(s["rss_bytes"]) / 1e6 for s in steps[-1]], held / 1e6),
        "start_parts_s": _parts(
            [statistics.median(one[k]["at_s"] for one in steps) for k in range(len(STEPS))], start_s
        ),
    }


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process and of the children that it has waited for."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    # Source: proc_pid_stat(5): utime, stime, cutime, cstime; the name before may hold blanks.
    ticks = stat.rpartition(")")[2].split()[11:15]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _parts(after: list[float], total: float) -> dict[str, float]:
    """Return what each step added, and what the rest of the listener does."""
    return dict(zip((*STEPS, "rest"), np.diff([0.0, *after, total]).tolist(), strict=True))


def _microphone(folder: Path) -> VirtualMicrophone:
    samples, _ = synthesise_scene(SCENE_S, RATE_HZ, seed=0)
    raw = folder / "scene.raw"
    raw.write_bytes(np.round(samples * 32767).astype("<i2").tobytes())
    return VirtualMicrophone(folder / "microphone", raw, loop=True)


@contextmanager
def _listening(
    folder: Path, microphone: VirtualMicrophone
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Start a listener; give it and the seconds that it took until it heard its first sample."""
    address = folder / "notify"
    address.unlink(missing_ok=True)
    settings = (
        f'capture.device="{microphone.name}"',
        f'state.directory="{folder / "state"}"',
        'publish.url=""',
    )
    arguments = [part for one in settings for part in ("--set", one)]
    environment = microphone.environment() | {"NOTIFY_SOCKET": str(address)}
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        (folder / "log").open("wb") as log,
    ):
        manager.bind(str(address))
        manager.settimeout(0.2)
        command = [sys.executable, "-m", "edge", "listen", *arguments]
        began_s = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            if not _ready(manager, process, began_s + PATIENCE_S):
                said = Path(log.name).read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"edge listen does not become ready:\n{said}")
            yield process, time.monotonic() - began_s
        finally:
            process.terminate()
            process.wait()


def _ready(manager: socket.socket, process: subprocess.Popen[bytes], deadline_s: float) -> bool:
    """Wait until the listener says that it hears; return whether it did."""
    while process.poll() is None and time.monotonic() < deadline_s:
        with suppress(TimeoutError):
            if b"READY=1" in manager.recv(4096):
                return True
    return False


def _steps() -> list[dict[str, Any]]:
    """Load the parts in a fresh process; return what each left behind."""
    command = [sys.executable, "-m", "tools.benchmark.steps", str(time.monotonic())]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in printed.splitlines()]
