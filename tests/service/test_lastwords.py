# SPDX-License-Identifier: MIT
"""What a run that did not end in order leaves behind."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from edge.publish.payloads import Topics
from edge.service.lastwords import LONGEST_BACK_OFF_S, NAME, QUICK_S, LastWords

if TYPE_CHECKING:
    from pathlib import Path

    from edge.types import Message


def after(lasted_s: float) -> dict[str, Any]:
    return {"pid": os.getpid(), "uptime_s": lasted_s}


def test_what_ended_in_order_leaves_nothing(tmp_path: Path) -> None:
    LastWords(tmp_path, None).end(in_order=True)
    words = LastWords(tmp_path, None)
    words.end(in_order=True)
    assert words.before is None
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_kept_with_its_stack_and_the_figures(tmp_path: Path) -> None:
    first = LastWords(tmp_path, None)
    first.say(ZeroDivisionError("by nothing"))
    first.end(in_order=False)
    words = LastWords(tmp_path, after(3600.0))
    words.end(in_order=True)
    assert words.before
    assert words.before["how"] == "crashed"
    assert "ZeroDivisionError: by nothing" in words.before["words"]
    assert words.before["figures"]["uptime_s"] == 3600.0


def test_another_boot_was_a_power_cut_and_no_failure(tmp_path: Path) -> None:
    LastWords(tmp_path, None).end(in_order=False)
    path = tmp_path / NAME
    head = json.loads(path.read_text())
    path.write_text(json.dumps(head | {"boot": "another"}) + "\n")
    for _ in range(4):
        words = LastWords(tmp_path, after(1.0))
        words.end(in_order=False)
        path.write_text(json.dumps(head | {"boot": "another"}) + "\n")
    assert words.before
    assert words.before["how"] == "power cut"
    assert words.wait_s == 0.0


def test_runs_that_fail_at_once_wait_longer_and_longer(tmp_path: Path) -> None:
    waits = []
    for _ in range(12):
        words = LastWords(tmp_path, after(QUICK_S - 1.0))
        words.end(in_order=False)
        waits.append(words.wait_s)
    assert waits[:3] == [0.0, 0.0, 1.0], "a single failure is mended at once"
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_BACK_OFF_S
    words = LastWords(tmp_path, after(QUICK_S + 1.0))
    words.end(in_order=False)
    assert words.wait_s == 0.0, "it had run for a while"


def test_after_a_thousand_failures_a_run_still_starts(tmp_path: Path) -> None:
    LastWords(tmp_path, None).end(in_order=False)
    path = tmp_path / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"failures": 2000}) + "\n")
    words = LastWords(tmp_path, after(1.0))
    words.end(in_order=False)
    assert words.wait_s == LONGEST_BACK_OFF_S


def test_a_version_that_is_to_mend_a_failing_one_does_not_wait_for_it(tmp_path: Path) -> None:
    for _ in range(5):
        words = LastWords(tmp_path, after(1.0))
        words.end(in_order=False)
    assert words.wait_s > 0.0
    path = tmp_path / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "0.0.1"}) + "\n")
    mending = LastWords(tmp_path, after(1.0))
    mending.end(in_order=True)
    assert mending.wait_s == 0.0


def test_words_are_kept_until_they_are_told(tmp_path: Path) -> None:
    first = LastWords(tmp_path, None)
    first.say(ZeroDivisionError("by nothing"))
    first.end(in_order=False)
    LastWords(tmp_path, None).end(in_order=True)  # stopped before it could tell
    second = LastWords(tmp_path, None)
    assert second.before
    assert "by nothing" in second.before["words"]
    second.say(ValueError("before it could tell"))
    second.end(in_order=False)
    third = LastWords(tmp_path, None)
    assert third.before
    assert "before it could tell" in third.before["words"]
    assert "by nothing" in third.before["untold"]["words"]
    told: list[Message] = []
    for _ in range(2):
        third.tell(Topics("edge", "x"), "x-1", told.append)
    (message,) = told
    body = json.loads(message.payload)
    assert body["message_id"] == "x-1-last-words"
    assert "before it could tell" in body["words"]
    third.end(in_order=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}\n", '{"failures": "x"}', "\0\0\0"])
def test_a_file_that_a_power_cut_has_cut_is_a_power_cut(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    words = LastWords(tmp_path, None)
    words.end(in_order=True)
    assert words.before
    assert words.before["how"] == "power cut"


def test_a_directory_that_can_not_be_written_keeps_nobody_from_running() -> None:
    from pathlib import Path

    words = LastWords(Path("/proc/edge"), None)
    words.say(ValueError("x"))
    words.end(in_order=False)
    assert words.before is None
