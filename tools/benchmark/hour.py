# SPDX-License-Identifier: MIT
"""An hour of sound as fast as it goes: cost must be linear in time, memory flat."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.benchmark.core import periods, pipeline, sound

if TYPE_CHECKING:
    from collections.abc import Iterator

TENTHS: Final = 6
MINUTES_PER_TENTH: Final = 10


def run() -> Iterator[dict[str, float]]:
    """Yield, each 10 minutes of sound, their CPU seconds and the memory held after them."""
    path = pipeline()
    # One minute over and over: what it says isn't looked at, only what it costs.
    minute = sound(60)
    n_samples = 0
    for tenth in range(TENTHS):
        cpu_s = 0.0
        for _ in range(MINUTES_PER_TENTH):
            stream = periods(minute, n_samples)
            start = time.thread_time()
            for period in stream:
                path.process(period)
            cpu_s += time.thread_time() - start
            n_samples += sum(len(period.samples) for period in stream)
        yield {
            "minutes": MINUTES_PER_TENTH * (tenth + 1),
            "sample_index": n_samples,
            "cpu_s": cpu_s,
            "cpu_share": cpu_s / (MINUTES_PER_TENTH * 60.0),
            "rss_mb": rss_mb(),
        }


def rss_mb() -> float:
    """Return the memory that this process holds, in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024.0
    raise RuntimeError("/proc/self/status has no VmRSS")
