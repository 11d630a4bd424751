# SPDX-License-Identifier: MIT
"""What a finished model file makes of clips, of clips in noise, and of hours of other sounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from edge.model.classifier import OnnxClassifier
from edge.model.trial import Heard
from edge.service.trial import score
from tools.training.augment import mix
from tools.training.recordings import LABELS, OTHER, RATE_HZ, load
from tools.training.stream import LABELS_OF_STREAM, stretches
from tools.training.synthetic import coloured_noise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tools.training.recordings import Clip

Kind = Literal["official", "noisy", "field", "stream"]

SNR_DB: Final = 5.0
SLOPES: Final = (0.0, 1.0)  # white and pink, in turns


@dataclass(frozen=True, slots=True)
class Unseen:
    """Something that a network hears that had nothing of its fold to learn from."""

    heard: Heard
    kind: Kind
    fold: int


def listen(model: Path, clips: Sequence[Clip], fold: int, seed: int) -> Iterator[Unseen]:
    """Give everything of a fold that this model makes something of."""
    classifier = OnnxClassifier(model)
    rng = np.random.default_rng([seed, fold, 1])  # not the numbers of the training
    own = [(clip, load(clip)) for clip in clips if clip.fold == fold]
    for number, (clip, samples) in enumerate(own):
        kind: Kind = "official" if clip.official else "field"
        yield _hear(classifier, clip, samples, kind)
        if clip.official:
            noise = coloured_noise(samples.size, SLOPES[number % 2], rng)
            yield _hear(classifier, clip, mix(samples, noise, SNR_DB), "noisy")
    for name, samples in stretches(own, rng):
        fitting = frozenset(LABELS_OF_STREAM[name])
        heard = Heard(name, None, score(classifier, samples), samples.size, fitting)
        yield Unseen(heard, "stream", fold)


def _hear(
    classifier: OnnxClassifier, clip: Clip, samples: NDArray[np.float32], kind: Kind
) -> Unseen:
    label = None if clip.label == OTHER else LABELS[clip.label]
    fitting = frozenset([*([label] if label else []), *(LABELS[one] for one in clip.unsure)])
    heard = Heard(clip.path.name, label, score(classifier, samples), samples.size, fitting)
    return Unseen(heard, kind, clip.fold)


def seconds(unseen: Sequence[Unseen]) -> float:
    """Return how much sound that is."""
    return sum(one.heard.n_samples for one in unseen) / RATE_HZ
