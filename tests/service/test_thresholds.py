# SPDX-License-Identifier: MIT
"""Thresholds that are told: bounded, kept for each model, in force at the next patch."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge.config.load import load_defaults
from edge.errors import EdgeError
from edge.model.registry import read_model, shipped_model
from edge.service.supervisor import Supervisor
from edge.service.thresholds import FILE, Thresholds
from tests.conftest import wait_until

if TYPE_CHECKING:
    from pathlib import Path

MODEL = read_model(shipped_model())
OTHER = replace(MODEL, name="other")
NEWER = replace(MODEL, version="99")
KEY = f"{MODEL.name} {MODEL.version}"


class Told:
    """Thresholds of a box, and what it was told of them."""

    def __init__(self, state: Path) -> None:
        self.changes = 0
        self._supervisor = Supervisor()
        self.thresholds = Thresholds(load_defaults, state, self._supervisor, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def tell(self, body: dict[str, Any]) -> dict[str, Any]:
        answers: list[dict[str, Any]] = []
        try:
            self.thresholds.command(body, answers.append)
        except EdgeError as error:
            return {"ok": False, "error": str(error)}
        wait_until(lambda: answers, "an answer")
        assert self._supervisor.join("thresholds", 60.0)
        return answers[0]

    def news(self) -> dict[str, float]:
        return {label: rule.threshold for label, rule in self.thresholds.news()}


@pytest.fixture
def told(tmp_path: Path) -> Told:
    made = Told(tmp_path)
    made.thresholds.begin(MODEL)
    return made


def test_a_threshold_is_in_force_at_the_next_patch_with_its_release(told: Told) -> None:
    answer = told.tell({"label": "rain", "value": 0.5})
    assert answer == {"ok": True, "label": "rain", "value": 0.5}
    ((label, rule),) = told.thresholds.news()
    assert (label, rule.threshold, rule.release) == ("rain", 0.5, pytest.approx(0.35))
    assert told.news() == {}
    assert told.changes == 1, "info is told anew"


def test_a_threshold_outlasts_a_restart(told: Told, tmp_path: Path) -> None:
    told.tell({"label": "rain", "value": 0.5})
    again = Told(tmp_path).thresholds
    assert {label: rule.threshold for label, rule in again.begin(MODEL).items()} == {"rain": 0.5}
    assert again.of(MODEL)["rain"].threshold == 0.5


def test_a_threshold_belongs_to_one_model(told: Told) -> None:
    told.tell({"label": "rain", "value": 0.5})
    assert told.thresholds.begin(OTHER) == told.thresholds.begin(NEWER) == {}
    assert told.news() == {}, "it was for the model before"
    assert told.thresholds.of(OTHER)["rain"].threshold == MODEL.thresholds["rain"]
    assert told.thresholds.begin(MODEL)["rain"].threshold == 0.5


def test_null_gives_a_threshold_back_to_the_settings(told: Told, tmp_path: Path) -> None:
    told.tell({"label": "rain", "value": 0.5})
    answer = told.tell({"label": "rain", "value": None})
    assert answer["value"] == pytest.approx(MODEL.thresholds["rain"], abs=1e-3)
    assert Told(tmp_path).thresholds.begin(MODEL) == {}


def test_without_a_label_all_are_said(told: Told) -> None:
    thresholds = told.tell({})["thresholds"]
    assert "rain" in thresholds
    assert "other" not in thresholds


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"label": "rain"}, "no value"),
        ({"value": 0.5}, "makes no events"),
        ({"label": "cat", "value": 0.5}, "labels are"),
        ({"label": "other", "value": 0.5}, "makes no events"),
        ({"label": ["rain"], "value": 0.5}, "makes no events"),
        ({"label": "rain", "value": 0}, "send 0.01 to 1"),
        ({"label": "rain", "value": 1.01}, "send 0.01 to 1"),
        ({"label": "rain", "value": float("nan")}, "send 0.01 to 1"),
        ({"label": "rain", "value": 10**400}, "send 0.01 to 1"),
        ({"label": "rain", "value": True}, "no number"),
        ({"label": "rain", "value": "0.5"}, "no number"),
        ({"label": "rain", "value": 0.5, "for": "ever"}, "unknown key"),
    ],
)
def test_what_is_no_threshold_is_refused_and_changes_nothing(
    told: Told, tmp_path: Path, body: dict[str, Any], reason: str
) -> None:
    answer = told.tell(body)
    assert answer["ok"] is False
    assert reason in answer["error"]
    assert told.news() == {}
    assert not (tmp_path / FILE).exists()


def test_what_can_not_be_kept_is_not_in_force(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("no folder")
    told = Told(state)
    told.thresholds.begin(MODEL)
    answer = told.tell({"label": "rain", "value": 0.5})
    assert answer["ok"] is False
    assert "can't be written" in answer["error"]
    assert told.news() == {}


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "[" * 100_000, f'{{"{KEY}": 3}}'),
        f'{{"{KEY}": {{"rain": 7, "dog": "x"}}}}',
    ],
)
def test_a_damaged_file_is_no_threshold(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    assert Told(tmp_path).thresholds.begin(MODEL) == {}


def test_a_label_that_makes_no_events_any_more_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({KEY: {"gone": 0.5, "rain": 0.4}}))
    assert list(Told(tmp_path).thresholds.begin(MODEL)) == ["rain"]
