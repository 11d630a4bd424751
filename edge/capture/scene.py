# SPDX-License-Identifier: MIT
"""A believable scene without a recording: sounds that a monitor is asked to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SceneSound:
    """What sounds from `onset_s` to `offset_s`, by its ESC-10 label."""

    label: str
    onset_s: float
    offset_s: float


def synthesise_scene(
    seconds: float, rate_hz: int = 48000, seed: int = 0
) -> tuple[NDArray[np.float32], list[SceneSound]]:
    """Return (n_samples,) float32 and what is to be heard in it."""
    rng = np.random.default_rng(seed)
    n_samples = round(seconds * rate_hz)
    return 0.001 * rng.standard_normal(n_samples, dtype=np.float32), []
