# SPDX-License-Identifier: MIT
"""`edge model test`: a model on a folder of clips whose class is known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np
import soxr

from edge.capture.decode import open_recording
from edge.dsp.logmel import LogMelPatch, log_mel, normalise
from edge.model.registry import METADATA_KEY
from edge.model.session import Session
from edge.model.trial import Heard, Rates, detection_error, try_out
from edge.service.build import open_model
from edge.service.rules import build_rules
from edge.service.trial_dataset import labels_of, read_dataset
from edge.types import Patch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.config.schema import Settings
    from edge.model.classifier import OnnxClassifier
    from edge.model.detector import Rule
    from edge.model.registry import ModelInfo
    from edge.model.trial import Curve, Result

    Float32 = NDArray[np.float32]

READ_SAMPLES: Final = 1 << 16


class Trial:
    """One trial: the model of the settings and their rules, on one data set.

    Parameters
    ----------
    folder : holds `meta.csv` (columns `flac` and `class`) and `audio/`.
    classes : labels that the user gives to classes.

    Raises `StorageError` for a data set that can't be used, `ModelError` for such a model.
    """

    def __init__(self, settings: Settings, folder: Path, classes: Mapping[str, str]) -> None:
        self._classifier = open_model(settings)
        self.model = self._classifier.info
        self.clips = read_dataset(folder)
        kinds = {one.kind for one in self.clips}
        self.labels = labels_of(kinds, self.model, read_aliases(self.model.path), classes)
        self.rates = rates_of(self.model, build_rules(settings, self.model))

    def run(self) -> Iterator[Heard]:
        """Give what is heard in each clip. Raises `DeviceError` for one that can't be read."""
        for clip in self.clips:
            label = self.labels[clip.kind]
            samples = read_clip(clip.path, self.model.front_end.rate_hz)
            yield Heard(
                name=clip.path.name,
                label=label,
                scores=score(self._classifier, samples),
                n_samples=samples.size,
                fitting=frozenset([label] if label else []),
            )

    def result(self, heard: Sequence[Heard]) -> Result:
        """Return the figures of all that was heard."""
        return try_out(heard, self.rates)

    def curves(self, heard: Sequence[Heard]) -> dict[str, Curve]:
        """Return what the threshold of each label trades."""
        return detection_error(heard, self.rates)


def rates_of(model: ModelInfo, rules: Mapping[str, Rule]) -> Rates:
    """Return how a model's patches follow each other, with these rules."""
    ears = model.front_end
    return Rates(
        labels=model.scored,
        rules=rules,
        rate_hz=ears.rate_hz,
        patch_samples=ears.patch_samples(model.patch_frames),
        hop_samples=model.patch_hop * ears.hop_length,
    )


def read_aliases(path: Path) -> dict[str, str]:
    """Return the model's labels by other names of their sounds, as its description has them."""
    description = json.loads(Session(path).metadata[METADATA_KEY])
    return {str(name): str(label) for name, label in description.get("aliases", {}).items()}


def read_clip(path: Path, rate_hz: int) -> Float32:
    """Return (n_samples,) float32: the mean of the channels, resampled where it is needed.

    Raises `DeviceError` if it is no recording.
    """
    decoder = open_recording(path)
    try:
        blocks = []
        while len(block := decoder.read(READ_SAMPLES, "float32")):
            blocks.append(block.mean(axis=1, dtype=np.float32))
    finally:
        decoder.close()
    samples: Float32 = np.nan_to_num(np.concatenate([*blocks, np.zeros(0, np.float32)]))
    if decoder.rate_hz == rate_hz:
        return samples
    return np.asarray(soxr.resample(samples, decoder.rate_hz, rate_hz), np.float32)


def score(classifier: OnnxClassifier, samples: Float32) -> Float32:
    """Return (n_patches, n_labels); what is shorter than a patch ends in silence."""
    length = classifier.info.front_end.patch_samples(classifier.info.patch_frames)
    samples = np.pad(samples, (0, max(length - samples.size, 0)))
    patches = _patches(samples, classifier.info)
    return np.stack([classifier.classify(Patch(0, 1, one)).values for one in patches])


def _patches(samples: Float32, model: ModelInfo) -> Iterator[Float32]:
    """Give the patches of a recording, as a stream would be cut."""
    ears = model.front_end
    if ears.by_patch:
        alone = LogMelPatch(ears)
        length = ears.patch_samples(model.patch_frames)
        for start in range(0, samples.size - length + 1, model.patch_hop * ears.hop_length):
            yield normalise(alone.process(samples[start : start + length]), ears)
        return
    frames = log_mel(samples, ears)
    for start in range(0, len(frames) - model.patch_frames + 1, model.patch_hop):
        yield normalise(frames[start : start + model.patch_frames].copy(), ears)
