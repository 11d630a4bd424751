# SPDX-License-Identifier: MIT
"""Hours in which nothing of note is heard: speech, music, ambience and noise, one after the other.

Made of the recordings of one fold, each at a level, in a room and through a microphone of
chance, with a second one under it now and then, and of synthesised noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tools.training.augment import microphone, mix, room
from tools.training.recordings import RATE_HZ
from tools.training.synthetic import coloured_noise, hum

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from tools.training.recordings import Clip

    Float32 = NDArray[np.float32]

STRETCH_S: Final = 60
STRETCHES: Final = 20  # of each kind and fold
# What may be heard in a kind: an event of it is no mistake.
LABELS_OF_STREAM: Final[Mapping[str, tuple[str, ...]]] = {
    "speech": ("speech",),
    "music": ("music",),
    "ambience": ("bird", "footsteps", "insect", "music", "speech"),
    "mixed": ("bird", "footsteps", "insect", "music", "speech"),
    "noise": (),
    "hum": (),
}
SYNTHESISED: Final = ("noise", "hum")
RECORDED: Final = ("speech", "music", "ambience")


def stretches(
    recordings: Sequence[tuple[Clip, Float32]], rng: np.random.Generator
) -> Iterator[tuple[str, Float32]]:
    """Give the kind and the samples of each minute."""
    sounds = {
        kind: [samples for clip, samples in recordings if clip.kind == kind] for kind in RECORDED
    }
    for kind in LABELS_OF_STREAM:
        for _ in range(STRETCHES):
            samples = _minute(kind, sounds, rng)
            if kind not in SYNTHESISED:
                samples = microphone(room(samples, rng), rng)
            yield kind, _at_some_level(samples, rng)


def _minute(
    kind: str, sounds: Mapping[str, Sequence[Float32]], rng: np.random.Generator
) -> Float32:
    size = STRETCH_S * RATE_HZ
    match kind:
        case "noise":
            return coloured_noise(size, rng.uniform(-0.5, 2.5), rng)
        case "hum":
            return hum(size, rng) + np.float32(0.01) * coloured_noise(size, rng.uniform(0, 2), rng)
        case "mixed":
            first, second = rng.choice(RECORDED, 2, replace=False)
            under = _joined(sounds[second], size, rng)
            return mix(_joined(sounds[first], size, rng), under, rng.uniform(-5.0, 15.0))
    recorded = _joined(sounds[kind], size, rng)
    return mix(recorded, coloured_noise(size, rng.uniform(0, 2), rng), rng.uniform(10.0, 50.0))


def _joined(sounds: Sequence[Float32], size: int, rng: np.random.Generator) -> Float32:
    """Return recordings one after the other, each at its level, with pauses between them."""
    joined = np.zeros(size, np.float32)
    at = 0
    while at < size:
        one = sounds[int(rng.integers(len(sounds)))]
        one = one * np.float32(0.05 / max(float(one.std()), 1e-5) * 10.0 ** rng.uniform(-0.4, 0.4))
        part = one[: size - at]
        joined[at : at + part.size] = part
        at += part.size + int(rng.uniform(0.0, 1.0) * RATE_HZ)
    return joined


def _at_some_level(samples: Float32, rng: np.random.Generator) -> Float32:
    # RMS of -60 to -16 dBFS: from a quiet room to right at the microphone.
    rms = 10.0 ** rng.uniform(-3.0, -0.8)
    gain = np.float32(rms / max(float(samples.std()), 1e-6))
    return np.asarray(np.clip(samples * gain, -1.0, 1.0), np.float32)
