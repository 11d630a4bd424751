# SPDX-License-Identifier: MIT
"""Machines by synthesis alone: an escapement, blades, a two-stroke engine.

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


def clock_tick(n_samples: int, rate_hz: int, rng: Random) -> Signal:
    """Return a clock on a wall: tick and tock, each three knocks in a small case."""
    total = np.zeros(n_samples, dtype=np.float32)
    for side, pitch in enumerate((1.0, 0.88)):
        knock = _knock(rate_hz, rng, pitch)
        at = np.arange(0.2 + 0.5 * side, n_samples / rate_hz, 1.0)
        places = np.round(at * rate_hz).astype(np.int64)
        for delay_s, amplitude in [(0.0, 1.0), (0.008, 0.7), (0.02, 0.4)]:
            later = places + round(delay_s * rate_hz)
            size = amplitude * rng.uniform(0.9, 1.1, len(at))
            total += texture.scatter(n_samples, later, size, [knock], rng)
    hush = texture.noise(n_samples, rate_hz, rng, [(40, 0), (200, -10), (2000, -20), (20000, -30)])
    return 0.035 * texture.room(total, rate_hz, rng, decay_s=0.02, wet=0.4) + 0.003 * hush


def _knock(rate_hz: int, rng: Random, pitch: float) -> Signal:
    click_db = [(150, -24), (600, -12), (2000, 0), (9000, 0), (20000, -8)]
    click = texture.burst(rate_hz, rng, decay_s=0.002, curve_db=click_db)
    modes = [
        (820 * pitch, 0.004, 0.3),
        (1650 * pitch, 0.004, 0.6),
        (3100 * pitch, 0.005, 0.8),
        (4500 * pitch, 0.004, 0.8),
        (6200 * pitch, 0.003, 0.6),
    ]
    return click + 0.4 * texture.unit(texture.ring(rate_hz, modes, len(click) / rate_hz))


def helicopter(n_samples: int, rate_hz: int, rng: Random) -> Signal:
    """Return a helicopter that hovers: blades that slap the air, a tail rotor, a turbine."""
    t = np.arange(n_samples) / rate_hz
    blade = (
        2
        * np.pi
        * np.cumsum(11.5 + 0.1 * texture.drift(n_samples, rate_hz, rng, per_second=1))
        / rate_hz
    )
    slap = np.exp(4.0 * (np.cos(blade) - 1)).astype(np.float32)
    rumble = texture.noise(
        n_samples, rate_hz, rng, [(20, -12), (60, 0), (150, 0), (500, -8), (1500, -20), (8000, -44)]
    )
    wash = texture.noise(
        n_samples, rate_hz, rng, [(100, -20), (400, 0), (1800, -4), (5000, -18), (16000, -40)]
    )
    thump = texture.shape(
        slap - slap.mean(), rate_hz, [(10, -12), (40, 0), (200, 0), (600, -20), (2000, -50)]
    )
    tail = texture.voice(
        np.full(n_samples, 68.0) + 0.3 * np.sin(t), rate_hz, n_harmonics=12, tilt_db=-5
    )
    total = (
        2.2 * thump + rumble * (0.25 + 1.3 * slap) + 0.5 * wash * (0.2 + 1.2 * slap) + 0.12 * tail
    )
    return 0.09 * total * (1 + 0.08 * texture.drift(n_samples, rate_hz, rng, per_second=2))


def chainsaw(n_samples: int, rate_hz: int, rng: Random) -> Signal:
    """Return a two-stroke saw: it idles, revs, bites, lets go."""
    throttle = texture.contour(
        n_samples,
        [
            (0, 0.2),
            (0.05, 0.9),
            (0.1, 0.35),
            (0.2, 1),
            (0.33, 0.85),
            (0.45, 0.62),
            (0.52, 0.9),
            (0.58, 0.4),
            (0.64, 0.35),
            (0.74, 1),
            (0.9, 0.8),
            (1, 0.65),
        ],
    )
    speed = 70 + 130 * throttle
    speed = speed * (1 + 0.01 * texture.drift(n_samples, rate_hz, rng, per_second=30))
    roar = texture.unit(texture.voice(speed, rate_hz, n_harmonics=50, tilt_db=-1.5))
    roar = texture.shape(
        np.tanh(1.5 * roar),
        rate_hz,
        [
            (60, -20),
            (140, -6),
            (250, 0),
            (500, 3),
            (900, 4),
            (1300, 0),
            (2500, -3),
            (5000, -8),
            (16000, -28),
        ],
    )
    stroke = np.exp(3 * (np.cos(2 * np.pi * np.cumsum(speed) / rate_hz) - 1)).astype(np.float32)
    chain = texture.noise(
        n_samples,
        rate_hz,
        rng,
        [(200, -14), (900, 0), (2500, 0), (5000, -3), (9000, -8), (18000, -24)],
    )
    chain *= 0.25 + stroke
    load = (0.15 + 0.85 * throttle).astype(np.float32)
    return 0.11 * load * (texture.unit(roar) + 1.3 * chain * load)
