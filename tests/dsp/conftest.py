# SPDX-License-Identifier: MIT
"""Reference data of other implementations, and noise to filter."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def reference(data: Path) -> Path:
    return data / "reference"


@pytest.fixture(scope="session")
def noise() -> NDArray[np.float32]:
    """Three seconds at 48 kHz: white noise at -20 dBFS on a DC offset."""
    rng = np.random.default_rng(7)
    return (0.1 * rng.standard_normal(144000) + 0.01).astype(np.float32)
