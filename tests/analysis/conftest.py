# SPDX-License-Identifier: MIT
"""Real recordings at the rate of an analysis."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

RATE_HZ = 22050
SECONDS = 10
# One of each kind: speech, a whistle, a whale, brass, strings; ticks, rain, a bark.
FIELD = ("198-209-0000", "bird-whistling", "humpback", "trumpet", "hungarian-dance")
ESC10 = ("clock_tick", "rain", "dog_bark", "chainsaw")


def read(file: Path) -> NDArray[np.float32]:
    samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    resampled = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)
    return resampled[: SECONDS * RATE_HZ].astype(np.float32)


def of_class(data: Path, name: str) -> list[Path]:
    """Return the recordings of a class of ESC-10."""
    lines = (data / "esc10-dev" / "meta.csv").read_text(encoding="utf-8").splitlines()
    files = [line.split(",")[0] for line in lines if f",{name}," in line]
    return [data / "esc10-dev" / "audio" / file for file in files]


@pytest.fixture(scope="session")
def recordings(data: Path) -> list[NDArray[np.float32]]:
    """Nine recordings of 2 to 10 s at 22.05 kHz, each of another kind."""
    field = sorted(
        file
        for file in (data / "field").iterdir()
        if file.suffix != ".txt" and any(name in file.name for name in FIELD)
    )
    return [read(file) for file in (*field, *(of_class(data, name)[0] for name in ESC10))]
