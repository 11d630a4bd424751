# SPDX-License-Identifier: MIT
"""Minutes of steady noise, to count what is heard in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tools.training.recordings import RATE_HZ
from tools.training.synthetic import coloured_noise, hum

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

STRETCH_S: Final = 60
# The power of coloured noise falls as frequency to this power.
NOISES: Final[Mapping[str, Callable[[np.random.Generator], float]]] = {
    "white": lambda _: 0.0,
    "pink": lambda _: 1.0,
    "brown": lambda _: 2.0,
    "tilted": lambda rng: rng.uniform(-0.5, 2.5),
    "hum": lambda rng: rng.uniform(0.0, 2.0),
}


def steady(kind: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a stretch of noise of this kind at some level; "hum" is one over faint noise."""
    n_samples = STRETCH_S * RATE_HZ
    noise = coloured_noise(n_samples, NOISES[kind](rng), rng)
    samples = hum(n_samples, rng) + np.float32(0.01) * noise if kind == "hum" else noise
    # RMS of -70 to -20 dBFS: from a quiet microphone to a loud fan.
    rms = 10.0 ** rng.uniform(-3.5, -1.0)
    return np.asarray(samples * (rms / samples.std()), np.float32)
