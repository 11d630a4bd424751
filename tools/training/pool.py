# SPDX-License-Identifier: MIT
"""A pool of augmented patches per fold, each with what the teachers heard in it.

Made once and kept: the folds and the final training draw from the same pools.
A patch mixes only recordings of its own fold, so that a held-out fold stays unheard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import soxr

from edge.capture.scene import synthesise_scene
from tools.training.augment import at_pace, faster, level, microphone, mix, room
from tools.training.frontend import PATCH_SAMPLES, STUDENT, log_mel
from tools.training.recordings import LABELS, OTHER, RATE_HZ, Clip, load
from tools.training.synthetic import alarm, coloured_noise, counter_example, music
from tools.training.teacher import Teachers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

PATCHES_PER_CLIP: Final = {"official": 110, "class": 70, "other": 45}
LONG_S: Final = 12.0  # a clip that is longer gives more, in proportion
SYNTHETIC_PER_FOLD: Final = 2500
ALARMS_PER_FOLD: Final = 400
MUSIC_PER_FOLD: Final = 800
MIXED_SHARE: Final = 0.75
# Other scenes than those that the finished model is tried on.
SCENE_SEEDS: Final = range(1000, 1015)
SCENE_S: Final = 60.0
SCENE_RATE_HZ: Final = 48000
PATCHES_PER_SOUND: Final = 8
BATCH: Final = 32
STEP_SAMPLES: Final = RATE_HZ // 10
BEFORE_SAMPLES: Final = RATE_HZ // 2  # what still rings in a room
CUT_SAMPLES: Final = BEFORE_SAMPLES + PATCH_SAMPLES
# A window this far under the loudest of its clip is the pause between the sounds.
GATE_DB: Final = 30.0
SILENCE_RMS: Final = 1e-4
# A second sound counts as heard from here on; some dB lower nobody can say.
HEARD_SNR_DB: Final = 8.0
# What the teachers hear is so much cleaner than what the network does.
HELP_DB: Final = 6.0


@dataclass(frozen=True, slots=True)
class Pool:
    """Patches (n, frames, bands) float16; what is in them (n, n_labels), NaN where nobody knows.

    `features` (n, teacher.FEATURES) float16. `certain` patches are synthesised: the teachers
    have no say.
    """

    patches: NDArray[np.float16]
    labels: NDArray[np.float16]
    certain: NDArray[np.bool_]
    features: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Example:
    """A window as the network hears it, and as the teachers do."""

    window: Float32
    clean: Float32
    labels: NDArray[np.float16]
    certain: bool = False


class Heard:
    """A recording in memory."""

    def __init__(self, clip: Clip, samples: Float32) -> None:
        self.clip = clip
        self.samples = samples
        self._starts = audible_starts(samples, STEP_SAMPLES)

    def cut(self, rng: np.random.Generator) -> Float32:
        """Return some audible window with what comes before it."""
        start = int(rng.choice(self._starts)) + int(rng.integers(STEP_SAMPLES))
        size, pace = faster(CUT_SAMPLES, rng)
        return at_pace(_cut(self.samples, start, size, rng), pace, CUT_SAMPLES)


def make_pool(clips: list[Clip], models: Path, fold: int, seed: int) -> Pool:
    """Return the pool of one fold; some minutes of one core."""
    heard = [Heard(one, load(one)) for one in clips if one.fold == fold and one.trained]
    examples = _examples(heard, np.random.default_rng([seed, fold]))
    return collect(examples, Teachers(models), f"fold {fold}")


def make_scene_pool(models: Path, seed: int) -> Pool:
    """Return patches of the project's own scenes, so that the demonstration is understood.

    They are no recordings, so no fold has them: every network hears them.
    """
    return collect(_scenes(np.random.default_rng([seed, 0])), Teachers(models), "scenes")


def collect(examples: Iterable[Example], teachers: Teachers, name: str) -> Pool:
    asked: list[Example] = []
    features: list[NDArray[np.float16]] = []
    patches, labels, certain = [], [], []
    for example in examples:
        patches.append(log_mel(example.window, STUDENT.front_end).astype(np.float16))
        labels.append(example.labels)
        certain.append(example.certain)
        asked.append(example)
        if len(asked) == BATCH:
            features.append(_ask(teachers, asked))
            asked.clear()
            if len(features) % 40 == 0:
                print(f"{name}: {len(patches)} patches", flush=True)
    if asked:
        features.append(_ask(teachers, asked))
    return Pool(np.stack(patches), np.stack(labels), np.array(certain), np.concatenate(features))


def audible_starts(samples: Float32, step: int) -> NDArray[np.int64]:
    """Return where patches begin that are neither silent nor a pause of the clip."""
    starts = np.arange(0, max(samples.size - PATCH_SAMPLES, 0) + 1, step)
    power = np.array([np.square(samples[s : s + PATCH_SAMPLES]).mean() for s in starts])
    gate = max(SILENCE_RMS**2, float(power.max()) * 10.0 ** (-GATE_DB / 10.0))
    audible: NDArray[np.int64] = starts[power >= min(gate, float(power.max()))].astype(np.int64)
    return audible


def _ask(teachers: Teachers, examples: list[Example]) -> NDArray[np.float16]:
    return teachers.hear(np.stack([one.clean for one in examples])).astype(np.float16)


def _examples(heard: list[Heard], rng: np.random.Generator) -> Iterator[Example]:
    for one in heard:
        for _ in range(_count(one.clip, one.samples)):
            yield mixed(one.cut(rng), _labels(one.clip), heard, rng)
    for _ in range(SYNTHETIC_PER_FOLD):
        window = level(counter_example(PATCH_SAMPLES, rng), rng)
        yield Example(window, window, _only(OTHER), certain=True)
    for _ in range(ALARMS_PER_FOLD):
        beeps = room(np.pad(alarm(PATCH_SAMPLES, rng), (BEFORE_SAMPLES, 0)), rng)
        yield mixed(beeps, _only(LABELS.index("alarm")), heard, rng)
    for _ in range(MUSIC_PER_FOLD):
        tune = room(music(CUT_SAMPLES, rng), rng)
        yield mixed(tune, _only(LABELS.index("music")), heard, rng)


def _scenes(rng: np.random.Generator) -> Iterator[Example]:
    for seed in SCENE_SEEDS:
        samples, sounds = synthesise_scene(SCENE_S, SCENE_RATE_HZ, seed)
        samples = soxr.resample(samples, SCENE_RATE_HZ, RATE_HZ).astype(np.float32)
        for sound in sounds:
            latest = sound.offset_s * RATE_HZ - PATCH_SAMPLES
            for _ in range(PATCHES_PER_SOUND):
                start = int(rng.uniform(sound.onset_s * RATE_HZ, latest))
                window = level(samples[start : start + PATCH_SAMPLES], rng)
                yield Example(window, window, _only(LABELS.index(sound.label)))


def mixed(
    samples: Float32,
    labels: NDArray[np.float16],
    heard: list[Heard],
    rng: np.random.Generator,
) -> Example:
    """Return a cut with its lead, in a room, over something else, through a microphone."""
    window = room(samples, rng)[BEFORE_SAMPLES:]
    clean = samples[BEFORE_SAMPLES:]
    if rng.random() < MIXED_SHARE:
        snr_db = rng.uniform(-3.0, 25.0)
        other, others = _background(heard, rng)
        window, clean = mix(window, other, snr_db), mix(clean, other, snr_db + HELP_DB)
        labels = _joined(labels, others, snr_db)
    return Example(level(microphone(window, rng), rng), clean, labels)


def _background(
    heard: list[Heard], rng: np.random.Generator
) -> tuple[Float32, NDArray[np.float16]]:
    if rng.random() < 0.35:
        return coloured_noise(PATCH_SAMPLES, rng.uniform(-0.3, 2.0), rng), _only(OTHER)
    one = heard[int(rng.integers(len(heard)))]
    return one.cut(rng)[BEFORE_SAMPLES:], _labels(one.clip)


def _joined(
    own: NDArray[np.float16], other: NDArray[np.float16], snr_db: float
) -> NDArray[np.float16]:
    """Return what is in a mix: the quieter sound may be heard or not."""
    if snr_db > HEARD_SNR_DB:
        other = np.where(other > 0.0, np.nan, other)
    # NaN where one of them is not known, and 1 where one of them is heard.
    joined = np.where((own == 1.0) | (other == 1.0), 1.0, own + other)
    joined[OTHER] = own[OTHER] if own[OTHER] == 0.0 or other[OTHER] == 1.0 else 0.0
    if own[OTHER] == 1.0 and snr_db > HEARD_SNR_DB and other[OTHER] == 0.0:
        joined[OTHER] = np.nan
    return joined.astype(np.float16)


def _labels(clip: Clip) -> NDArray[np.float16]:
    labels = _only(clip.label)
    labels[list(clip.unsure)] = np.nan
    return labels


def _only(label: int) -> NDArray[np.float16]:
    labels = np.zeros(len(LABELS), np.float16)
    labels[label] = 1.0
    return labels


def _count(clip: Clip, samples: Float32) -> int:
    kind = "official" if clip.official else "other" if clip.label == OTHER else "class"
    return round(PATCHES_PER_CLIP[kind] * max(samples.size / (LONG_S * RATE_HZ), 1.0))


def _cut(samples: Float32, start: int, size: int, rng: np.random.Generator) -> Float32:
    """Return a window with what comes before it; what is shorter lies anywhere in it."""
    spare = max(size - BEFORE_SAMPLES - samples.size, 0)
    samples = np.pad(samples, (BEFORE_SAMPLES + int(rng.integers(spare + 1)), spare))
    cut = samples[start : start + size]
    return np.pad(cut, (0, size - cut.size))
