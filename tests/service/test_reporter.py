# SPDX-License-Identifier: MIT
"""What is published happened when the message says: held against clocks that a test sets."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edge.clock import StreamClock, format_utc
from edge.publish.payloads import Topics
from edge.service.reporter import Reporter
from edge.types import Event, Level, Message, Scores
from tests.seconds import a_level

RATE_HZ = 48000
BEGAN_WALL_S = 1_800_000_000.25
LABELS = ("rain", "dog", "other")


class Box:
    """A reporter whose stream began at `BEGAN_WALL_S`; keeps what it sends."""

    def __init__(self, *, live: bool = True, offset_db: float | None = None) -> None:
        self.sent: list[Message] = []
        self.mono_s = 1000.0
        clock = StreamClock(
            RATE_HZ,
            wall=lambda: BEGAN_WALL_S + self.mono_s - 1000.0,
            mono=lambda: self.mono_s,
        )
        clock.tie(RATE_HZ, 1001.0)
        self.mono_s = 1017.5  # asked later than it sounded, as always
        self.reporter = Reporter(
            topics=Topics("edge", "hive"),
            clock=clock,
            rate_hz=RATE_HZ,
            labels=LABELS,
            offset_db=lambda: offset_db,
            top_scores=2,
            live=live,
            send=self.sent.append,
        )

    def bodies(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(one.payload) for one in self.sent if one.topic == f"edge/hive/{topic}"]

    def states(self) -> list[tuple[str, bytes]]:
        return [
            (one.topic.removeprefix("edge/hive/detected/"), one.payload)
            for one in self.sent
            if "/detected/" in one.topic
        ]


def at(seconds: float) -> str:
    """Return the UTC text of that long after the stream began."""
    return format_utc(BEGAN_WALL_S + seconds)


def level(second: int, n_samples: int = RATE_HZ) -> Level:
    return a_level(second, RATE_HZ, n_samples=n_samples, gap=n_samples < RATE_HZ)


@pytest.mark.parametrize(
    ("offset_db", "told"), [(None, "LAeq -41.0 dBFS"), (120.0, "LAeq 79.0 dB")]
)
def test_the_line_for_people_says_whether_its_level_is_sound_pressure(
    offset_db: float | None, told: str
) -> None:
    box = Box(offset_db=offset_db)
    assert box.reporter.line() == "no level yet; no score yet"
    box.reporter.level(level(3))
    assert box.reporter.line() == f"{told}; no score yet"


@pytest.mark.parametrize(("n_samples", "heard_s"), [(RATE_HZ, 1.0), (12_000, 0.25)])
def test_a_level_carries_the_end_of_its_second_and_how_much_of_it_was_heard(
    n_samples: int, heard_s: float
) -> None:
    box = Box()
    box.reporter.level(level(4, n_samples))
    (body,) = box.bodies("level")
    assert (body["time"], body["duration_s"]) == (at(5.0), heard_s)


def test_scores_carry_the_end_of_their_patch() -> None:
    box = Box()
    box.reporter.scores(Scores(96_000, 46_800, np.array([0.2, 0.9, 0.1], np.float32)))
    (body,) = box.bodies("scores")
    assert (body["time"], body["duration_s"]) == (at(2.975), 0.975)
    assert list(body["scores"]) == ["dog", "rain"]


def test_an_event_carries_its_onset_then_its_offset_length_loudness_and_state() -> None:
    box = Box()
    box.reporter.level(level(4))
    box.reporter.event(Event("onset", "x-rain", "rain", 0.8, 120_000))
    box.reporter.event(Event("offset", "x-rain", "rain", 0.9, 120_000, 300_000))
    onset, offset = box.bodies("event")
    assert (onset["onset_time"], onset["laeq_dbfs"]) == (at(2.5), -41.0)
    assert "offset_time" not in onset
    assert "duration_s" not in onset
    assert (offset["onset_time"], offset["offset_time"]) == (at(2.5), at(6.25))
    assert (offset["duration_s"], offset["laeq_dbfs"]) == (3.75, -41.0)
    assert box.states() == [("rain", b"ON"), ("rain", b"OFF")]
    assert box.reporter.events == 1


def test_an_event_before_the_first_level_has_no_loudness() -> None:
    box = Box()
    box.reporter.event(Event("onset", "x-dog", "dog", 0.8, 0))
    (body,) = box.bodies("event")
    assert "laeq_dbfs" not in body


def test_who_sends_nothing_live_still_sends_events() -> None:
    box = Box(live=False)
    box.reporter.level(level(0))
    box.reporter.scores(Scores(0, 46_800, np.zeros(3, np.float32)))
    assert box.sent == []
    box.reporter.event(Event("onset", "x-dog", "dog", 0.8, 0))
    assert box.bodies("event")[0]["laeq_dbfs"] == -41.0


def test_at_a_start_every_label_is_silent() -> None:
    box = Box()
    box.reporter.silence()
    assert box.states() == [("rain", b"OFF"), ("dog", b"OFF"), ("other", b"OFF")]


def test_another_model_s_labels_are_silent_at_first_and_its_scores_are_named_by_them() -> None:
    box = Box()
    box.reporter.change_labels(("Bark", "Meow", "pets"), ("pets",))
    assert box.states() == [("pets", b"OFF")]
    box.reporter.scores(Scores(0, RATE_HZ, np.array([0.1, 0.7, 0.6], np.float32)))
    assert box.bodies("scores")[0]["scores"] == {"Meow": 0.7, "pets": 0.6}


def test_the_broker_forgets_the_states_that_another_model_does_not_have() -> None:
    box = Box()
    box.reporter.silence()
    box.sent.clear()
    box.reporter.change_labels(("Dog", "Bark"), ("Dog", "Bark"))
    assert box.states() == [("rain", b""), ("other", b""), ("dog", b"OFF"), ("bark", b"OFF")]
    assert all(one.retain for one in box.sent)
    box.sent.clear()
    box.reporter.change_labels(LABELS, LABELS)
    assert ("bark", b"") in box.states()


def test_states_that_nobody_has_are_not_told() -> None:
    box = Box()
    box.reporter.silence(["dog"])
    assert box.states() == [("dog", b"OFF")]


def test_the_newest_event_is_told_again_retained() -> None:
    box = Box()
    box.reporter.event(Event("onset", "e-1", "dog", 0.9, RATE_HZ))
    told, again = (one for one in box.sent if "/event" in one.topic)
    assert (told.topic, told.retain, told.durable) == ("edge/hive/event", False, True)
    assert (again.topic, again.retain, again.durable) == ("edge/hive/event/last", True, False)
    assert again.payload == told.payload
