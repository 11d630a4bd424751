# SPDX-License-Identifier: MIT
"""What Home Assistant is shown: one retained message that describes the box as a device. Pure.

Source: Home Assistant's MQTT integration, "device discovery payload". An entity's key here is the
last part of its `unique_id`: it must never change, or its history is lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.decibels import unit_of
from edge.publish.payloads import topic_word
from edge.types import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.publish.payloads import Topics

    Component = dict[str, Any]

COMMON_BASE: Final = "edge"  # `publish.base_topic` that is not part of where a box is described
MOST_LABELS: Final = 100
"""Labels with entities of their own; a model without groups may have hundreds."""
THRESHOLD_STEP: Final = 0.01
PAUSE_S: Final = 3600  # of the switch
LEAST_EXPIRY_S: Final = 10  # a busy Wi-Fi holds back a second's level for longer than three
PERIODS: Final = 3  # without a message: then what was told is no longer so
KNOWN: Final = 20  # events that are known when they come again: as many as may be on their way
OLD_S: Final = 180  # what waited longer for the broker says nothing of now


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a box there is to show.

    alarms : labels of events that come from levels.
    labels : all that may be heard besides; each has a threshold.
    calibrated : whether levels are dB SPL; else they are dBFS.
    live : whether the level of each second is sent.
    health_s : from one `health` to the next.
    thermometer : whether the box has one.
    """

    name: str
    version: str
    model: str
    alarms: Sequence[str]
    labels: Sequence[str]
    calibrated: bool
    live: bool
    records: bool
    health_s: float
    thermometer: bool


def discovery_topic(prefix: str, topics: Topics) -> str:
    """Return where the box describes itself.

    Boxes of one name may be at one broker under other base topics; a level of its own for the
    base keeps the name alone in its level, as an access list's pattern wants it. No two bases
    may share it, and Home Assistant takes A-Z a-z 0-9 _ - alone: `_-` is a `/`, `__` a `_`.
    """
    base, _, node = topics.root.rpartition("/")
    site = "" if base == COMMON_BASE else f"{base.replace('_', '__').replace('/', '_-')}/"
    return f"{prefix}/device/{site}{node}/config"


def birth_topic(prefix: str) -> str:
    """Return where Home Assistant says `online` when it starts."""
    return f"{prefix}/status"


def discovery(prefix: str, topics: Topics, shown: Shown, gone: Mapping[str, str]) -> Message:
    """Return the description of a box.

    Parameters
    ----------
    gone : platforms by key of entities that are to be removed: once told, Home Assistant keeps
        an entity until it is told otherwise.
    """
    entities = components(topics, shown)
    told = {
        key: {"unique_id": f"{topics.root}/{key}", **entity} for key, entity in entities.items()
    }
    removed = {key: {"platform": platform} for key, platform in gone.items() if key not in told}
    body = {
        "device": {
            "identifiers": [topics.root],
            "name": shown.name,
            "manufacturer": "edge",
            "model": "acoustic monitor",
            "model_id": shown.model,
            "sw_version": shown.version,
        },
        "origin": {"name": "edge", "sw_version": shown.version},
        "availability": [{"topic": topics.status}],
        "qos": 1,
        "components": told | removed,
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    payload = text.encode(errors="replace")
    return Message(discovery_topic(prefix, topics), payload, qos=1, retain=True)


def components(topics: Topics, shown: Shown) -> dict[str, Component]:
    """Return every entity by its key."""
    heard = list(dict.fromkeys([*shown.alarms, *shown.labels]))
    return {
        **_levels(topics, shown),
        "sound": {
            "platform": "event",
            "name": "Sound",
            "icon": "mdi:ear-hearing",
            "state_topic": topics.event,
            "event_types": heard,
            "value_template": _ONSET,
            # Never unavailable: then it would have no attributes, of which `_ONSET` needs the last
            # event's. What was on its way comes before the box says again that it is there.
            "availability": [],
        },
        "last_event": {
            "platform": "sensor",
            "name": "Last event",
            "icon": "mdi:history",
            "state_topic": topics.last_event,
            "value_template": "{{ value_json.label }}",
            "json_attributes_topic": topics.last_event,
        },
        **{_key("detected", label): _detected(topics, label) for label in heard[:MOST_LABELS]},
        **_commands(topics, shown),
        **_health(topics, shown),
    }


def _is_old(time: str) -> str:
    """Return the condition that a message of the outbox waited there for long.

    Only where the box knew the time: one that is never told it would show nothing at all.
    """
    age_s = f"as_timestamp(now()) - as_timestamp(value_json.{time})"
    return f"value_json.clock_synchronised and {age_s} > {OLD_S}"


# The end of a sound is no event of its own: its binary sensor tells it. What waited in the outbox
# may be of a label that went with its model, and come twice: QoS 1 is at least once, and after a
# broken connection all that were on their way come again, 20 at most. Neither times (a clock is
# set back) nor samples (a run begins anew) tell them from new ones; their numbers do.
_ONSET: Final = (
    "{% set told = this.attributes.get('told', []) %}"
    "{% if value_json.event_type == 'onset'"
    " and value_json.label in this.attributes.get('event_types', [])"
    " and value_json.message_id not in told"
    f" and not ({_is_old('onset_time')}) %}}"
    "{{ dict(value_json, event_type=value_json.label,"
    f" told=(told + [value_json.message_id])[-{KNOWN}:]) | to_json }}}}{{% endif %}}"
)


def _levels(topics: Topics, shown: Shown) -> dict[str, Component]:
    """Return the levels; of a box that gets calibrated others, with a history of their own.

    One entity whose unit changes would have no statistics any more, and who compares it with
    55 dB means no dBFS.
    """
    minute = topics.level_over("minute")
    ending = unit_of(0.0 if shown.calibrated else None)
    second = (
        {f"laeq_{ending}_second": _level(topics.level, "laeq", "LAeq", 1.0, shown)}
        if shown.live
        else {}
    )
    names = {"laeq": "LAeq,1min", "lafmax": "LAFmax", "l90": "L90", "lcpeak": "LCpeak"}
    return second | {
        f"{figure}_{ending}_minute": _only_new(_level(minute, figure, name, 60.0, shown))
        for figure, name in names.items()
    }


def _only_new(level: Component) -> Component:
    """Return a level that is unknown while old ones come: the last known would be old, too."""
    template = level["value_template"]
    return level | {
        "value_template": f"{{% if {_is_old('time')} %}}None{{% else %}}{template}{{% endif %}}"
    }


def _level(topic: str, figure: str, name: str, period_s: float, shown: Shown) -> Component:
    if shown.calibrated:
        level = _measured(topic, f"{figure}_db", name, period_s, "dB")
        return level | {"device_class": "sound_pressure"}
    # Home Assistant's sound pressure is in dB or dBA: what is relative to full scale is none.
    return _measured(topic, f"{figure}_dbfs", f"{name} dBFS", period_s, "dBFS")


def _measured(topic: str, figure: str, name: str, period_s: float, unit: str) -> Component:
    return {
        "platform": "sensor",
        "name": name,
        "state_topic": topic,
        # A figure that is missing, as without a microphone, is unknown, and no line in the log.
        "value_template": f"{{{{ value_json.get('{figure}') }}}}",
        "unit_of_measurement": unit,
        "state_class": "measurement",
        "suggested_display_precision": 1,
        "expire_after": _expiry_s(period_s),
    }


def _expiry_s(period_s: float) -> int:
    return max(round(PERIODS * period_s), LEAST_EXPIRY_S)


def _detected(topics: Topics, label: str) -> Component:
    return {
        "platform": "binary_sensor",
        "name": _words(label),
        "device_class": "sound",
        "state_topic": topics.detected(label),
    }


def _commands(topics: Topics, shown: Shown) -> dict[str, Component]:
    record = {
        "platform": "button",
        "name": "Record",
        "icon": "mdi:record-rec",
        "command_topic": f"{topics.command}/record",
        "payload_press": "{}",
    }
    pause = {
        "platform": "switch",
        "name": "Pause",
        "icon": "mdi:ear-hearing-off",
        "command_topic": f"{topics.command}/pause",
        "payload_on": str(PAUSE_S),
        "payload_off": "0",
        "state_topic": topics.paused,
        "state_on": "ON",
        "state_off": "OFF",
    }
    thresholds = {
        _key("threshold", label): _threshold(topics, label) for label in shown.labels[:MOST_LABELS]
    }
    return ({"record": record} if shown.records else {}) | {"pause": pause} | thresholds


def _threshold(topics: Topics, label: str) -> Component:
    quoted = json.dumps(label)
    return {
        "platform": "number",
        "name": f"{_words(label)} threshold",
        "entity_category": "config",
        "icon": "mdi:tune-vertical",
        "state_topic": topics.info,
        "value_template": f"{{{{ value_json.thresholds.get({quoted}) }}}}",
        "command_topic": f"{topics.command}/threshold",
        "command_template": f'{{{{ {{"label": {quoted}, "value": value}} | to_json }}}}',
        "min": THRESHOLD_STEP,
        "max": 1,
        "step": THRESHOLD_STEP,
        "mode": "box",
    }


def _health(topics: Topics, shown: Shown) -> dict[str, Component]:
    texts = {
        "microphone": "Microphone",
        "recording": "Recording",
        "model": "Model",
        "broker": "Broker",
        "shedding": "Left out",
    }
    counts = {
        "xruns": ("Overruns", None, None),
        "gaps": ("Gaps", None, None),
        "late_patches": ("Late patches", None, None),
        "outbox_depth": ("Messages waiting", None, None),
        "cpu_percent": ("CPU", "%", None),
        "memory_mb": ("Memory", "MB", "data_size"),
        "disk_free_mb": ("Disk free", "MB", "data_size"),
        "uptime_s": ("Uptime", "s", "duration"),
    }
    if shown.thermometer:
        counts["temperature_c"] = ("Temperature", "°C", "temperature")
    common = {
        "state_topic": topics.health,
        "entity_category": "diagnostic",
        "expire_after": _expiry_s(shown.health_s),
    }
    entities: dict[str, Component] = {
        key: {
            "platform": "sensor",
            "name": name,
            "value_template": f"{{{{ (value_json.get('{key}') | string)[:250] }}}}",
            **common,
        }
        for key, name in texts.items()
    }
    for key, (name, unit, device_class) in counts.items():
        entities[key] = {
            "platform": "sensor",
            "name": name,
            "value_template": f"{{{{ value_json.get('{key}') }}}}",
            "state_class": "measurement",
            **({"unit_of_measurement": unit} if unit else {}),
            **({"device_class": device_class} if device_class else {}),
            **common,
        }
    entities["clock_synchronised"] = {
        "platform": "binary_sensor",
        "name": "Clock synchronised",
        "value_template": "{{ 'ON' if value_json.get('clock_synchronised') else 'OFF' }}",
        **common,
    }
    return entities


def _key(kind: str, label: str) -> str:
    return f"{kind}_{topic_word(label)}"


def _words(label: str) -> str:
    """Return a label for people: `dog_bark` as "Dog bark"."""
    words = label.replace("_", " ").strip() or label
    return words[:1].upper() + words[1:]
