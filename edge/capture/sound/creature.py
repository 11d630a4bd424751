# SPDX-License-Identifier: MIT
"""Animals and people by synthesis alone: a harmonic source, a mouth, a breath.

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


def dog_bark(n_samples: int, rate_hz: int, rng: Random) -> Signal:
    """Return a big dog in a yard, in twos and threes."""
    total = np.zeros(n_samples, dtype=np.float32)
    at_s = 0.15
    while at_s < n_samples / rate_hz - 0.3:
        start = round(at_s * rate_hz)
        bark = _bark(rate_hz, rng)[: max(0, n_samples - start)]
        total[start : start + len(bark)] += bark
        at_s += rng.choice([0.48, 0.55, 0.62, 0.95])
    return texture.room(total, rate_hz, rng, decay_s=0.07, wet=0.4)


def _bark(rate_hz: int, rng: Random) -> Signal:
    n_samples = round(rng.uniform(0.15, 0.19) * rate_hz)
    base = rng.uniform(0.93, 1.07)
    pitch = base * texture.contour(n_samples, [(0, 240), (0.15, 430), (0.4, 400), (1, 220)])
    pitch *= 1 + 0.03 * texture.drift(n_samples, rate_hz, rng, per_second=150)
    tone = texture.unit(texture.voice(pitch, rate_hz, n_harmonics=30, tilt_db=-2))
    breath = texture.noise(n_samples, rate_hz, rng, [(200, -6), (900, 0), (3000, -4), (9000, -12)])
    mouth = texture.shape(
        tone + 0.5 * breath,
        rate_hz,
        [
            (150, -20),
            (300, 0),
            (450, 4),
            (700, 5),
            (1000, 3),
            (1500, -5),
            (2500, -12),
            (4000, -18),
            (8000, -28),
            (16000, -40),
        ],
    )
    loudness = texture.contour(n_samples, [(0, 0), (0.08, 1), (0.35, 0.85), (0.65, 0.3), (1, 0)])
    return (0.22 * rng.uniform(0.8, 1.1) * texture.unit(mouth) * loudness).astype(np.float32)


def rooster(n_samples: int, rate_hz: int, rng: Random) -> Signal:
    """Return cock-a-doodle-doo, the last one long and falling."""
    total = np.zeros(n_samples, dtype=np.float32)
    crow = _crow(rate_hz, rng)
    for start in range(round(0.3 * rate_hz), n_samples, round(2.9 * rate_hz)):
        part = crow[: n_samples - start]
        total[start : start + len(part)] += part
    return texture.room(total, rate_hz, rng, decay_s=0.05, wet=0.3)


def _crow(rate_hz: int, rng: Random) -> Signal:
    syllables = [
        (0.24, [(0, 470), (0.2, 530), (1, 520)]),
        (0.17, [(0, 560), (0.3, 640), (1, 600)]),
        (0.30, [(0, 560), (0.3, 690), (0.7, 680), (1, 600)]),
        (1.05, [(0, 640), (0.1, 700), (0.45, 690), (0.75, 600), (1, 450)]),
    ]
    parts = []
    for seconds, points in syllables:
        n_samples = round(seconds * rate_hz)
        pitch = texture.contour(n_samples, points)
        pitch *= 1 + 0.006 * texture.drift(n_samples, rate_hz, rng, per_second=40)
        tone = texture.unit(texture.voice(pitch, rate_hz, n_harmonics=10, tilt_db=0))
        rasp = texture.noise(
            n_samples, rate_hz, rng, [(500, -12), (1200, 0), (3000, -3), (9000, -20)]
        )
        rough = 1 + 0.2 * texture.drift(n_samples, rate_hz, rng, per_second=60)
        call = texture.shape(
            (tone + 0.12 * rasp) * rough,
            rate_hz,
            [
                (300, -24),
                (550, -6),
                (1100, 4),
                (2000, 4),
                (2800, 0),
                (3400, -16),
                (5500, -22),
                (9000, -36),
            ],
        )
        loudness = texture.contour(n_samples, [(0, 0), (0.1, 0.9), (0.6, 1), (0.9, 0.5), (1, 0)])
        parts += [texture.unit(call) * loudness, np.zeros(round(0.06 * rate_hz))]
    return (0.14 * np.concatenate(parts)).astype(np.float32)


def baby_cry(n_samples: int, rate_hz: int, rng: Random) -> Signal:
    """Return a hungry baby: cries of a second, a gasp between them."""
    total = np.zeros(n_samples, dtype=np.float32)
    at_s = 0.1
    while at_s < n_samples / rate_hz - 0.3:
        start, cry = round(at_s * rate_hz), _cry(rate_hz, rng)
        part = cry[: max(0, n_samples - start)]
        total[start : start + len(part)] += part
        at_s += len(cry) / rate_hz + rng.uniform(0.05, 0.15)
    return texture.room(total, rate_hz, rng, decay_s=0.08, wet=0.3)


def _cry(rate_hz: int, rng: Random) -> Signal:
    n_samples = round(rng.uniform(0.75, 1.25) * rate_hz)
    height = rng.uniform(0.92, 1.08)
    pitch = height * texture.contour(
        n_samples, [(0, 370), (0.12, 440), (0.4, 470), (0.8, 410), (1, 320)]
    )
    pitch *= 1 + 0.02 * texture.drift(n_samples, rate_hz, rng, per_second=14)
    tone = texture.unit(texture.voice(pitch, rate_hz, n_harmonics=24, tilt_db=-1))
    tone *= 1 + 0.25 * texture.drift(n_samples, rate_hz, rng, per_second=60)
    breath = texture.noise(
        n_samples, rate_hz, rng, [(500, -12), (1500, 0), (5000, -3), (12000, -14)]
    )
    mouth = texture.shape(
        tone + 0.15 * breath,
        rate_hz,
        [
            (200, -20),
            (420, -3),
            (900, 4),
            (1300, 6),
            (1900, -2),
            (2600, -4),
            (3300, 2),
            (4200, -10),
            (7000, -18),
            (14000, -34),
        ],
    )
    loudness = texture.contour(n_samples, [(0, 0), (0.1, 0.7), (0.45, 1), (0.8, 0.5), (1, 0)])
    n_gasp = round(0.2 * rate_hz)
    gasp = texture.noise(n_gasp, rate_hz, rng, [(400, -14), (1400, 0), (3500, -2), (9000, -14)])
    gasp *= np.sin(np.linspace(0, np.pi, n_gasp)) * 0.1
    cry = texture.unit(mouth) * loudness
    return (0.1 * np.concatenate([cry, np.zeros(round(0.1 * rate_hz)), gasp])).astype(np.float32)


def person_sneeze(n_samples: int, rate_hz: int, rng: Random) -> Signal:
    """Return two sneezes: the breath drawn in, the burst, the voice that follows it."""
    total = np.zeros(n_samples, dtype=np.float32)
    for start in range(round(0.2 * rate_hz), n_samples, round(2.3 * rate_hz)):
        part = _sneeze(rate_hz, rng)[: n_samples - start]
        total[start : start + len(part)] += part
    return texture.room(total, rate_hz, rng, decay_s=0.12, wet=0.35)


def _sneeze(rate_hz: int, rng: Random) -> Signal:
    n_in, n_out = round(0.3 * rate_hz), round(0.36 * rate_hz)
    drawn_db = [(300, -16), (900, 0), (1800, -2), (4000, -8), (10000, -20)]
    drawn = texture.noise(n_in, rate_hz, rng, drawn_db)
    drawn *= texture.contour(n_in, [(0, 0), (0.4, 0.04), (0.8, 0.1), (1, 0)])
    burst_db = [(300, -14), (1000, -4), (2200, 3), (4500, 4), (7000, 0), (12000, -8), (20000, -20)]
    burst = texture.noise(n_out, rate_hz, rng, burst_db)
    burst *= texture.contour(n_out, [(0, 0), (0.12, 0.5), (0.3, 1), (0.6, 0.8), (0.8, 0.2), (1, 0)])
    pitch = texture.contour(n_out, [(0, 260), (0.25, 420), (0.6, 360), (1, 180)])
    voiced = texture.unit(texture.voice(pitch, rate_hz, n_harmonics=24, tilt_db=-3))
    mouth_db = [(150, -8), (400, 0), (900, 3), (1700, 0), (3000, -8), (8000, -26)]
    tone = texture.shape(voiced, rate_hz, mouth_db)
    tone *= texture.contour(n_out, [(0, 0), (0.08, 0.8), (0.25, 0.9), (0.55, 0.35), (1, 0)])
    return (0.2 * np.concatenate([drawn, burst + 0.7 * tone])).astype(np.float32)
