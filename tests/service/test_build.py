# SPDX-License-Identifier: MIT
from dataclasses import replace
from pathlib import Path

import pytest

from edge.config.load import load_settings
from edge.errors import ConfigError
from edge.model.registry import read_model, shipped_model
from edge.service.build import build_pipeline, build_source
from edge.service.rules import build_rules
from edge.types import StreamFormat

MODEL = read_model(shipped_model())


def test_without_settings_the_model_s_own_thresholds_rule() -> None:
    rules = build_rules(load_settings(), MODEL)
    assert {label: rule.threshold for label, rule in rules.items()} == {
        label: MODEL.thresholds[label] for label in rules
    }
    assert not set(rules) & set(MODEL.negative_labels)


def test_a_label_s_own_setting_beats_the_general_one_and_that_beats_the_model() -> None:
    overrides = [
        "detector.threshold=0.6",
        "detector.release_ratio=0.5",
        "detector.labels.rain.threshold=0.9",
        "detector.labels.rain.min_hits=4",
        'detector.ignore=["rooster"]',
    ]
    rules = build_rules(load_settings(None, overrides), MODEL)
    assert (rules["rain"].threshold, rules["rain"].min_hits) == (0.9, 4)
    assert rules["rain"].release == pytest.approx(0.45)
    assert rules["dog_bark"].threshold == 0.6
    assert "rooster" not in rules


@pytest.mark.parametrize(
    ("overrides", "rain", "dog_bark"),
    [
        ([], 3, 1),
        (["detector.min_hits=2"], 2, 2),
        (["detector.labels.rain.min_hits=5"], 5, 1),
        (["detector.min_hits=2", "detector.labels.rain.min_hits=0"], 3, 2),
    ],
)
def test_the_model_s_own_hits_rule_where_the_settings_give_none(
    overrides: list[str], rain: int, dog_bark: int
) -> None:
    model = replace(MODEL, min_hits={"rain": 3})
    rules = build_rules(load_settings(None, overrides), model)
    assert (rules["rain"].min_hits, rules["dog_bark"].min_hits) == (rain, dog_bark)


def test_labels_that_the_model_lacks_are_named_with_those_it_has() -> None:
    settings = load_settings(
        None, ['detector.ignore=["unicorn"]', "detector.labels.elf.min_hits=2"]
    )
    with pytest.raises(ConfigError, match="'elf', 'unicorn'") as caught:
        build_rules(settings, MODEL)
    assert "dog_bark" in caught.value.help


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("capture.channel=2", "has 2 channel"),
        ('core.filters=[{kind="notch",freq_hz=30000.0}]', "choose less than 24000"),
    ],
)
def test_settings_that_do_not_fit_the_source_are_refused(
    override: str, match: str, tmp_path: Path
) -> None:
    settings = load_settings(None, [override, f'state.directory="{tmp_path}"'])
    with pytest.raises(ConfigError) as caught:
        build_pipeline(settings, StreamFormat(48000, 2, 1024, "S16_LE"), MODEL, "t")
    assert match in str(caught.value)


def test_each_kind_of_source_is_built_from_its_settings() -> None:
    synth = load_settings(
        None, ['capture.source="synth"', 'capture.signal="white"', "capture.seconds=0.1"]
    )
    with build_source(synth.capture) as source:
        assert source.format.rate_hz == 48000
    replay = load_settings(None, ['capture.source="replay"'])
    with pytest.raises(ConfigError, match=r"capture\.files is empty"):
        build_source(replay.capture)


def test_a_recording_of_too_low_a_rate_is_refused_with_the_lowest(tmp_path: Path) -> None:
    settings = load_settings(None, [f'state.directory="{tmp_path}"'])
    with pytest.raises(ConfigError, match="4000 Hz; 8000 or more are needed"):
        build_pipeline(settings, StreamFormat(4000, 1, 1024, "S16_LE"), MODEL, "t")
    build_pipeline(settings, StreamFormat(8000, 1, 1024, "S16_LE"), MODEL, "t")
