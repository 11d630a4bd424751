# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import EdgeError, StorageError
from edge.publish.payloads import Topics
from edge.service.commands import Orders

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.types import Message

TOPICS = Topics("edge", "box")


class Recorder:
    """What commands ask of a recorder."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.trouble = False

    def request(self, seconds: float) -> str:
        if self.trouble:
            raise StorageError("the disk is full", "free some space")
        self.asked.append(seconds)
        return "command-1"

    def mark(self, clip: str, *, keep: bool, done: Callable[[str | EdgeError], None]) -> None:
        self.asked.append((clip, keep))
        done(StorageError("no such clip") if clip == "404" else f"{clip}_rain")


class Box:
    """A box that is told things, and its answers."""

    def __init__(self, *, records: bool = True) -> None:
        self.recorder = Recorder()
        self.sent: list[Message] = []
        orders = Orders(self.recorder if records else None, max_record_s=60.0)  # type: ignore[arg-type] # has what is asked
        self._commands = orders.commands(TOPICS, self.sent.append)

    def tell(self, name: str, payload: object) -> dict[str, Any]:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._commands.received(f"edge/box/command/{name}", data)
        (answer,) = self.sent
        body: dict[str, Any] = json.loads(answer.payload)
        assert answer.qos == 1
        assert not answer.retain
        return body


def test_a_recording_is_answered_with_what_to_look_for() -> None:
    box = Box()
    answer = box.tell("record", {"seconds": 12.5, "request_id": "mine"})
    assert answer == {"ok": True, "command": "command-1", "seconds": 12.5, "request_id": "mine"}
    assert box.recorder.asked == [12.5]
    assert box.sent[0].topic == "edge/box/command/record/result"


@pytest.mark.parametrize(("payload", "seconds"), [(b"7", 7), (b"", 10.0), (b"{}", 10.0)])
def test_a_bare_number_will_do_and_so_will_nothing(payload: bytes, seconds: float) -> None:
    box = Box()
    assert box.tell("record", payload)["ok"] is True
    assert box.recorder.asked == [seconds]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"soon", "not JSON"),
        (b"[1]", "not JSON|no number"),
        (b"\xff\xfe", "not JSON"),
        (b'"ten"', "no number"),
        (b"true", "no number"),
        (b"null", "no number"),
        (b"NaN", "send 0.1 to 60"),
        (b"1e999", "send 0.1 to 60"),
        (b"-3", "send 0.1 to 60"),
        (b"61", "send 0.1 to 60"),
        ({"second": 3}, "unknown key 'second'"),
        ({"seconds": 3, "request_id": [1]}, "request_id"),
        (b"[" * 900, "not JSON"),
        (b'{"seconds":' + b" " * 2000 + b"1}", "too many|bytes are"),
    ],
)
def test_a_bad_recording_is_answered_with_the_reason(payload: object, reason: str) -> None:
    box = Box()
    answer = box.tell("record", payload)
    assert answer["ok"] is False
    assert any(part in answer["error"] for part in reason.split("|"))
    assert box.recorder.asked == []


def test_what_is_in_the_way_of_a_recording_is_said() -> None:
    box = Box()
    box.recorder.trouble = True
    answer = box.tell("record", {"seconds": 5, "request_id": 4})
    assert answer == {
        "ok": False,
        "error": "the disk is full (free some space)",
        "request_id": 4,
    }


def test_a_box_that_does_not_record_says_so() -> None:
    assert "does not record" in Box(records=False).tell("record", 5)["error"]
    assert "does not record" in Box(records=False).tell("keep", 5)["error"]


@pytest.mark.parametrize(
    ("payload", "asked"),
    [
        ({"clip": 12}, ("12", True)),
        ({"clip": "0000012_x", "keep": False}, ("0000012_x", False)),
        (b"12", ("12", True)),
    ],
)
def test_a_clip_is_kept_and_let_go(payload: object, asked: tuple[str, bool]) -> None:
    box = Box()
    answer = box.tell("keep", payload)
    assert (answer["ok"], answer["clip"], answer["keep"]) == (True, f"{asked[0]}_rain", asked[1])
    assert box.recorder.asked == [asked]


@pytest.mark.parametrize("payload", [b"", b"true", b"1.5", {"clip": 4, "keep": "no"}])
def test_a_bad_wish_to_keep_is_answered(payload: object) -> None:
    box = Box()
    assert "no clip is named" in box.tell("keep", payload)["error"]


def test_a_clip_that_is_not_there_is_answered() -> None:
    assert Box().tell("keep", 404) == {"ok": False, "error": "no such clip"}


def test_an_unknown_command_is_answered_where_no_name_from_outside_becomes_a_topic() -> None:
    box = Box()
    answer = box.tell("reboot", b"")
    assert "commands are: keep, record" in answer["error"]
    assert box.sent[0].topic == "edge/box/command/unknown/result"


@given(st.binary(max_size=200), st.sampled_from(["record", "keep", "x"]))
def test_whatever_comes_gets_one_answer(payload: bytes, name: str) -> None:
    assert isinstance(Box().tell(name, payload)["ok"], bool)
