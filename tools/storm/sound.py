# SPDX-License-Identifier: MIT
"""The known signal: a burst every few seconds, in noise that a microphone has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

RATE_HZ: Final = 48000
PERIOD_S: Final = 6.0
BURST_S: Final = (2.2, 4.6)  # holds one whole second of the levels' grid, wherever that lies
ALARM: Final = (
    '{name="burst",kind="level",limit_db=-30.0,unit="dbfs",average_s=1,hold_s=0,cooldown_s=0}'
)


def write_signal(path: Path, seed: int) -> None:
    """Write one period of it, to be played in a loop, as S16."""
    rng = np.random.default_rng(seed)
    at_s = np.arange(round(PERIOD_S * RATE_HZ)) / RATE_HZ
    samples = 1e-3 * rng.standard_normal(at_s.size)
    sounds = (at_s >= BURST_S[0]) & (at_s < BURST_S[1])
    samples += sounds * 0.3 * np.sin(2 * np.pi * 1000.0 * at_s)
    path.write_bytes(np.round(samples * 32767).astype("<i2").tobytes())


def bursts(start_s: float, stop_s: float) -> list[float]:
    """Return when each burst begins that a microphone opened in [start_s, stop_s) plays whole."""
    number, found = 0, []
    while start_s + number * PERIOD_S + BURST_S[1] < stop_s:
        found.append(start_s + number * PERIOD_S + BURST_S[0])
        number += 1
    return found
