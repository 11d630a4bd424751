# SPDX-License-Identifier: MIT
"""A model with a front end of its own kind runs by its description alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.dsp.spec import CoreSpec
from edge.model.classifier import OnnxClassifier
from edge.model.detector import Detector
from edge.model.frontend import PRESETS
from edge.model.grouping import audioset_groups
from edge.model.registry import describe, read_labels
from edge.pipeline import Pipeline
from edge.service.designs import design
from edge.types import Patch, Period, StreamFormat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.data
MN04 = PRESETS["mn04"]


@pytest.fixture(scope="module")
def mn04(data: Path, tmp_path_factory: pytest.TempPathFactory) -> OnnxClassifier:
    labels = read_labels(data / "models" / "audioset_class_labels_indices.csv")
    info = describe(
        data / "models" / "mn04_as_fp32.onnx",
        tmp_path_factory.mktemp("mn04") / "mn04.onnx",
        labels=labels,
        front_end=MN04.front_end,
        patch_frames=MN04.patch_frames,
        patch_hop=MN04.patch_hop,
        bands_first=MN04.bands_first,
        name="mn04",
        version="1",
        licence="MIT",
        embedding_output="embedding",
        groups=audioset_groups(labels),
    )
    return OnnxClassifier(info)


@pytest.fixture(scope="module")
def reference(data: Path) -> Mapping[str, NDArray[np.float32]]:
    with np.load(data / "reference" / "mn04_ref.npz") as saved:
        return dict(saved)


def patches_of(samples: NDArray[np.int16], rate_hz: int) -> list[Patch]:
    """Return what the real-time path makes of a recording."""
    path = Pipeline(
        stream=StreamFormat(rate_hz, 1, 1024, "S16_LE"),
        design=design(CoreSpec(rate_hz, MN04.front_end.rate_hz, ())),
        front_end=MN04.front_end,
        patch_frames=MN04.patch_frames,
        patch_hop=MN04.patch_hop,
        detector=Detector((), {}, rate_hz, "t"),
        bands=False,
    )
    out: list[object] = []
    for at in range(0, len(samples), 1024):
        out += path.process(Period(at, samples[at : at + 1024, None], 0.0))
    return [one for one in [*out, *path.flush()] if isinstance(one, Patch)]


def test_the_real_time_path_gives_the_scores_of_the_original(
    mn04: OnnxClassifier, reference: Mapping[str, NDArray[np.float32]]
) -> None:
    """12 recordings of 3 s at the model's own rate: log-Mel, scores and embedding."""
    names = ("wave_i16", "log_mel", "scores", "embedding")
    for wave, frames, scores, embedding in zip(*(reference[n] for n in names), strict=True):
        (patch,) = patches_of(wave, 32000)
        assert (patch.sample_index, patch.n_samples) == (0, 96000)
        np.testing.assert_allclose(patch.frames.T, frames, atol=1e-4)
        heard = mn04.classify(patch)
        np.testing.assert_allclose(heard.values[:527], scores, atol=1e-4)
        assert heard.embedding is not None
        np.testing.assert_allclose(heard.embedding, embedding, atol=1e-4)


@pytest.mark.parametrize("rate_hz", [48000, 44100, 16000])
def test_a_card_of_another_rate_is_heard_alike(
    mn04: OnnxClassifier, reference: Mapping[str, NDArray[np.float32]], rate_hz: int
) -> None:
    """Faster or slower than the model: the best label stays where the band allows it."""
    import soxr

    same = 0
    for wave, scores in zip(reference["wave_i16"], reference["scores"], strict=True):
        at_card = soxr.resample(np.concatenate((wave, wave[-6400:])), 32000, rate_hz)
        patch = patches_of(at_card, rate_hz)[0]
        assert patch.sample_index == 0
        assert patch.n_samples == 3 * rate_hz
        same += mn04.classify(patch).values[:527].argmax() == scores.argmax()
    assert same >= (12 if rate_hz > 32000 else 8)


def test_patches_overlap_and_each_is_the_patch_alone(
    reference: Mapping[str, NDArray[np.float32]],
) -> None:
    long = np.concatenate((reference["wave_i16"][0], reference["wave_i16"][1]))
    patches = patches_of(long, 32000)
    assert [patch.sample_index for patch in patches] == [0, 32000, 64000, 96000]
    for patch in patches:
        alone = patches_of(long[patch.sample_index :][:96000], 32000)[0]
        np.testing.assert_allclose(patch.frames, alone.frames, atol=1e-4)


def test_silence_is_heard_as_numbers(mn04: OnnxClassifier) -> None:
    heard = mn04.classify(patches_of(np.zeros(96000, np.int16), 32000)[0])
    assert heard.valid
