# SPDX-License-Identifier: MIT
"""Labels under one name: of the model, of the settings, as scores and as events."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.config.load import load_settings
from edge.dsp.spec import LogMelSpec
from edge.errors import ConfigError, ModelError
from edge.model.classifier import OnnxClassifier
from edge.model.detector import Detector
from edge.model.grouping import AUDIOSET, audioset_groups
from edge.model.registry import ModelInfo, describe, read_labels, read_model, shipped_model
from edge.service.rules import build_rules, event_labels, state_labels
from edge.types import Patch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LABELS = ["Bark", "Howl", "Meow"]
PETS = {"dog": ["Bark", "Howl"], "pet": ["Howl", "Meow"]}


@pytest.fixture
def pets(make_model: Callable[..., Path]) -> Path:
    """Return a model whose scores are the first value of the patch plus 0.1, 0.2, 0.3."""
    return _describe(make_model())


def _describe(path: Path, **changes: object) -> Path:
    wanted: dict[str, Any] = {
        "labels": LABELS,
        "front_end": LogMelSpec(),
        "patch_frames": 96,
        "patch_hop": 48,
        "name": "pets",
        "version": "1",
        "groups": PETS,
        "embedding_output": "first",
    }
    return describe(path, path, **(wanted | changes)).path


def _patch(first: float) -> Patch:
    frames = np.zeros((96, 64), np.float32)
    frames[0, 0] = first
    return Patch(0, 15600, frames)


def _with(info: ModelInfo, *overrides: str) -> list[str]:
    return list(build_rules(load_settings(None, overrides), info))


def test_a_group_scores_as_its_best_label_behind_the_labels(pets: Path) -> None:
    model = OnnxClassifier(pets)
    assert model.info.scored == (*LABELS, "dog", "pet")
    heard = model.classify(_patch(0.5))
    assert heard.values == pytest.approx([0.6, 0.7, 0.8, 0.7, 0.8])
    assert heard.values.dtype == np.float32
    assert heard.embedding == pytest.approx([0.5]), "and the embedding comes along"


def test_where_there_are_groups_they_make_the_events(pets: Path) -> None:
    info = read_model(pets)
    assert _with(info) == ["dog", "pet"]
    assert _with(info, 'detector.ignore=["pet"]') == ["dog"]
    assert event_labels(load_settings(), info) == ["dog", "pet"]
    assert state_labels(load_settings(), info) == ["dog", "pet"], "hundreds of topics for nobody"
    own = read_model(shipped_model())
    assert state_labels(load_settings(), own) == own.labels, "an ON may be left from before"


def test_a_label_with_settings_of_its_own_makes_events_too(pets: Path) -> None:
    assert _with(read_model(pets), "detector.labels.Meow.threshold=0.9") == ["Meow", "dog", "pet"]


def test_thresholds_hits_and_settings_work_on_groups(make_model: Callable[..., Path]) -> None:
    path = _describe(make_model(), thresholds={"dog": 0.65}, min_hits={"pet": 2})
    model = OnnxClassifier(path)
    rules = build_rules(load_settings(None, ["detector.labels.pet.threshold=0.75"]), model.info)
    assert (rules["dog"].threshold, rules["pet"].threshold) == (0.65, 0.75)
    assert (rules["dog"].min_hits, rules["pet"].min_hits) == (1, 2)
    detector = Detector(model.info.scored, rules, 16000, "s")
    (onset,) = detector.update(model.classify(_patch(0.5)))
    assert (onset.label, onset.edge, onset.score) == ("dog", "onset", pytest.approx(0.7))


def test_the_settings_add_change_and_take_away_groups(pets: Path) -> None:
    groups = {"cat": ["Meow"], "pet": [], "dog": ["Howl"]}
    model = OnnxClassifier(pets, groups)
    assert dict(model.info.groups) == {"dog": ("Howl",), "cat": ("Meow",)}
    assert model.classify(_patch(0.5)).values == pytest.approx([0.6, 0.7, 0.8, 0.7, 0.8])
    assert _with(model.info) == ["dog", "cat"]


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ({"dog": ["Woof"]}, "group dog has 'Woof', no labels of the model"),
        ({"Bark": ["Howl"]}, "'Bark' can't be the name of a group"),
        ({" ": ["Howl"]}, "can't be the name of a group"),
        ({"a\nb": ["Howl"]}, "can't be the name of a group"),
    ],
)
def test_a_group_that_does_not_fit_is_refused(
    pets: Path, groups: dict[str, list[str]], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        OnnxClassifier(pets, groups)
    assert "edge model show" in caught.value.help
    with pytest.raises(ModelError, match=reason):
        _describe(pets, groups=groups)


@pytest.mark.parametrize("groups", [{"dog": []}, {"dog": "Bark"}, {"dog": [["Bark"]]}, ["dog"]])
def test_a_group_in_a_file_that_is_none_is_refused(pets: Path, groups: object) -> None:
    import json

    import onnx

    model = onnx.load(pets)
    document = json.loads(model.metadata_props[0].value) | {"groups": groups}
    onnx.helper.set_model_props(model, {"edge": json.dumps(document)})
    onnx.save(model, pets)
    with pytest.raises(ModelError, match="group"):
        read_model(pets)


def test_two_makers_of_events_never_share_a_topic(make_model: Callable[..., Path]) -> None:
    path = _describe(make_model(), labels=["Dog", "Howl", "Meow"], groups={"dog": ["Dog", "Howl"]})
    assert _with(read_model(path)) == ["dog"]
    with pytest.raises(ConfigError, match="'Dog' and 'dog' can't both make events"):
        _with(read_model(path), "detector.labels.Dog.threshold=0.9")


def test_a_name_that_is_meant_is_found_among_hundreds(make_model: Callable[..., Path]) -> None:
    labels = [f"sound {k}" for k in range(99)] + ["Chainsaw"]
    path = _describe(make_model(bias=[0.0] * 100), labels=labels, groups={"saw": ["Chainsaw"]})
    with pytest.raises(ConfigError, match="no label 'Chainsow'") as caught:
        _with(read_model(path), "detector.labels.Chainsow.threshold=0.9")
    assert "Chainsaw, saw" in caught.value.help
    assert len(caught.value.help) < 300


def test_a_label_of_the_same_name_leaves_no_room_for_a_shipped_group() -> None:
    groups = audioset_groups(["dog", "Bark", "Meow", "rain"])
    assert groups == {"cat": ["Meow"]}


@pytest.mark.data
@pytest.mark.parametrize("name", ["audioset_class_labels_indices.csv", "yamnet_class_map.csv"])
def test_shipped_groups_are_of_audioset_s_labels(data: Path, name: str) -> None:
    labels = read_labels(data / "models" / name)
    shipped = tomllib.loads(AUDIOSET.read_text(encoding="utf-8"))
    found = audioset_groups(labels)
    assert set(found) == set(shipped), "none of them is empty"
    if len(labels) == 527:
        assert found == shipped, "and all of AudioSet's are spelled as there"
    for wanted in (
        *("alarm", "siren", "glass", "gunshot", "dog", "baby", "speech", "vehicle", "machine"),
        *("water", "weather", "appliance", "bird", "insect"),
    ):
        assert found[wanted]
