# SPDX-License-Identifier: MIT
from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from edge.publish.spool import AT_ONCE, collect, deposit
from edge.types import Message

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


def body(**others: object) -> str:
    return json.dumps({"topic": "a", "payload": "", "qos": 1, "retain": 0, "durable": 0, **others})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"x"',
        "{}",
        "[" * 100_000,
        "1" * 5000,
        "\x00\xff",
        body(payload="%"),
        body(payload=1),
        *(body(topic=topic) for topic in ("", "a/#", "+/b", "a\0", "\ud800", "ä" * 32768, 1, None)),
    ],
)
def test_what_is_no_message_is_set_aside_and_hinders_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, "latin-1")
    deposit(tmp_path, REPORT, "b")
    taken: list[Message] = []
    assert collect(tmp_path, taken.append) == 1
    assert taken == [REPORT]
    assert [path.name for path in tmp_path.iterdir()] == ["a.bad"]


def test_many_are_taken_in_several_goes(tmp_path: Path) -> None:
    for number in range(AT_ONCE + 5):
        deposit(tmp_path, REPORT, f"{number}")
    assert [collect(tmp_path, lambda _: None) for _ in range(3)] == [AT_ONCE, 5, 0]


def test_a_topic_may_be_as_long_as_mqtt_has_it(tmp_path: Path) -> None:
    long = Message("ä" * 32767 + "b", b"", qos=1)
    deposit(tmp_path, long, "a")
    taken: list[Message] = []
    collect(tmp_path, taken.append)
    assert taken == [long]


def test_what_can_be_neither_read_nor_set_aside_is_said_once_and_hinders_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.json").mkdir()
    (tmp_path / "b.json").symlink_to("/proc/self/mem")
    os.mkfifo(tmp_path / "c.json")
    for number in range(2 * AT_ONCE):
        (tmp_path / f"d{number}.json").write_text("{")
        (tmp_path / f"d{number}.bad").mkdir()
    deposit(tmp_path, REPORT, "e")
    taken: list[Message] = []
    for _ in range(3):
        collect(tmp_path, taken.append)
    assert taken == [REPORT]
    assert len(caplog.messages) == 3 + 2 * AT_ONCE


def test_a_disk_that_fails_to_read_a_file_keeps_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        deposit(tmp_path, REPORT, name)
    whole = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == "a.json":
            raise OSError(errno.EIO, "Input/output error")
        return whole(path)

    taken: list[Message] = []
    with monkeypatch.context() as bad:
        bad.setattr(Path, "read_bytes", fail)
        assert [collect(tmp_path, taken.append) for _ in range(2)] == [1, 0]
    (said,) = caplog.messages
    assert said.endswith("a.json stays: it can't be read: Input/output error")
    assert collect(tmp_path, taken.append) == 1, "when it can be read again"


def test_what_another_takes_away_meanwhile_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        deposit(tmp_path, REPORT, name)

    def clear(_: Message) -> None:
        for path in tmp_path.iterdir():
            path.unlink()

    assert collect(tmp_path, clear) == 1
    assert not caplog.messages


def test_what_can_not_be_removed_goes_out_once_and_again_when_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    deposit(tmp_path, REPORT, "a")
    taken: list[Message] = []
    with monkeypatch.context() as bad:
        bad.setattr(Path, "unlink", fail)
        assert [collect(tmp_path, taken.append) for _ in range(3)] == [1, 0, 0]
    assert len(caplog.messages) == 1
    deposit(tmp_path, REPORT, "a")
    assert collect(tmp_path, taken.append) == 1


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
