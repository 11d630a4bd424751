# SPDX-License-Identifier: MIT
"""Topics and JSON: pure, and the whole of what the box says to a broker.

Every quantity has its unit in its name, every time is ISO 8601 UTC with
milliseconds. Levels are dB relative to full scale, `…_dbfs`, until the box is calibrated;
then they are sound pressure levels, `…_db`.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, Any

from edge.decibels import named, unit_of
from edge.types import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.types import Event, Level, Scores, Utc

ONLINE = b"online"
OFFLINE = b"offline"
_OF_EVERY_CLIP = {"schema", "node", "device", "model", "software_version", "sample_format"}


# Below the root: what goes through the outbox, or lies in the spool.
_WAITS = re.compile(r"/(event|clip|analysis(/picture)?|last_words|level/(minute|hour|day))$")


class Topics:
    """The topics of one box: `<base>/<node>/...`."""

    def __init__(self, base: str, node: str) -> None:
        self.root = f"{base}/{node}"
        self.status = f"{self.root}/status"
        self.info = f"{self.root}/info"
        self.run = f"{self.root}/run"
        self.level = f"{self.root}/level"
        self.calibration = f"{self.root}/calibration"
        self.scores = f"{self.root}/scores"
        self.event = f"{self.root}/event"
        self.last_event = f"{self.event}/last"
        self.paused = f"{self.root}/paused"
        self.health = f"{self.root}/health"
        self.last_words = f"{self.root}/last_words"
        self.clip = f"{self.root}/clip"
        self.analysis = f"{self.root}/analysis"
        self.picture = f"{self.analysis}/picture"
        self.command = f"{self.root}/command"

    def own(self, topic: str) -> str:
        """Return the box's topic for a message that waits: it may have had another name then."""
        word = _WAITS.search(topic)
        return f"{self.root}{word[0]}" if word else topic

    def level_over(self, span: str) -> str:
        """Return where the levels of each "minute", "hour" or "day" go."""
        return f"{self.level}/{span}"

    def result(self, command: str) -> str:
        """Return where the answer to a command goes."""
        return f"{self.command}/{command}/result"

    def detected(self, label: str) -> str:
        """Return the state topic of a label; what a topic can't hold becomes `_`."""
        return f"{self.root}/detected/{topic_word(label)}"


def topic_word(label: str) -> str:
    """Return `label` in `a-z 0-9 _ -` only, never empty: safe in a topic and an entity id.

    A label of which letters are lost is told from others by its checksum.
    """
    small = label.lower()
    word = re.sub(r"[^a-z0-9_-]+", "_", small).strip("_")
    if word and not any(letter.isalnum() and not letter.isascii() for letter in small):
        return word
    return f"{word}_{zlib.crc32(small.encode(errors='replace')):08x}".strip("_")


def status(topics: Topics, *, online: bool) -> Message:
    """Return the availability message; `online=False` is also the last will."""
    return Message(topics.status, ONLINE if online else OFFLINE, qos=1, retain=True)


def run(topics: Topics, identity: str) -> Message:
    """Return what tells this run of the box from any other: retained."""
    return Message(topics.run, identity.encode(), qos=1, retain=True)


def info(topics: Topics, facts: Mapping[str, Any]) -> Message:
    """Return what the box is: versions, model, labels, source, settings' digest."""
    return _json(topics.info, facts, qos=1, retain=True)


def level(
    topics: Topics,
    measured: Level,
    at: Utc,
    *,
    duration_s: float,
    offset_db: float | None,
    under_range_dbfs: float,
) -> Message:
    """Return one second's levels; `at` is when they ended, the rest as in `level_fields`."""
    fields = level_fields(measured, offset_db, under_range_dbfs)
    return _json(topics.level, fields | _time(at) | {"duration_s": round(duration_s, 3)})


def level_fields(
    measured: Level, offset_db: float | None, under_range_dbfs: float
) -> dict[str, Any]:
    """Return the figures of a level without its time, as `edge replay` prints them too.

    `offset_db` as in `decibels.named`. Under `under_range_dbfs` LAeq is the converter's own noise.
    """
    figures = {
        "laeq": measured.laeq_dbfs,
        "lafmax": measured.lafmax_dbfs,
        "lafmin": measured.lafmin_dbfs,
        "lasmax": measured.lasmax_dbfs,
        "lceq": measured.lceq_dbfs,
        "lcpeak": measured.lcpeak_dbfs,
        "lzeq": measured.lzeq_dbfs,
    }
    return named(figures, offset_db) | {
        "calibrated": offset_db is not None,
        "gap": measured.gap,
        "overload": measured.clipped_samples > 0,
        "under_range": measured.laeq_dbfs < under_range_dbfs,
        "clipped_samples": measured.clipped_samples,
    }


def level_over(
    topics: Topics,
    span: str,
    message_id: str,
    *,
    figures_dbfs: Mapping[str, float | None],
    bands_dbfs: Mapping[str, float],
    times: tuple[Utc, Utc],
    offset_db: float | None,
    extra: Mapping[str, Any],
) -> Message:
    """Return the levels of a "minute", "hour" or "day".

    Parameters
    ----------
    bands_dbfs : by "third_octave_63" or "octave_63", the nominal frequency in Hz.
    times : when it began and ended.
    extra : what is no level: how much was heard, lost, clipped.
    """
    start, end = times
    bands = {name: round(value + (offset_db or 0.0), 1) for name, value in bands_dbfs.items()}
    body = {
        "message_id": message_id,
        **named(figures_dbfs, offset_db),
        "calibrated": offset_db is not None,
        **({f"bands_{unit_of(offset_db)}": bands} if bands else {}),
        **extra,
        "start_time": start.text,
        **_time(end),
    }
    return _json(topics.level_over(span), body, qos=1, durable=True)


def calibration(topics: Topics, facts: Mapping[str, Any]) -> Message:
    """Return whether the box is calibrated, how and when: retained."""
    return _json(topics.calibration, facts, qos=1, retain=True)


def scores(topics: Topics, top: Mapping[str, float], at: Utc, *, duration_s: float) -> Message:
    """Return the best labels of one patch; `at` is when it ended."""
    return _json(
        topics.scores, {"scores": dict(top)} | _time(at) | {"duration_s": round(duration_s, 3)}
    )


def top_scores(labels: Sequence[str], heard: Scores, count: int) -> dict[str, float]:
    """Return the `count` best labels with their scores, best first."""
    order = heard.values.argsort()[::-1][:count]
    return {labels[i]: round(float(heard.values[i]), 3) for i in order}


def event(
    topics: Topics, what: Event, *, onset: Utc, offset: Utc | None, fields: Mapping[str, Any]
) -> Message:
    """Return an onset or an offset. `event_type` is the key that Home Assistant reads.

    `message_id` is unique: who gets a message twice (QoS 1 allows it) can tell.
    """
    body: dict[str, Any] = {
        "event_type": what.edge,
        "message_id": f"{what.event_id}-{what.edge}",
        **event_fields(what),
        **fields,
        "onset_time": onset.text,
        "clock_synchronised": onset.synchronised,
    }
    if offset is not None:
        body["offset_time"] = offset.text
    return _json(topics.event, body, qos=1, durable=True, worth=2)


def last_event(topics: Topics, told: Message) -> Message:
    """Return an event's message again, retained: for who shows the newest, and acts on none."""
    return Message(topics.last_event, told.payload, qos=1, retain=True)


def event_fields(what: Event) -> dict[str, Any]:
    """Return the figures of an event without its times, as `edge replay` prints them too."""
    return {
        "event_id": what.event_id,
        "label": what.label,
        "score": round(what.score, 3),
        "onset_sample": what.onset_index,
        "offset_sample": what.offset_index,
    }


def detected(topics: Topics, label: str, *, on: bool) -> Message:
    """Return the retained state of a label."""
    return Message(topics.detected(label), b"ON" if on else b"OFF", qos=1, retain=True)


def forgotten(topic: str) -> Message:
    """Return what makes the broker forget a state that is none any more."""
    return Message(topic, b"", qos=1, retain=True)


def paused(topics: Topics, *, on: bool) -> Message:
    """Return whether the box makes no events and clips for a while: retained."""
    return Message(topics.paused, b"ON" if on else b"OFF", qos=1, retain=True)


def clip(topics: Topics, sidecar: Mapping[str, Any]) -> Message:
    """Return what a clip's sidecar says, but for what all clips of a box share."""
    body = {"message_id": f"{sidecar['clip_id']}-clip"}
    body |= {key: value for key, value in sidecar.items() if key not in _OF_EVERY_CLIP}
    return _json(topics.clip, body, qos=1, durable=True, worth=1)


def analysis(topics: Topics, report: Mapping[str, Any]) -> Message:
    """Return the report of a clip; its `message_id` is its own."""
    return _json(topics.analysis, report, qos=1, durable=True)


def picture(topics: Topics, png: bytes) -> Message:
    """Return the picture of the clip analysed last: retained, so a dashboard always has one."""
    return Message(topics.picture, png, qos=1, retain=True)


def result(topics: Topics, command: str, answer: Mapping[str, Any]) -> Message:
    """Return the answer to a command: `ok`, and what it did, or an `error` that says why not."""
    return _json(topics.result(command), answer, qos=1)


def last_words(topics: Topics, facts: Mapping[str, Any], at: Utc) -> Message:
    """Return what a run that did not end in order has left behind; `at` is when it is told."""
    return _json(topics.last_words, dict(facts) | _time(at), qos=1, durable=True, worth=2)


def health(topics: Topics, figures: Mapping[str, Any], at: Utc) -> Message:
    """Return the figures of the box itself."""
    return _json(topics.health, dict(figures) | _time(at), qos=1)


def _time(at: Utc) -> dict[str, Any]:
    return {"time": at.text, "clock_synchronised": at.synchronised}


def _json(topic: str, body: Mapping[str, Any], **how: Any) -> Message:  # noqa: ANN401 - Message's own fields
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A label or a file's name may hold what has no UTF-8; a message is said all the same.
    return Message(topic, text.encode(errors="replace"), **how)
