# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edge.publish.spool import collect, deposit
from edge.types import Message

if TYPE_CHECKING:
    from pathlib import Path

REPORT = Message("edge/x/analysis", b'{"label": "\xc3\xa4"}\x00', qos=1, durable=True)


@pytest.mark.parametrize("message", [REPORT, Message("a/b", b"\x89PNG", qos=0, retain=True)])
def test_a_message_comes_out_as_it_went_in_and_only_once(tmp_path: Path, message: Message) -> None:
    taken: list[Message] = []
    deposit(tmp_path / "spool", message, "one")
    assert collect(tmp_path / "spool", taken.append) == 1
    assert taken == [message]
    assert collect(tmp_path / "spool", taken.append) == 0
    assert not list((tmp_path / "spool").iterdir())


def test_the_same_name_replaces(tmp_path: Path) -> None:
    taken: list[Message] = []
    deposit(tmp_path, Message("a", b"old", qos=1, durable=True), "one")
    deposit(tmp_path, REPORT, "one")
    collect(tmp_path, taken.append)
    assert taken == [REPORT]


def test_a_message_that_can_not_be_stored_stays(tmp_path: Path) -> None:
    def refuse(_message: Message) -> None:
        raise OSError("full")

    deposit(tmp_path, REPORT, "one")
    with pytest.raises(OSError, match="full"):
        collect(tmp_path, refuse)
    taken: list[Message] = []
    assert collect(tmp_path, taken.append) == 1
    assert taken == [REPORT]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', "{}", '{"topic": "a", "payload": "%", "qos": 1, "retain": 0}']
)
def test_what_is_no_message_is_set_aside_and_hinders_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    deposit(tmp_path, REPORT, "b")
    taken: list[Message] = []
    collect(tmp_path, taken.append)
    assert taken == [REPORT]
    assert [path.name for path in tmp_path.iterdir()] == ["a.bad"]


def test_a_file_that_is_still_being_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".one.part").write_text(json.dumps({"topic": "a"}))
    (tmp_path / ".two.json").write_text("{}")
    assert collect(tmp_path, lambda _: pytest.fail("not whole")) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert collect(tmp_path / "no", lambda _: pytest.fail("there is nothing")) == 0


def test_what_can_not_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        deposit(tmp_path, REPORT, "n" * 300)
    assert not list(tmp_path.iterdir())
