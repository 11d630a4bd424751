# SPDX-License-Identifier: MIT
"""What a run that did not end in order leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from edge.publish.payloads import Topics
from edge.publish.spool import collect
from edge.service.lastwords import LONGEST_BACK_OFF_S, MOST, NAME, QUICK_S, LastWords
from tests.conftest import may_mount, small_disk

if TYPE_CHECKING:
    from pathlib import Path

    from edge.types import Message

TOPICS = Topics("edge", "x")


def last_words(state: Path, figures: dict[str, Any] | None) -> LastWords:
    return LastWords(state, figures, state / "spare")


def after(lasted_s: float) -> dict[str, Any]:
    return {"pid": os.getpid(), "uptime_s": lasted_s}


def test_what_ended_in_order_leaves_nothing(tmp_path: Path) -> None:
    last_words(tmp_path, None).end(in_order=True)
    words = last_words(tmp_path, None)
    words.end(in_order=True)
    assert words.before is None
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_kept_with_its_stack_and_the_figures(tmp_path: Path) -> None:
    first = last_words(tmp_path, None)
    first.say(ZeroDivisionError("by nothing"))
    first.end(in_order=False)
    words = last_words(tmp_path, after(3600.0))
    words.end(in_order=True)
    assert words.before
    assert words.before["how"] == "crashed"
    assert "ZeroDivisionError: by nothing" in words.before["words"]
    assert words.before["figures"]["uptime_s"] == 3600.0


def test_another_boot_was_a_power_cut_and_no_failure(tmp_path: Path) -> None:
    last_words(tmp_path, None).end(in_order=False)
    path = tmp_path / NAME
    head = json.loads(path.read_text())
    path.write_text(json.dumps(head | {"boot": "another"}) + "\n")
    for _ in range(4):
        words = last_words(tmp_path, after(1.0))
        words.end(in_order=False)
        path.write_text(json.dumps(head | {"boot": "another"}) + "\n")
    assert words.before
    assert words.before["how"] == "power cut"
    assert words.wait_s == 0.0


def test_runs_that_fail_at_once_wait_longer_and_longer(tmp_path: Path) -> None:
    waits = []
    for _ in range(12):
        words = last_words(tmp_path, after(QUICK_S - 1.0))
        words.end(in_order=False)
        waits.append(words.wait_s)
    assert waits[:3] == [0.0, 0.0, 1.0], "a single failure is mended at once"
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_BACK_OFF_S
    words = last_words(tmp_path, after(QUICK_S + 1.0))
    words.end(in_order=False)
    assert words.wait_s == 0.0, "it had run for a while"


def test_after_a_thousand_failures_a_run_still_starts(tmp_path: Path) -> None:
    last_words(tmp_path, None).end(in_order=False)
    path = tmp_path / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"failures": 2000}) + "\n")
    words = last_words(tmp_path, after(1.0))
    words.end(in_order=False)
    assert words.wait_s == LONGEST_BACK_OFF_S


def test_a_version_that_is_to_mend_a_failing_one_does_not_wait_for_it(tmp_path: Path) -> None:
    for _ in range(5):
        words = last_words(tmp_path, after(1.0))
        words.end(in_order=False)
    assert words.wait_s > 0.0
    path = tmp_path / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "0.0.1"}) + "\n")
    mending = last_words(tmp_path, after(1.0))
    mending.end(in_order=True)
    assert mending.wait_s == 0.0


def test_words_are_kept_until_they_are_told(tmp_path: Path) -> None:
    first = last_words(tmp_path, None)
    first.say(ZeroDivisionError("by nothing"))
    first.end(in_order=False)
    last_words(tmp_path, None).end(in_order=True)  # stopped before it could tell
    time.sleep(0.002)  # runs of one process begin at different milliseconds
    second = last_words(tmp_path, None)
    assert second.before
    assert "by nothing" in second.before["words"]
    second.say(ValueError("before it could tell"))
    second.end(in_order=False)
    third = last_words(tmp_path, None)
    assert third.before
    assert "before it could tell" in third.before["words"]
    assert "by nothing" in third.before["untold"]["words"]
    for _ in range(2):
        third.tell(TOPICS, tmp_path / "spool", at_once)
    third.end(in_order=True)
    (body,) = told(tmp_path)
    assert "before it could tell" in body["words"]
    assert "by nothing" in body["untold"]["words"]
    assert body["untold"]["message_id"] != body["message_id"], "each has its own"
    assert list(tmp_path.iterdir()) == []


def told(state: Path) -> list[dict[str, Any]]:
    """Take what lies in the spool, as the publisher does, and leave no folder."""
    taken: list[Message] = []
    collect(state / "spool", taken.append)
    (state / "spool").rmdir()
    assert all(message.durable for message in taken)
    return [json.loads(message.payload) for message in taken]


def at_once(_: Message) -> None:
    pytest.fail("what is only queued is lost with the process")


def test_words_that_can_not_be_left_for_the_outbox_are_sent_once_and_kept_until_an_orderly_end(
    tmp_path: Path,
) -> None:
    """As where the disk is full; who hears them again knows them by their number."""
    last_words(tmp_path, None).end(in_order=False)
    (tmp_path / "spool").write_text("a folder can't be made here")
    time.sleep(0.002)
    sent: list[Message] = []
    for in_order in (False, True):
        words = last_words(tmp_path, None)
        for _ in range(2):
            words.tell(TOPICS, tmp_path / "spool", sent.append)
        words.end(in_order=in_order)
        time.sleep(0.002)  # these have one process, and are told apart by their starts alone
    first, second = (json.loads(message.payload) for message in sent)
    assert second["untold"]["message_id"] == first["message_id"] != second["message_id"]
    words = last_words(tmp_path, None)
    words.tell(TOPICS, tmp_path / "spool", at_once)
    words.end(in_order=True)
    assert [path.name for path in tmp_path.iterdir()] == ["spool"]


def test_of_words_that_nobody_takes_away_the_newest_are_kept(tmp_path: Path) -> None:
    """Where the outbox can't be used, and the unit fails again and again."""
    last_words(tmp_path, None).end(in_order=False)
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "analysis-1.json").write_text("{}")
    ids: list[str] = []
    for _ in range(MOST + 3):
        words = last_words(tmp_path, None)
        assert words.before is not None
        ids.append(words.before["message_id"])
        words.tell(TOPICS, tmp_path / "spool", at_once)
        words.end(in_order=False)
        time.sleep(0.01)  # by their times they are told apart
    kept = {path.stem for path in (tmp_path / "spool").iterdir()}
    assert kept == {*ids[-MOST:], "analysis-1"}


def test_words_that_a_power_cut_brings_back_have_the_number_under_which_they_were_told(
    tmp_path: Path,
) -> None:
    """What lies in the spool was synced, what the next run wrote into its own file was not."""
    path = tmp_path / NAME
    last_words(tmp_path, None).end(in_order=False)
    dead = path.read_text()
    numbers = []
    for _ in range(2):
        path.write_text(dead)
        words = last_words(tmp_path, None)
        words.tell(TOPICS, tmp_path / "spool", at_once)
        words.end(in_order=False)
        numbers += [body["message_id"] for body in told(tmp_path)]
    assert len(numbers) == 2
    assert len(set(numbers)) == 1


def test_without_a_broker_words_are_told_in_the_log_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last_words(tmp_path, None).end(in_order=False)
    words = last_words(tmp_path, None)
    words.tell(TOPICS, None, at_once)
    words.end(in_order=True)
    assert "the last run was not ended in order: killed" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}\n", '{"failures": "x"}', "\0\0\0"])
def test_a_file_that_a_power_cut_has_cut_is_a_power_cut(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    words = last_words(tmp_path, None)
    words.end(in_order=True)
    assert words.before
    assert words.before["how"] == "power cut"


def test_a_directory_that_can_not_be_written_keeps_nobody_from_running() -> None:
    from pathlib import Path

    words = LastWords(Path("/proc/edge"), None, Path("/proc/edge/spare"))
    words.say(ValueError("x"))
    words.end(in_order=False)
    assert words.before is None


def test_a_file_that_a_run_of_this_boot_has_left_empty_is_no_power_cut(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    words = last_words(tmp_path, after(1.0))
    words.end(in_order=True)
    assert words.before
    assert words.before["how"] == "killed"


ON_A_FULL_DISK = """
import faulthandler, sys
from contextlib import suppress
from pathlib import Path
from edge.service.lastwords import NAME, LastWords
from tests.service.test_lastwords import after

disk, spare = Path(sys.argv[1]), Path(sys.argv[2])
if "first" in sys.argv:
    LastWords(disk, None, spare).end(in_order=False)
with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
    while True:
        filler.write(bytes(512))
waits = []
for _ in range(6):
    words = LastWords(disk, after(1.0), spare)
    assert faulthandler.is_enabled()
    words.say(ZeroDivisionError("by nothing"))
    words.end(in_order=False)
    waits.append(words.wait_s)
assert words.before["how"] == "crashed", words.before
assert "by nothing" in words.before["words"]
assert waits[-1] > waits[-2] > waits[-3] > 0.0, waits
(disk / "filler").unlink()
words = LastWords(disk, after(1.0), spare)
assert words.wait_s > waits[-1]
assert (disk / NAME).stat().st_size
assert not spare.exists()
words.end(in_order=False)
"""


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not allowed here")
@pytest.mark.parametrize("found", ["nothing", "first"])
def test_runs_that_fail_on_a_full_disk_wait_and_are_told_too(tmp_path: Path, found: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    wrap = small_disk(disk, "200k")
    done = subprocess.run(
        [*wrap, sys.executable, "-c", ON_A_FULL_DISK, disk, tmp_path / "spare", found],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
