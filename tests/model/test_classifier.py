# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from edge.config.load import load_defaults
from edge.dsp.logmel import log_mel
from edge.dsp.spec import LogMelSpec
from edge.errors import ModelError
from edge.model.classifier import OnnxClassifier
from edge.model.detector import Detector
from edge.model.frontend import PRESETS
from edge.model.registry import describe, read_labels, shipped_model
from edge.service.rules import build_rules
from edge.types import Patch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.types import Event

RATE_HZ = 16000


def _open(path: Path, **changes: object) -> OnnxClassifier:
    wanted: dict[str, Any] = {
        "labels": ["a", "b", "c"],
        "front_end": LogMelSpec(),
        "patch_frames": 96,
        "patch_hop": 48,
        "name": "test",
        "version": "1",
    }
    return OnnxClassifier(describe(path, path, **(wanted | changes)))


def _patch(first: float = 0.0, sample_index: int = 0) -> Patch:
    frames = np.zeros((96, 64), np.float32)
    frames[0, 0] = first
    return Patch(sample_index, 15600, frames)


@pytest.mark.parametrize(
    "shape",
    [
        ("N", 96, 64),
        (1, 96, 64),
        (1, "frames", 64),
        (1, 1, 96, 64),
        ("N", 1, 96, 64),
        (1, 96, 64, 1),
        ("N", "T", "F", "C"),
    ],
)
def test_every_common_layout_is_heard(
    make_model: Callable[..., Path], shape: tuple[int | str, ...]
) -> None:
    scores = _open(make_model(shape=shape)).classify(_patch(0.5, sample_index=480))
    assert scores.values == pytest.approx([0.6, 0.7, 0.8])
    assert scores.values.dtype == np.float32
    assert (scores.sample_index, scores.n_samples) == (480, 15600)
    assert scores.embedding is None


def test_the_embedding_comes_along_when_named(make_model: Callable[..., Path]) -> None:
    scores = _open(make_model(), embedding_output="first").classify(_patch(0.25))
    assert scores.embedding == pytest.approx([0.25])


@pytest.mark.parametrize("logit", [-1000.0, -3.0, 0.0, 3.0, 1000.0])
def test_a_sigmoid_is_applied_without_overflow(
    make_model: Callable[..., Path], logit: float
) -> None:
    model = _open(make_model(bias=(0.0, 1.0, -1.0)), activation="sigmoid")
    from scipy.special import expit

    expected = expit(np.array([logit, logit + 1, logit - 1]))
    assert model.classify(_patch(logit)).values == pytest.approx(expected, abs=1e-6)
    assert model.bad_outputs == 0


def test_a_softmax_is_applied_without_overflow(make_model: Callable[..., Path]) -> None:
    model = _open(make_model(bias=(0.0, 1.0, -1.0)), activation="softmax")
    values = model.classify(_patch(1000.0)).values
    assert values.sum() == pytest.approx(1.0)
    assert values == pytest.approx([0.2447, 0.6652, 0.09], abs=1e-4)


@pytest.mark.parametrize("first", [float("nan"), float("inf"), 7.0, -7.0])
def test_scores_that_can_not_be_are_zero_and_counted(
    make_model: Callable[..., Path], first: float
) -> None:
    model = _open(make_model())
    bad = model.classify(_patch(first))
    assert np.array_equal(bad.values, np.zeros(3, np.float32))
    assert not bad.valid
    assert model.bad_outputs == 1
    good = model.classify(_patch(0.5))
    assert good.values == pytest.approx([0.6, 0.7, 0.8])
    assert good.valid
    assert model.bad_outputs == 1


def test_a_score_that_rounding_put_over_one_is_one(make_model: Callable[..., Path]) -> None:
    model = _open(make_model(bias=(0.0, 0.0, 0.0)))
    assert np.all(model.classify(_patch(1.0005)).values == 1.0)
    assert model.bad_outputs == 0


def test_logits_that_pass_for_scores_are_refused(make_model: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match=r"outside 0\.\.1") as caught:
        _open(make_model(bias=(3.0, -3.0, 0.0)))
    assert "sigmoid" in caught.value.help


def test_a_file_that_changed_since_it_was_described_is_refused(
    make_model: Callable[..., Path],
) -> None:
    info = replace(_open(make_model()).info, sha256="0" * 64)
    with pytest.raises(ModelError, match="changed"):
        OnnxClassifier(info)


def test_a_model_that_fails_on_its_first_patch_is_refused_without_chatter(
    make_model: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match="failed on an input of"):
        _open(make_model(row=7))
    assert capfd.readouterr() == ("", "")


def test_a_patch_on_which_a_model_fails_is_no_end(make_model: Callable[..., Path]) -> None:
    """The patch's first value picks one of three numbers: it fails for 7, as onnxruntime says."""
    path = make_model(bias=(0.0, 0.0, 0.0))
    model = onnx.load(path)
    table = onnx.numpy_helper.from_array(np.array([0.1, 0.2, 0.3], np.float32), "table")
    model.graph.initializer.append(table)
    model.graph.node[-1].CopyFrom(onnx.helper.make_node("Add", ["picked", "bias"], ["scores"]))
    whole = onnx.helper.make_node("Cast", ["first"], ["place"], to=onnx.TensorProto.INT64)
    model.graph.node.insert(2, whole)
    model.graph.node.insert(3, onnx.helper.make_node("Gather", ["table", "place"], ["picked"]))
    onnx.save(model, path)
    opened = _open(path)
    failed = opened.classify(_patch(7.0))
    assert (failed.valid, opened.bad_outputs) == (False, 1)
    assert np.array_equal(failed.values, np.zeros(3, np.float32))
    assert opened.classify(_patch(2.0)).values == pytest.approx([0.3, 0.3, 0.3])


def _resize(path: Path, values: str) -> None:
    """Give as many scores as the patch's first value picks of a table, rounded down."""
    model = onnx.load(path)
    numbers = {"counts": np.array([3, 6, 0]), "one": np.array([1])}
    for key, value in numbers.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, key))
    model.graph.node[-1].output[0] = "whole"
    nodes = [
        onnx.helper.make_node("Cast", [values], ["place"], to=onnx.TensorProto.INT64),
        onnx.helper.make_node("Gather", ["counts", "place"], ["count"]),
        onnx.helper.make_node("Reshape", ["count", "one"], ["size"]),
        onnx.helper.make_node("Concat", ["whole", "whole"], ["twice"], axis=1),
        onnx.helper.make_node("Reshape", ["twice", "flat1"], ["row"]),
        onnx.helper.make_node("Slice", ["row", "from", "size"], ["scores"]),
    ]
    flat = onnx.numpy_helper.from_array(np.array([-1]), "flat1")
    model.graph.initializer.append(flat)
    model.graph.node.extend(nodes)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)


@pytest.mark.parametrize("activation", ["none", "softmax"])
def test_a_patch_of_another_number_of_scores_is_a_bad_one(
    make_model: Callable[..., Path], activation: str
) -> None:
    path = make_model(bias=(0.1, 0.1, 0.1))
    _resize(path, "first")
    model = _open(path, activation=activation)
    for bad, first in ((1, 1.0), (2, 2.0)):
        scores = model.classify(_patch(first))
        assert (scores.valid, model.bad_outputs) == (False, bad)
        assert np.array_equal(scores.values, np.zeros(3, np.float32))
    assert model.classify(_patch(0.0)).valid


def test_scores_of_noise_alone_that_can_not_be_are_refused(make_model: Callable[..., Path]) -> None:
    """The first value of the noise that a model is tried on is 0.16."""
    path = make_model(bias=(0.0, 0.0, 0.0))
    model = onnx.load(path)
    loud = onnx.numpy_helper.from_array(np.array([100.0], np.float32), "loud")
    model.graph.initializer.append(loud)
    model.graph.node[-1].CopyFrom(onnx.helper.make_node("Mul", ["first", "loud"], ["large"]))
    model.graph.node.append(onnx.helper.make_node("Add", ["large", "bias"], ["scores"]))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"outside 0\.\.1"):
        _open(path)


def test_opening_and_running_prints_nothing(
    make_model: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    _open(make_model()).classify(_patch(7.0))
    assert capfd.readouterr() == ("", "")


def test_scores_are_the_receivers_own() -> None:
    model = OnnxClassifier(shipped_model())
    rng = np.random.default_rng(1)
    first = model.classify(_noise(rng))
    kept = first.values.copy()
    model.classify(_noise(rng))
    assert np.array_equal(first.values, kept)


@pytest.mark.parametrize("kind", ["zeros", "silence", "white", "loud", "clipped", "dc"])
def test_the_shipped_model_makes_no_event_of_nothing(kind: str) -> None:
    """Half a minute, by the rules that the settings leave to the model."""
    rng = np.random.default_rng(5)
    n_samples = 30 * RATE_HZ
    samples = {
        "zeros": np.zeros(n_samples),
        "silence": 1e-4 * rng.standard_normal(n_samples),
        "white": 0.01 * rng.standard_normal(n_samples),
        "loud": 0.3 * rng.standard_normal(n_samples),
        "clipped": np.sign(rng.standard_normal(n_samples)),
        "dc": np.full(n_samples, 0.5),
    }[kind].astype(np.float32)
    model = OnnxClassifier(shipped_model())
    detector = Detector(model.info.labels, build_rules(load_defaults(), model.info), RATE_HZ, "s")
    frames = log_mel(samples, model.info.front_end)
    events: list[Event] = []
    for first in range(0, len(frames) - 95, 48):
        patch = Patch(160 * first, 15600, frames[first : first + 96])
        events += detector.update(model.classify(patch))
    assert [event.label for event in events] == []


@pytest.mark.data
@pytest.mark.parametrize("gain_db", [-20.0, -10.0, 0.0])
def test_the_shipped_model_hears_the_same_at_any_level(data: Path, gain_db: float) -> None:
    """Clips of its training: what is claimed is the level, not how well it does."""
    import csv

    import soundfile

    model = OnnxClassifier(shipped_model())
    with (data / "esc10-dev" / "meta.csv").open(encoding="utf-8", newline="") as file:
        clips = {row["class"]: row["flac"] for row in csv.DictReader(file)}
    right = []
    for label, name in clips.items():
        samples, _ = soundfile.read(data / "esc10-dev" / "audio" / name, dtype="float32")
        loud = np.clip(samples * np.float32(10.0 ** (gain_db / 20.0)), -1.0, 1.0)
        frames = log_mel(loud, model.info.front_end)
        patches = [frames[k : k + 96] for k in range(0, len(frames) - 95, 48)]
        scores = [model.classify(Patch(0, 15600, patch)).values for patch in patches]
        right.append(model.info.labels[int(np.mean(scores, axis=0).argmax())] == label)
    assert sum(right) >= 8


@pytest.mark.data
def test_yamnet_gives_its_published_scores(data: Path, tmp_path: Path) -> None:
    """The reference scores are the float model's for the official front end's patches."""
    models, preset = data / "models", PRESETS["yamnet"]
    info = describe(
        models / "yamnet_tfhub_w8.onnx",
        tmp_path / "yamnet.onnx",
        labels=read_labels(models / "yamnet_class_map.csv"),
        front_end=preset.front_end,
        patch_frames=preset.patch_frames,
        patch_hop=preset.patch_hop,
        name="yamnet",
        version="1",
        licence="Apache-2.0",
        embedding_output="embedding",
    )
    assert len(info.labels) == 521
    model = OnnxClassifier(info)
    with np.load(data / "reference" / "yamnet_ref.npz") as reference:
        for frames, scores, embedding in zip(
            reference["log_mel_tflite"],
            reference["scores_fp32"],
            reference["embedding_fp32"],
            strict=True,
        ):
            heard = model.classify(Patch(0, 15600, frames))
            np.testing.assert_allclose(heard.values, scores, atol=1e-3)
            assert heard.embedding is not None
            np.testing.assert_allclose(heard.embedding, embedding, atol=1e-2)


def _noise(rng: np.random.Generator) -> Patch:
    return Patch(0, 15600, rng.standard_normal((96, 64), dtype=np.float32))
