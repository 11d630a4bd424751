# SPDX-License-Identifier: MIT
"""A pool of augmented patches, each with what the teacher heard in it.

Made once and kept: the folds and the final training draw from the same pool.
A patch mixes only recordings of its own fold, so that a held-out fold stays unheard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import onnxruntime

from tools.training.frontend import PATCH_SAMPLES, STUDENT, TEACHER, log_mel
from tools.training.recordings import FOLDS, OTHER, RATE_HZ, Clip, load
from tools.training.synthetic import coloured_noise, counter_example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

PATCHES_PER_CLIP: Final = {"official": 84, "class": 36, "other": 20}
SYNTHETIC_PER_FOLD: Final = 1000
# A window this far under the loudest of its clip is the pause between the sounds.
GATE_DB: Final = 30.0
SILENCE_RMS: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Pool:
    """Patches (n, frames, bands) float16, label and fold of each, teacher's embedding (n, 1024).

    `certain` are synthesised: what is in them is known, and the teacher has no say.
    """

    patches: NDArray[np.float16]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    certain: NDArray[np.bool_]
    embeddings: NDArray[np.float16]


def make_pool(clips: list[Clip], teacher: Path, seed: int) -> Pool:
    """Return the pool of these clips; some minutes of one core."""
    rng = np.random.default_rng(seed)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(teacher), options, providers=["CPUExecutionProvider"]
    )
    embedding_name = next(o.name for o in session.get_outputs() if o.shape[-1] == 1024)
    input_name = session.get_inputs()[0].name
    patches, facts, embeddings = [], [], []
    for window, *fact in _windows(clips, rng):
        patches.append(log_mel(window, STUDENT.front_end).astype(np.float16))
        # The teacher hears no level either: it gets every window at the same peak.
        loud = window * np.float32(0.5 / max(float(np.abs(window).max()), 1e-3))
        heard = log_mel(loud, TEACHER.front_end)
        embedding = session.run([embedding_name], {input_name: heard[None]})[0][0]
        embeddings.append(embedding.astype(np.float16))
        facts.append(fact)
        if len(facts) % 1000 == 0:
            print(f"\rpatches {len(facts)}", end="", flush=True)
    print()
    labels, folds, certain = np.array(facts).T
    return Pool(np.stack(patches), labels, folds, certain.astype(bool), np.stack(embeddings))


def audible_starts(samples: NDArray[np.float32], step: int) -> NDArray[np.int64]:
    """Return where patches begin that are neither silent nor a pause of the clip."""
    starts = np.arange(0, max(samples.size - PATCH_SAMPLES, 0) + 1, step)
    power = np.array([np.square(samples[s : s + PATCH_SAMPLES]).mean() for s in starts])
    gate = max(SILENCE_RMS**2, float(power.max()) * 10.0 ** (-GATE_DB / 10.0))
    audible: NDArray[np.int64] = starts[power >= min(gate, float(power.max()))].astype(np.int64)
    return audible


def _windows(
    clips: list[Clip], rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.float32], int, int, bool]]:
    """Yield windows with label, fold and whether they are synthesised."""
    heard = [(clip, load(clip)) for clip in clips]
    background = {f: [s for c, s in heard if c.fold == f and c.label == OTHER] for f in FOLDS}
    for clip, samples in heard:
        starts = audible_starts(samples, RATE_HZ // 10)
        for _ in range(_count(clip)):
            window = _cut(samples, int(rng.choice(starts)) + int(rng.integers(RATE_HZ // 10)))
            if clip.label == OTHER or rng.random() < 0.3:
                yield _level(window, rng), clip.label, clip.fold, False
                continue
            others = background[clip.fold]
            noise = _background(others[int(rng.integers(len(others)))], rng)
            mixed = _mix(window, noise, rng.uniform(0.0, 25.0))
            yield _level(mixed, rng), clip.label, clip.fold, False
    for fold in FOLDS:
        for _ in range(SYNTHETIC_PER_FOLD):
            yield _level(counter_example(PATCH_SAMPLES, rng), rng), OTHER, fold, True


def _count(clip: Clip) -> int:
    kind = "official" if clip.official else "other" if clip.label == OTHER else "class"
    return PATCHES_PER_CLIP[kind]


def _cut(samples: NDArray[np.float32], start: int) -> NDArray[np.float32]:
    window = samples[start : start + PATCH_SAMPLES]
    padded: NDArray[np.float32] = np.pad(window, (0, PATCH_SAMPLES - window.size))
    return padded


def _background(samples: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    if rng.random() < 0.5:
        return coloured_noise(PATCH_SAMPLES, rng.uniform(0.0, 2.0), rng)
    return _cut(samples, int(rng.integers(max(samples.size - PATCH_SAMPLES, 0) + 1)))


def _mix(
    window: NDArray[np.float32], noise: NDArray[np.float32], snr_db: float
) -> NDArray[np.float32]:
    power = float(np.square(window).mean())
    noise_power = max(float(np.square(noise).mean()), 1e-12)
    return window + noise * np.float32(np.sqrt(power / noise_power * 10.0 ** (-snr_db / 10.0)))


def _level(window: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the window as any microphone might deliver it: +-20 dB, clipped at full scale."""
    gain = np.float32(10.0 ** (rng.uniform(-20.0, 20.0) / 20.0))
    return np.asarray(np.clip(window * gain, -1.0, 1.0), np.float32)
