# SPDX-License-Identifier: MIT
"""The finished model file on synthesised scenes of the project's own: others than it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import soxr

from edge.capture.scene import synthesise_scene
from edge.model.classifier import OnnxClassifier
from edge.model.detector import Detector
from edge.service.trial import rates_of, score
from edge.types import Scores
from tools.training.choice import Choice, rules
from tools.training.frontend import PATCH_SAMPLES
from tools.training.recordings import RATE_HZ

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.trial import Rates
    from edge.types import Event

SCENE_RATE_HZ: Final = 48000
SCENE_S: Final = 60.0
SCENES: Final = range(10)


def recognised(model: Path) -> dict[str, tuple[int, int]]:
    """Return per label in how many sections an event of it began, and how many there were."""
    classifier = OnnxClassifier(model)
    info = classifier.info
    rates = rates_of(info, rules(Choice(dict(info.thresholds), dict(info.min_hits))))
    counts: dict[str, tuple[int, int]] = {}
    for seed in SCENES:
        samples, sounds = synthesise_scene(SCENE_S, SCENE_RATE_HZ, seed)
        heard = soxr.resample(samples, SCENE_RATE_HZ, RATE_HZ).astype(np.float32)
        events = _onsets(score(classifier, heard), rates)
        for sound in sounds:
            # An event may be dated one patch early: its first hit may hear the very beginning.
            first, last = sound.onset_s * RATE_HZ - PATCH_SAMPLES, sound.offset_s * RATE_HZ
            found = any(
                event.label == sound.label and first <= event.onset_index < last for event in events
            )
            right, total = counts.get(sound.label, (0, 0))
            counts[sound.label] = (right + found, total + 1)
    return counts


def _onsets(scores: NDArray[np.float32], rates: Rates) -> list[Event]:
    detector = Detector(rates.labels, rates.rules, RATE_HZ, "scene")
    patches = (
        Scores(k * rates.hop_samples, rates.patch_samples, values)
        for k, values in enumerate(scores)
    )
    events = [event for patch in patches for event in detector.update(patch)]
    return [event for event in events if event.edge == "onset"]
