# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.publish.payloads import Topics
from edge.service.commands import Orders
from tests.conftest import UNTIMED
from tests.record.box import Box

if TYPE_CHECKING:
    from pathlib import Path

    from edge.types import Message

TOPICS = Topics("edge", "box")


class Told:
    """A box that is told things, and its answers."""

    def __init__(self, directory: Path, *, records: bool = True) -> None:
        self.box = Box(directory)
        self.box.recorder.open()
        self.box.feed(24_000)
        self.sent: list[Message] = []
        orders = Orders(self.box.recorder if records else None, max_record_s=60.0, more={})
        self._commands = orders.commands(TOPICS, self.sent.append)

    def tell(self, name: str, payload: object) -> dict[str, Any]:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._commands.received(f"edge/box/command/{name}", data)
        self.box.recorder.work_off()
        answer = self.sent.pop()
        assert not self.sent, "one answer"
        body: dict[str, Any] = json.loads(answer.payload)
        self.topic = answer.topic
        assert answer.qos == 1
        assert not answer.retain
        return body

    def recorded_s(self) -> list[float]:
        """Return the lengths of the clips that come of what was told."""
        self.box.feed(400_000)
        self.box.recorder.finish()
        return [clip["duration_s"] for clip in self.box.saved]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_a_recording_is_answered_with_what_to_look_for(told: Told) -> None:
    answer = told.tell("record", {"seconds": 2.5, "request_id": "mine"})
    name = answer.pop("command")
    assert answer == {"ok": True, "seconds": 2.5, "request_id": "mine"}
    assert told.topic == "edge/box/command/record/result"
    assert told.recorded_s() == [2.5]
    assert told.box.saved[0]["commands"] == [name]


@pytest.mark.parametrize(("payload", "seconds"), [(b"4", 4.0), (b"", 10.0), (b"{}", 10.0)])
def test_a_bare_number_will_do_and_so_will_nothing(
    told: Told, payload: bytes, seconds: float
) -> None:
    assert told.tell("record", payload)["seconds"] == seconds
    assert sum(told.recorded_s()) == seconds


BAD = [
    (b"soon", "no number"),
    (b"{soon", "not JSON"),
    (b"[1]", "no number"),
    (b"\xff\xfe", "not JSON"),
    (b'"ten"', "no number"),
    (b"true", "no number"),
    (b"null", "no number"),
    (b"NaN", "send 0.1 to 60"),
    (b"1e999", "send 0.1 to 60"),
    (b"1" + b"0" * 400, "send 0.1 to 60"),
    (b"-3", "send 0.1 to 60"),
    (b"61", "send 0.1 to 60"),
    ({"second": 3}, "unknown key 'second'"),
    ({"seconds": 3, "request_id": [1]}, "request_id"),
    (b'{"seconds": 1, "request_id": "\\ud800"}', "not JSON"),
    (b'{"\\ud800": 1}', "not JSON"),
    (b"[" * 900, "not JSON"),
    (b'{"seconds":' + b" " * 2000 + b"1}", "bytes are too many"),
]


@pytest.mark.parametrize(("payload", "reason"), BAD)
def test_a_bad_recording_is_answered_with_the_reason(
    told: Told, payload: object, reason: str
) -> None:
    answer = told.tell("record", payload)
    assert answer["ok"] is False
    assert reason in answer["error"]
    assert told.recorded_s() == []


def test_what_is_in_the_way_of_a_recording_is_said(told: Told, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)
    told.tell("record", 1)
    told.box.feed(80_000)  # it can't be written: recording pauses
    tmp_path.mkdir()
    answer = told.tell("record", {"seconds": 5, "request_id": 4})
    assert answer["ok"] is False
    assert "recording pauses" in answer["error"]
    assert answer["request_id"] == 4


def test_a_box_that_does_not_record_says_so(tmp_path: Path) -> None:
    told = Told(tmp_path, records=False)
    assert "does not record" in told.tell("record", 5)["error"]
    assert "does not record" in told.tell("keep", 5)["error"]


def test_a_clip_is_kept_and_let_go(told: Told) -> None:
    told.tell("record", 1)
    told.recorded_s()
    (clip,) = told.box.saved
    stem = clip["file"].removesuffix(".flac")
    for payload, keep in ((clip["number"], True), ({"clip": stem, "keep": False}, False)):
        answer = told.tell("keep", payload)
        assert answer == {"ok": True, "clip": stem, "keep": keep}
        assert told.box.store.find(stem).kept is keep


def test_a_bare_word_will_do_as_a_shell_passes_it_on(told: Told) -> None:
    told.tell("record", 1)
    told.recorded_s()
    stem = told.box.saved[0]["file"].removesuffix(".flac")
    assert told.tell("keep", stem.encode())["clip"] == stem
    assert "not JSON" in told.tell("keep", b"two words")["error"]


@pytest.mark.parametrize("payload", [b"", b"true", b"1.5", {"clip": 4, "keep": "no"}])
def test_a_bad_wish_to_keep_is_answered(told: Told, payload: object) -> None:
    assert "no clip is named" in told.tell("keep", payload)["error"]


@pytest.mark.parametrize("clip", [404, "1234567890123456789", "\u0663", "../x", "replay-0", ""])
def test_a_clip_that_is_not_there_is_answered(told: Told, clip: object) -> None:
    answer = told.tell("keep", {"clip": clip, "request_id": 7})
    assert (answer["ok"], answer["request_id"]) == (False, 7)


def test_an_unknown_command_is_answered_where_no_name_from_outside_becomes_a_topic(
    told: Told,
) -> None:
    assert "commands are: keep, record" in told.tell("reboot", b"")["error"]
    assert told.topic == "edge/box/command/unknown/result"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(["seconds", "clip", "keep", "request_id"])
PAYLOADS = st.binary(max_size=200) | (JSON | st.dictionaries(KEYS, JSON)).map(
    lambda value: json.dumps(value).encode()
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, *UNTIMED], deadline=None)
@given(PAYLOADS, st.sampled_from(["record", "keep", "x"]))
def test_whatever_comes_gets_one_answer(told: Told, payload: bytes, name: str) -> None:
    assert isinstance(told.tell(name, payload)["ok"], bool)
