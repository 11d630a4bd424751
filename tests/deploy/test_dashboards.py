# SPDX-License-Identifier: MIT
"""What deploy/dashboards holds for Home Assistant is for the entities that a box really has."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
import yaml

from edge.config.load import load_defaults
from edge.model.registry import read_model, shipped_model
from edge.publish.homeassistant import components
from edge.service.build import build_topics
from edge.service.homeassistant import shown
from edge.service.rules import build_rules
from tests.conftest import REPOSITORY

PLACE = REPOSITORY / "deploy/dashboards/home-assistant"
ENTITY = re.compile(r"\b(?:sensor|binary_sensor|event|button|switch|number)\.\w+")
NOW = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)


def entities(*, calibrated: bool) -> set[str]:
    """Return the ids that Home Assistant makes of what a box called "Edge" shows."""
    settings = load_defaults()
    rules = build_rules(settings, read_model(shipped_model()))
    what = shown(settings, "model", rules, (), calibrated=calibrated, thermometer=False)
    return {
        f"{one['platform']}.edge_{re.sub(r'[^a-z0-9]+', '_', one['name'].lower()).strip('_')}"
        for one in components(build_topics(settings), what).values()
    }


def cards(node: Any, there: set[str]) -> list[dict[str, Any]]:  # noqa: ANN401 - YAML
    """Return every card that is shown where these entities are, and whatever else has a type."""
    if isinstance(node, list):
        return [card for one in node for card in cards(one, there)]
    if not isinstance(node, dict):
        return []
    conditions = node.get("visibility", node.get("conditions", []))
    for one in conditions:  # one that is not there counts as unknown
        assert set(one["state_not"]) == {"unavailable", "unknown"}
    if any(one["entity"] not in there for one in conditions):
        return []
    found = [node] if "type" in node else []
    return found + cards(list(node.values()), there)


@pytest.mark.parametrize("name", ["dashboard.yaml", "automations.yaml"])
def test_each_entity_that_is_named_is_one_of_a_box(name: str) -> None:
    named = set(ENTITY.findall((PLACE / name).read_text()))
    assert named
    assert named <= entities(calibrated=False) | entities(calibrated=True)


@pytest.mark.parametrize("calibrated", [True, False])
def test_the_dashboard_has_a_card_for_each_level_and_hides_those_of_none(
    *, calibrated: bool
) -> None:
    there = entities(calibrated=calibrated)
    levels = there - entities(calibrated=not calibrated)
    assert len(levels) == 5
    seen: set[str] = set()
    for card in cards(yaml.safe_load((PLACE / "dashboard.yaml").read_text())["views"], there):
        named = set(ENTITY.findall(json.dumps(card)))
        if card["type"] in {"sections", "grid", "history-graph"}:
            continue
        assert named <= there
        seen |= named
    assert levels <= seen


def rendered(template: str, attributes: dict[str, Any] | None) -> str:
    """Return what a template of the first automation makes of an event; None: of its end."""
    shown = jinja2.Environment(autoescape=False)  # noqa: S701 - as Home Assistant's own
    shown.globals |= {
        "now": lambda: NOW,
        "as_datetime": datetime.fromisoformat,
        "as_local": lambda time: time,
        "timedelta": timedelta,
    }
    state = attributes and SimpleNamespace(state=NOW.isoformat(), attributes=attributes)
    return shown.from_string(template).render(trigger={"to_state": state}).strip()


ALARM = yaml.safe_load((PLACE / "automations.yaml").read_text())[0]
GLASS = {
    "event_type": "glass",
    "score": 0.91,
    "laeq_dbfs": -20.5,
    "onset_time": "2026-11-25T12:29:30.000Z",
    "clock_synchronised": True,
}


@pytest.mark.parametrize(
    ("other", "rings"),
    [
        ({}, True),
        ({"onset_time": "2026-11-25T12:27:30.000Z"}, False),
        ({"onset_time": "1970-01-01T00:01:00.000Z", "clock_synchronised": False}, True),
        ({"event_type": "rain"}, False),
    ],
)
def test_an_alarming_sound_of_now_rings_also_of_a_box_that_has_no_time(
    other: dict[str, Any], *, rings: bool
) -> None:
    assert rendered(ALARM["conditions"][0], GLASS | other) == str(rings)


def test_its_message_says_when_how_sure_and_how_loud() -> None:
    message = ALARM["actions"][0]["data"]["message"]
    said = " ".join(rendered(message, GLASS).split())
    assert said == "Heard at 12:29:30, score 0.91, -20.5 dBFS"
    timeless = GLASS | {"clock_synchronised": False, "laeq_db": 71.2}
    assert " ".join(rendered(message, timeless).split()).endswith("12:30:00, score 0.91, 71.2 dB")


def test_it_does_not_ring_for_an_entity_that_is_removed() -> None:
    assert rendered(ALARM["conditions"][0], None) == "False"


def test_it_does_not_ring_for_an_entity_that_comes_back() -> None:
    """Then Home Assistant tells the last event again; its first one comes from "unknown"."""
    (trigger,) = ALARM["triggers"]
    assert trigger["not_from"] == "unavailable"
