# SPDX-License-Identifier: MIT
"""CPU time of one thread on one core, sides interleaved, and where it was taken."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[2]
MEASURED = ("edge/dsp", "edge/analysis", "edge/pipeline.py", "edge/ring.py", "tools/benchmark")
PACKAGES = (
    *("numpy", "scipy", "librosa", "kaldi-native-fbank", "scikit-learn", "soxr"),
    *("noisereduce", "webrtc-noise-gain"),
)


def pin() -> int:
    """Stay on the last core that this process may use; return its number."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU time that `work` takes of this thread, in seconds."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def interleave(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Let every side run once a round; return each one's CPU seconds, round by round.

    A machine that is shared slows all sides of a round alike: compare within a round.
    """
    for work in sides.values():
        work()
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            spent[name].append(cpu_s(work))
    return spent


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median over the rounds of our time to theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def percentile(sorted_values: list[float], share: float) -> float:
    """Return the value that `share` of them don't exceed."""
    return sorted_values[min(int(share * len(sorted_values)), len(sorted_values) - 1)]


def stamp(core: int) -> list[str]:
    """Return where and with what this was measured, for people."""
    packages = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    load = os.getloadavg()[0]
    return [
        f"commit {_commit()}, Python {platform.python_version()}, {packages}",
        f"{_processor()}, core {core} of {os.cpu_count()}, load {load:.1f}",
    ]


def _commit() -> str:
    """Name the commit, and whether what is measured has changed since."""
    git = ["git", "-C", str(ROOT)]
    describe = [*git, "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
    diff = [*git, "diff", "--quiet", "HEAD", "--", *MEASURED]
    changed = subprocess.run(diff, capture_output=True, check=False).returncode != 0
    return (commit or "unknown") + (" and changes" if changed else "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _processor() -> str:
    """Name the processor: x86 says `model name`, a Pi says `Model`."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()
