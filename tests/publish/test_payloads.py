# SPDX-License-Identifier: MIT
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.publish import payloads
from edge.publish.payloads import Topics, topic_word
from edge.types import Event, Scores, Utc
from tests.seconds import a_level

TOPICS = Topics("edge", "hive")
NOON = Utc("2027-01-15T12:00:00.000Z", synchronised=True)


@given(st.text(max_size=50))
def test_any_label_becomes_one_safe_word(label: str) -> None:
    word = topic_word(label)
    assert word
    assert set(word) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_labels_of_other_scripts_have_words_of_their_own() -> None:
    labels = ("犬", "雨", "雨 2", "犬 2", "été", "t", "!")
    assert len({topic_word(label) for label in labels}) == len(labels)
    assert topic_word("Bark (dog)") == "bark_dog"


def test_a_level_says_its_unit_its_time_and_that_it_is_not_calibrated() -> None:
    level = a_level(clipped_samples=3)
    message = payloads.level(
        TOPICS, level, NOON, duration_s=1.0, offset_db=None, under_range_dbfs=-90
    )
    assert (message.topic, message.qos, message.retain, message.durable) == (
        "edge/hive/level",
        0,
        False,
        False,
    )
    assert json.loads(message.payload) == {
        "laeq_dbfs": -41.0,
        "lafmax_dbfs": -38.0,
        "lafmin_dbfs": -45.0,
        "lasmax_dbfs": -40.0,
        "lceq_dbfs": -40.5,
        "lcpeak_dbfs": -20.0,
        "lzeq_dbfs": -40.0,
        "calibrated": False,
        "gap": False,
        "overload": True,
        "under_range": False,
        "clipped_samples": 3,
        "time": "2027-01-15T12:00:00.000Z",
        "clock_synchronised": True,
        "duration_s": 1.0,
    }


def test_a_calibrated_level_is_in_db_spl_under_names_without_full_scale() -> None:
    level = a_level(lafmin_dbfs=None)
    message = payloads.level(
        TOPICS, level, NOON, duration_s=1.0, offset_db=120.0, under_range_dbfs=-41.0
    )
    body = json.loads(message.payload)
    assert body["under_range"]
    assert (body["laeq_db"], body["lcpeak_db"], body["lafmin_db"]) == (79.0, 100.0, None)
    assert body["calibrated"]
    assert not [key for key in body if key.endswith("_dbfs")]


def test_an_event_is_durable_never_retained_and_has_an_id_of_its_own() -> None:
    def message_of(event: Event) -> dict[str, object]:
        message = payloads.event(TOPICS, event, onset=NOON, offset=None, fields={})
        assert (message.qos, message.durable, message.retain) == (1, True, False)
        body: dict[str, object] = json.loads(message.payload)
        return body

    onset = message_of(Event("onset", "hive-1-480-rain", "rain", 0.91234, 480))
    offset = message_of(Event("offset", "hive-1-480-rain", "rain", 0.95, 480, 9600))
    assert onset["event_id"] == offset["event_id"]
    assert onset["message_id"] != offset["message_id"]
    assert onset["event_type"] == "onset"
    assert onset["score"] == 0.912


def test_states_are_retained_and_plain_words() -> None:
    assert payloads.status(TOPICS, online=False).payload == b"offline"
    state = payloads.detected(TOPICS, "Smoke alarm", on=True)
    assert (state.topic, state.payload, state.retain) == (
        "edge/hive/detected/smoke_alarm",
        b"ON",
        True,
    )


def test_the_top_scores_come_best_first() -> None:
    scores = Scores(0, 1, np.array([0.1, 0.7, 0.4], np.float32))
    top = payloads.top_scores(("a", "b", "c"), scores, 2)
    assert list(top.items()) == [("b", 0.7), ("c", 0.4)]


def test_a_figure_that_is_no_number_is_refused_rather_than_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        payloads.health(TOPICS, {"cpu_percent": float("nan")}, NOON)


@pytest.mark.parametrize("node", ["x", "event", "clip", "level"])
def test_what_waits_is_told_below_the_root_of_now(node: str) -> None:
    former, now = Topics("south/barn", node), Topics("edge", "hive")
    waiting = [former.event, former.clip, former.analysis, former.picture, former.last_words]
    waiting += [former.level_over(span) for span in ("minute", "hour", "day")]
    for topic in waiting:
        assert now.own(topic) == now.root + topic.removeprefix(former.root)
        assert now.own(now.own(topic)) == now.own(topic)
    assert now.own("anything/else") == "anything/else"
