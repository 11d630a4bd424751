# SPDX-License-Identifier: MIT
"""The description of a box: what Home Assistant's schema asks for, and what a person would."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jinja2
import pytest

from edge.publish.homeassistant import (
    MOST_LABELS,
    Shown,
    birth_topic,
    components,
    discovery,
    discovery_topic,
)
from edge.publish.payloads import Topics
from edge.publish.publisher import IN_FLIGHT

TOPICS = Topics("edge", "hive-7")
SHOWN = Shown(
    name="Hive",
    version="1.2",
    model="edge-esc10 0.3.0",
    alarms=("loud_night",),
    labels=("dog_bark", 'Bark "loud" {{ 1 }}', "犬"),
    calibrated=False,
    live=True,
    records=True,
    health_s=60.0,
    thermometer=True,
)

# Source: the schemas of homeassistant/components/mqtt, version 2025.4.4.
COMMON = {"platform", "unique_id", "name", "icon", "entity_category", "device_class"}
STATE = {"state_topic", "value_template", "expire_after"}
PLATFORMS = {
    "sensor": COMMON
    | STATE
    | {"unit_of_measurement", "state_class", "suggested_display_precision"}
    | {"json_attributes_topic"},
    "binary_sensor": COMMON | STATE,
    "event": COMMON | STATE - {"expire_after"} | {"event_types", "availability"},
    "button": COMMON | {"command_topic", "payload_press"},
    "switch": COMMON
    | {"command_topic", "payload_on", "payload_off", "state_topic", "state_on", "state_off"},
    "number": COMMON
    | {"command_topic", "command_template", "state_topic", "value_template"}
    | {"min", "max", "step", "mode"},
}
STATE_OWNERS = {"sensor", "binary_sensor", "event", "switch", "number"}


def told(shown: Shown = SHOWN, gone: dict[str, str] | None = None) -> dict[str, Any]:
    message = discovery("homeassistant", TOPICS, shown, gone or {})
    assert message.retain
    assert message.qos == 1
    body: dict[str, Any] = json.loads(message.payload)
    return body


def test_a_box_is_described_where_home_assistant_looks() -> None:
    assert discovery_topic("homeassistant", TOPICS) == "homeassistant/device/hive-7/config"
    assert birth_topic("homeassistant") == "homeassistant/status"
    body = told()
    assert body["device"]["identifiers"] == ["edge/hive-7"]
    assert body["origin"]["name"] == "edge"
    assert body["availability"] == [{"topic": "edge/hive-7/status"}]


def test_boxes_of_one_name_at_two_sites_are_two_devices() -> None:
    sites = ("edge", "north", "south/barn", "south-barn", "south_/barn", "south_-barn")
    topics = [discovery_topic("homeassistant", Topics(site, "hive-7")) for site in sites]
    assert topics == [
        "homeassistant/device/hive-7/config",
        "homeassistant/device/north/hive-7/config",
        "homeassistant/device/south_-barn/hive-7/config",
        "homeassistant/device/south-barn/hive-7/config",
        "homeassistant/device/south___-barn/hive-7/config",
        "homeassistant/device/south__-barn/hive-7/config",
    ], "of the form that Home Assistant takes, with the box's name alone in its level"


def test_no_entity_of_one_box_is_taken_for_one_of_another() -> None:
    seen: set[str] = set()
    boxes = (("north", "a-b"), ("north-a", "b"), ("north/a", "b"), ("north_a", "b"))
    for base, node in boxes:
        body = json.loads(discovery("homeassistant", Topics(base, node), SHOWN, {}).payload)
        told = {one["unique_id"] for one in body["components"].values()}
        told |= set(body["device"]["identifiers"])
        assert not told & seen
        seen |= told


@pytest.mark.parametrize("calibrated", [True, False])
def test_each_entity_has_the_keys_of_its_platform_and_an_id_of_its_own(*, calibrated: bool) -> None:
    entities = told(replace(SHOWN, calibrated=calibrated))["components"]
    for key, entity in entities.items():
        assert re.fullmatch(r"[a-z0-9_-]+", key)
        assert set(entity) <= PLATFORMS[entity["platform"]], key
        assert entity["name"]
        if entity["platform"] in STATE_OWNERS:
            assert entity["state_topic"].startswith("edge/hive-7/")
    assert len({entity["unique_id"] for entity in entities.values()}) == len(entities)


def test_a_level_has_a_class_and_decibels_only_where_it_is_a_sound_pressure() -> None:
    for calibrated, unit, ending in ((False, "dBFS", "dbfs"), (True, "dB", "db")):
        entities = components(TOPICS, replace(SHOWN, calibrated=calibrated))
        levels = {
            key: one for key, one in entities.items() if "/level" in one.get("state_topic", "")
        }
        assert set(levels) == {
            f"laeq_{ending}_second",
            *(f"{figure}_{ending}_minute" for figure in ("laeq", "lafmax", "l90", "lcpeak")),
        }, "of another unit means another entity"
        for level in levels.values():
            assert level["name"].endswith("dBFS") is not calibrated
            assert level["unit_of_measurement"] == unit
            assert level.get("device_class") == ("sound_pressure" if calibrated else None)
            assert f"_{ending}')" in level["value_template"]


def test_a_level_that_is_not_sent_each_second_is_not_shown() -> None:
    assert "laeq_dbfs_second" not in components(TOPICS, replace(SHOWN, live=False))


def test_what_is_not_told_any_more_expires() -> None:
    entities = components(TOPICS, replace(SHOWN, health_s=30.0))
    assert entities["laeq_dbfs_second"]["expire_after"] == 10
    assert entities["l90_dbfs_minute"]["expire_after"] == 180
    assert entities["xruns"]["expire_after"] == 90


def test_each_label_has_a_state_and_an_event_type_and_each_but_alarms_a_threshold() -> None:
    entities = components(TOPICS, SHOWN)
    assert entities["detected_dog_bark"]["state_topic"] == "edge/hive-7/detected/dog_bark"
    assert "off_delay" not in entities["detected_dog_bark"], "the box itself says OFF"
    assert entities["detected_dog_bark"]["name"] == "Dog bark"
    assert entities["sound"]["event_types"] == ["loud_night", *SHOWN.labels]
    assert "detected_loud_night" in entities
    assert "threshold_loud_night" not in entities
    number = entities["threshold_dog_bark"]
    assert (number["min"], number["max"]) == (0.01, 1)
    assert number["command_topic"] == "edge/hive-7/command/threshold"


def test_a_box_without_recorder_or_thermometer_shows_neither() -> None:
    entities = components(TOPICS, replace(SHOWN, records=False, thermometer=False))
    assert "record" not in entities
    assert "temperature_c" not in entities


def test_what_is_gone_keeps_only_its_platform_and_what_is_there_is_not_gone() -> None:
    gone = {"detected_cat": "binary_sensor", "laeq_dbfs_second": "sensor"}
    entities = told(gone=gone)["components"]
    assert entities["detected_cat"] == {"platform": "binary_sensor"}
    assert entities["laeq_dbfs_second"]["unit_of_measurement"] == "dBFS"


def test_of_hundreds_of_labels_all_are_event_types_and_some_have_entities() -> None:
    labels = tuple(f"label {n}" for n in range(521))
    entities = components(TOPICS, replace(SHOWN, labels=labels, alarms=()))
    assert len(entities["sound"]["event_types"]) == 521
    assert sum(key.startswith("detected_") for key in entities) == MOST_LABELS
    assert sum(key.startswith("threshold_") for key in entities) == MOST_LABELS


def rendered(key: str, body: dict[str, Any], last: dict[str, Any] | None = None) -> str:
    """Return what the template of an entity makes of a message, half past twelve.

    last : its attributes, of the event before.
    """
    shown = jinja2.Environment(autoescape=False)  # noqa: S701 - as Home Assistant's own
    shown.filters["to_json"] = json.dumps
    shown.globals["now"] = lambda: datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
    shown.globals["as_timestamp"] = lambda when: (
        when if isinstance(when, datetime) else datetime.fromisoformat(when)
    ).timestamp()
    entity = components(TOPICS, SHOWN)[key]
    this = {"attributes": {"event_types": entity.get("event_types")} | (last or {})}
    return shown.from_string(entity["value_template"]).render(value_json=body, this=this)


TIMES = (
    ("2026-11-25T12:29:00.000Z", True, True),
    ("2026-11-25T12:27:10.000Z", True, True),
    ("2026-11-25T12:26:50.000Z", True, False),
    ("2026-11-24T12:30:00.000Z", True, False),
    ("1970-01-01T00:01:00.000Z", False, True),  # of a box that has never been told the time
)


@pytest.mark.parametrize(("time", "synchronised", "is_new"), TIMES)
def test_what_waited_for_long_is_no_level_of_now(
    time: str, *, synchronised: bool, is_new: bool
) -> None:
    body = {"laeq_dbfs": -40.1, "time": time, "clock_synchronised": synchronised}
    assert rendered("laeq_dbfs_minute", body) == ("-40.1" if is_new else "None")
    assert rendered("laeq_dbfs_minute", body | {"laeq_dbfs": None}) == "None"


@pytest.mark.parametrize(("time", "synchronised", "is_new"), TIMES)
def test_what_waited_for_long_is_no_sound_of_now(
    time: str, *, synchronised: bool, is_new: bool
) -> None:
    body = {
        "event_type": "onset",
        "message_id": "a-onset",
        "label": "dog_bark",
        "onset_time": time,
        "clock_synchronised": synchronised,
    }
    told = rendered("sound", body)
    assert (json.loads(told)["event_type"] == "dog_bark") if is_new else told == ""
    assert rendered("sound", body | {"event_type": "offset"}) == ""
    assert rendered("sound", body | {"label": "cat"}) == ""


@pytest.mark.parametrize("count", [1, 3, IN_FLIGHT])
def test_events_that_come_twice_are_none_the_second_time(count: int) -> None:
    """A broken connection has all that are on their way come again, in order, behind the newest."""
    body = {
        "event_type": "onset",
        "label": "dog_bark",
        "onset_time": "2026-11-25T12:29:00.000Z",
        "clock_synchronised": True,
    }
    last: dict[str, Any] = {}
    for number in range(2 * IN_FLIGHT):
        text = rendered("sound", body | {"message_id": f"{number}-onset"}, last)
        last = json.loads(text)
    for number in range(2 * IN_FLIGHT)[-count:]:
        assert rendered("sound", body | {"message_id": f"{number}-onset"}, last) == ""
    assert rendered("sound", body | {"message_id": "another-onset"}, last) != ""
    assert len(text) < 1000, "it does not grow"


def test_the_events_of_a_box_that_is_away_are_known_all_the_same() -> None:
    """Else its last one would be forgotten, and what comes again before it says `online`, told."""
    for key, entity in components(TOPICS, SHOWN).items():
        assert entity.get("availability") == ([] if key == "sound" else None)
