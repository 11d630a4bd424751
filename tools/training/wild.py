# SPDX-License-Identifier: MIT
"""A pool per fold of what nobody named: recordings bent out of shape, and textures.

The teachers alone say what they are like. What a network imitates of ever other sounds it does
not have to guess from the few recordings of a label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tools.training.augment import at_pace
from tools.training.pool import CUT_SAMPLES, Heard, collect, mixed
from tools.training.recordings import LABELS, OTHER, RATE_HZ, load
from tools.training.teacher import Teachers
from tools.training.textures import texture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from tools.training.pool import Example, Pool
    from tools.training.recordings import Clip

    Float32 = NDArray[np.float32]

PER_FOLD: Final = 10000
TEXTURE_SHARE: Final = 0.4
LEAST_PACE: Final = 0.5
ENVELOPE_SAMPLES: Final = RATE_HZ // 100


def make_wild_pool(clips: list[Clip], models: Path, fold: int, seed: int) -> Pool:
    """Return the pool of one fold; nothing in it is of another."""
    heard = [Heard(one, load(one)) for one in clips if one.fold == fold and one.trained]
    rng = np.random.default_rng([seed, fold, 2])
    return collect(_examples(heard, rng), Teachers(models), f"fold {fold}, wild")


def _examples(heard: list[Heard], rng: np.random.Generator) -> Iterator[Example]:
    nobody_knows = np.full(len(LABELS), np.nan, np.float16)
    for _ in range(PER_FOLD):
        made_up = rng.random() < TEXTURE_SHARE
        samples = 0.1 * texture(CUT_SAMPLES, rng) if made_up else _bent(heard, rng)
        example = mixed(samples, nobody_knows, heard, rng)
        # Whether it is "other" can't be known either, whatever else is in the mix.
        example.labels[OTHER] = np.nan
        yield example


def _bent(heard: list[Heard], rng: np.random.Generator) -> Float32:
    """Return a cut at any pace, now and then backwards or with the envelope of another."""
    pace = float(np.exp(rng.uniform(np.log(LEAST_PACE), -np.log(LEAST_PACE))))
    samples = np.concatenate([_any(heard, rng).cut(rng) for _ in range(2)])
    samples = at_pace(samples[: round(CUT_SAMPLES * pace)], pace, CUT_SAMPLES)
    if rng.random() < 0.25:
        samples = samples[::-1].copy()
    if rng.random() < 0.25:
        samples = samples * _envelope(_any(heard, rng).cut(rng))
    return samples


def _any(heard: list[Heard], rng: np.random.Generator) -> Heard:
    return heard[int(rng.integers(len(heard)))]


def _envelope(samples: Float32) -> Float32:
    """Return (n_samples,) 0 to 1: how a sound swells, of which only that is taken."""
    window = np.hanning(ENVELOPE_SAMPLES)
    swell = np.convolve(np.abs(samples), window, mode="same")
    return np.asarray(swell / max(float(swell.max()), 1e-9), np.float32)
