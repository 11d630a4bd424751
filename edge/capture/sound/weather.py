# SPDX-License-Identifier: MIT
"""Water and fire by synthesis alone: noise, drops, cracks.

Each takes (n_samples, rate_hz, rng) and returns (n_samples,) float32, full scale +-1.0,
at the level that a microphone at some distance would give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.capture.sound import texture

if TYPE_CHECKING:
    from edge.capture.sound.texture import Signal

    Random = np.random.Generator


def rain(n_samples: int, rate_hz: int, rng: Random) -> Signal:
    """Return steady rain on a hard ground: a hiss of far drops, and near ones that ring."""
    far = texture.noise(
        n_samples,
        rate_hz,
        rng,
        [(50, -10), (300, -4), (1000, 0), (3000, 0), (9000, -3), (16000, -10), (22000, -16)],
    )
    far *= 1 + 0.08 * texture.drift(n_samples, rate_hz, rng, per_second=3)
    drops = [
        texture.burst(
            rate_hz,
            rng,
            decay_s=rng.uniform(0.0007, 0.0022),
            curve_db=[(200, -24), (pitch / 1.6, -9), (pitch, 6), (pitch * 1.6, -6), (20000, -24)],
        )
        for pitch in rng.uniform(1800, 8000, 12)
    ]
    at = texture.poisson(n_samples, rate_hz, rng, per_second=250)
    near = texture.scatter(
        n_samples, at, np.minimum(rng.lognormal(-1.5, 0.7, len(at)), 1.5), drops, rng
    )
    return (0.06 * (far + near)).astype(np.float32)


def sea_waves(n_samples: int, rate_hz: int, rng: Random) -> Signal:
    """Return surf: swell, a crest that breaks from low to high, foam that runs back."""
    t = np.arange(n_samples) / rate_hz
    total = np.zeros(n_samples, dtype=np.float32)
    bands = [
        (60, 400, 0.0, 0.25, 1.0),
        (300, 1200, 0.25, 0.3, 0.9),
        (900, 3500, 0.55, 0.4, 0.6),
        (2500, 12000, 0.8, 0.6, 0.35),
    ]
    starts = np.cumsum(rng.uniform(3.2, 5.0, 2 + int(n_samples / rate_hz / 3))) - 4.2
    for low_hz, high_hz, delay_s, tail, weight in bands:
        swell = np.full(n_samples, 0.16, dtype=np.float32)
        for start in starts:
            since = t - start - delay_s
            rise = 1 / (1 + np.exp(-6 * (since - 0.5)))
            fall = np.exp(-np.maximum(since - 0.8, 0) * 0.35 / tail)
            swell += (rise * fall).astype(np.float32)
        curve = [(low_hz / 3, -30.0), (low_hz, 0.0), (high_hz, -3.0), (high_hz * 2.5, -24.0)]
        hiss = texture.noise(n_samples, rate_hz, rng, curve)
        hiss *= 1 + 0.25 * texture.drift(n_samples, rate_hz, rng, per_second=9)
        total += weight * swell * hiss
    return (0.05 * total).astype(np.float32)


def fire_crackling(n_samples: int, rate_hz: int, rng: Random) -> Signal:
    """Return a wood fire: a low flutter of flames, a hiss, and cracks of every size."""
    flames = texture.noise(
        n_samples,
        rate_hz,
        rng,
        [(20, 0), (80, -3), (300, -10), (1000, -18), (3000, -22), (8000, -26), (20000, -36)],
    )
    flames *= 1 + 0.4 * texture.drift(n_samples, rate_hz, rng, per_second=8)
    cracks = [
        texture.burst(
            rate_hz,
            rng,
            decay_s=rng.uniform(0.0008, 0.005),
            curve_db=[(150, -24), (700, -8), (pitch, 3), (pitch * 2, 0), (20000, -10)],
        )
        for pitch in rng.uniform(1200, 6000, 16)
    ]
    groups = texture.poisson(n_samples, rate_hz, rng, per_second=4)
    spread = [np.cumsum(rng.exponential(0.02 * rate_hz, rng.integers(1, 6))) for _ in groups]
    places = [place + step.astype(np.int64) for place, step in zip(groups, spread, strict=True)]
    at = np.concatenate([*places, texture.poisson(n_samples, rate_hz, rng, per_second=24)])
    size = np.minimum(rng.lognormal(-2.0, 1.0, len(at)), 1.6)
    total = texture.scatter(n_samples, at, size, cracks, rng)
    return 0.09 * texture.room(total, rate_hz, rng, decay_s=0.02, wet=0.2) + 0.012 * flames
