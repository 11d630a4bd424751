# SPDX-License-Identifier: MIT
"""The finished model file on a scene of synthesised sounds, which it was never trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soxr

from edge.capture.scene import synthesise_scene
from edge.dsp.logmel import log_mel
from edge.model.classifier import OnnxClassifier
from edge.model.detector import Detector
from edge.types import Patch
from tools.training.evaluate import HOP_SAMPLES, rules
from tools.training.frontend import PATCH_SAMPLES, STUDENT
from tools.training.recordings import RATE_HZ

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.types import Event

SCENE_RATE_HZ = 48000
SCENE_S = 60.0
SCENES = range(10)


def recognised(model: Path) -> dict[str, tuple[int, int]]:
    """Return per label in how many sections an event of it began, and how many there were."""
    counts: dict[str, tuple[int, int]] = {}
    for seed in SCENES:
        samples, sounds = synthesise_scene(SCENE_S, SCENE_RATE_HZ, seed)
        onsets = _onsets(model, soxr.resample(samples, SCENE_RATE_HZ, RATE_HZ))
        for sound in sounds:
            # An event may be dated one patch early: its first hit may hear the very beginning.
            first, last = sound.onset_s * RATE_HZ - PATCH_SAMPLES, sound.offset_s * RATE_HZ
            heard = any(
                event.label == sound.label and first <= event.onset_index < last for event in onsets
            )
            right, total = counts.get(sound.label, (0, 0))
            counts[sound.label] = (right + heard, total + 1)
    return counts


def _onsets(model: Path, samples: NDArray[np.float32]) -> list[Event]:
    classifier = OnnxClassifier(model)
    info = classifier.info
    detector = Detector(info.labels, rules(info.thresholds), RATE_HZ, "scene")
    frames = log_mel(samples.astype(np.float32), info.front_end)
    events = []
    for k, start in enumerate(range(0, len(frames) - info.patch_frames + 1, STUDENT.patch_hop)):
        patch = Patch(k * HOP_SAMPLES, PATCH_SAMPLES, frames[start : start + info.patch_frames])
        events += detector.update(classifier.classify(patch))
    return [event for event in events if event.edge == "onset"]
