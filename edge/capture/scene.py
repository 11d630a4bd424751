# SPDX-License-Identifier: MIT
"""A believable scene without a recording: sounds that a monitor is asked to know.

One after the other in a quiet room, in an order that starts with the steady ones, so
that also a short scene has what a classifier finds easy.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.capture.sound import creature, machine, texture, weather

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.capture.sound.texture import Signal

SOUNDS: Final[dict[str, Callable[[int, int, np.random.Generator], Signal]]] = {
    "rain": weather.rain,
    "clock_tick": machine.clock_tick,
    "helicopter": machine.helicopter,
    "fire_crackling": weather.fire_crackling,
    "sea_waves": weather.sea_waves,
    "dog_bark": creature.dog_bark,
    "baby_cry": creature.baby_cry,
    "chainsaw": machine.chainsaw,
    "rooster": creature.rooster,
    "person_sneeze": creature.person_sneeze,
}
"""By the labels of ESC-10, in the order of the scene."""

PAUSE_S: Final = 0.8
FADE_S: Final = 0.15
SHORTEST_S: Final = 1.5
"""Less of a sound than this at the end of the scene isn't begun."""


@dataclass(frozen=True, slots=True)
class SceneSound:
    """What sounds from `onset_s` to `offset_s`, by its ESC-10 label."""

    label: str
    onset_s: float
    offset_s: float


def synthesise_scene(
    seconds: float, rate_hz: int = 48000, seed: int = 0
) -> tuple[Signal, list[SceneSound]]:
    """Return (n_samples,) float32 and what is to be heard in it, by onset.

    Same seed, same samples. 30 s at 48 kHz take about a second of CPU.
    """
    rng = np.random.default_rng(seed)
    n_samples = round(seconds * rate_hz)
    scene = 0.0015 * texture.noise(
        n_samples, rate_hz, rng, [(30, 0), (150, -8), (2000, -20), (20000, -32)]
    )
    sounds = []
    at_s = PAUSE_S / 2
    for label in cycle(SOUNDS):
        offset_s = min(at_s + rng.uniform(4.6, 5.6), seconds)
        if offset_s - at_s < SHORTEST_S:
            break
        start, stop = round(at_s * rate_hz), min(round(offset_s * rate_hz), n_samples)
        scene[start:stop] += _faded(SOUNDS[label](stop - start, rate_hz, rng), rate_hz)
        sounds.append(SceneSound(label, at_s, offset_s))
        at_s = offset_s + PAUSE_S
    return np.clip(scene, -1.0, 1.0), sounds


def _faded(signal: Signal, rate_hz: int) -> Signal:
    ramp = np.sin(np.linspace(0, np.pi / 2, round(FADE_S * rate_hz), dtype=np.float32)) ** 2
    signal[: len(ramp)] *= ramp
    signal[-len(ramp) :] *= ramp[::-1]
    return signal
