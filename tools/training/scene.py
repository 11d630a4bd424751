# SPDX-License-Identifier: MIT
"""The finished model file on synthesised sound: scenes of the project's own, and noise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import soxr

from edge.capture.scene import synthesise_scene
from edge.dsp.logmel import log_mel
from edge.model.classifier import OnnxClassifier
from edge.model.detector import Detector
from edge.types import Patch
from tools.training.choice import HOP_SAMPLES, rules
from tools.training.frontend import PATCH_SAMPLES, STUDENT
from tools.training.noise import NOISES, STRETCH_S, steady
from tools.training.recordings import RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.detector import Rule
    from edge.types import Event, Scores

SCENE_RATE_HZ: Final = 48000
SCENE_S: Final = 60.0
SCENES: Final = range(10)
NOISE_STRETCHES: Final = 30  # per kind
NOISE_HOURS: Final = NOISE_STRETCHES * STRETCH_S / 3600


@dataclass(frozen=True, slots=True)
class Mistaken:
    """Events per label that noise makes: by the rules of the model, and were one hit enough."""

    events: Counter[str]
    hasty: Counter[str]


def recognised(model: Path) -> dict[str, tuple[int, int]]:
    """Return per label in how many sections an event of it began, and how many there were.

    None of the scenes was ever trained on.
    """
    classifier = OnnxClassifier(model)
    own = rules(classifier.info.thresholds, classifier.info.min_hits)
    counts: dict[str, tuple[int, int]] = {}
    for seed in SCENES:
        samples, sounds = synthesise_scene(SCENE_S, SCENE_RATE_HZ, seed)
        scores = _listen(classifier, soxr.resample(samples, SCENE_RATE_HZ, RATE_HZ))
        onsets = _onsets(scores, classifier, own)
        for sound in sounds:
            # An event may be dated one patch early: its first hit may hear the very beginning.
            first, last = sound.onset_s * RATE_HZ - PATCH_SAMPLES, sound.offset_s * RATE_HZ
            heard = any(
                event.label == sound.label and first <= event.onset_index < last for event in onsets
            )
            right, total = counts.get(sound.label, (0, 0))
            counts[sound.label] = (right + heard, total + 1)
    return counts


def mistaken(model: Path, seed: int) -> dict[str, Mistaken]:
    """Return what `NOISE_HOURS` of each kind of noise are mistaken for."""
    classifier = OnnxClassifier(model)
    own = rules(classifier.info.thresholds, classifier.info.min_hits)
    hasty = rules(classifier.info.thresholds, {})
    rng = np.random.default_rng([seed, 0, 2])  # neither trained nor chosen on
    found = {}
    for kind in NOISES:
        heard = [_listen(classifier, steady(kind, rng)) for _ in range(NOISE_STRETCHES)]
        by_rule = [
            Counter(event.label for one in heard for event in _onsets(one, classifier, rule))
            for rule in (own, hasty)
        ]
        found[kind] = Mistaken(*by_rule)
    return found


def _listen(classifier: OnnxClassifier, samples: NDArray[np.float32]) -> list[Scores]:
    info = classifier.info
    frames = log_mel(samples.astype(np.float32), info.front_end)
    starts = range(0, len(frames) - info.patch_frames + 1, STUDENT.patch_hop)
    return [
        classifier.classify(
            Patch(k * HOP_SAMPLES, PATCH_SAMPLES, frames[start : start + info.patch_frames])
        )
        for k, start in enumerate(starts)
    ]


def _onsets(
    heard: Iterable[Scores], classifier: OnnxClassifier, own: Mapping[str, Rule]
) -> list[Event]:
    detector = Detector(classifier.info.labels, own, RATE_HZ, "scene")
    events = [event for scores in heard for event in detector.update(scores)]
    return [event for event in events if event.edge == "onset"]
