# SPDX-License-Identifier: MIT
"""The idle-time unit as a process of its own: nothing lost, nothing twice, whatever dies."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from edge.errors import EXIT_STORAGE
from edge.service.hearing import Hearing
from tests.conftest import wait_until
from tests.service.analyzer import (
    LONG_S,
    PICTURE,
    STOP_S,
    alive,
    bucket,
    leftovers,
    libraries,
    made,
    messages,
    put,
    reports,
    state_of,
    unit_program,
    wait_for_all,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.service.analyzer import Analyzer

    Start = Callable[..., Analyzer]


@pytest.mark.data
def test_the_boxs_clips_are_analysed_and_each_is_told_once(
    analyze: Start, tmp_path: Path, data: Path
) -> None:
    sounds = sorted((data / "esc10-dev/audio").glob("*.flac"))[:3]
    stems = [put(tmp_path, number, sound) for number, sound in enumerate(sounds)]
    command = put(tmp_path, 100, sounds[0], label="command")
    (bucket(tmp_path) / f"{stems[0]}.keep").touch()
    analyzer = analyze("analysis.stems=true", PICTURE)
    wait_for_all(tmp_path, [*stems, command])
    # The log says so after the report has got its name.
    wait_until(lambda: analyzer.log().count("is analysed") == 4, "all four in the log")
    done = [line for line in analyzer.log().splitlines() if "is analysed" in line]
    order = [next(s for s in (*stems, command) if s in line) for line in done]
    assert order == [command, stems[0], stems[2], stems[1]]
    report = reports(tmp_path)[stems[1]]
    assert (report["clip_id"], report["label"]) == ("edge-abc-1", "dog_bark")
    for name in (report["picture"], *report["stems"]):
        assert (bucket(tmp_path) / name).stat().st_size > 1000
    told = messages(tmp_path)
    assert sorted(one["message_id"] for one in told) == sorted(
        f"edge-abc-{number}-analysis" for number in (0, 1, 2, 100)
    )
    assert report.items() <= told[1].items()
    # New clips are seen without a restart.
    late = put(tmp_path, 200, sounds[1])
    wait_for_all(tmp_path, [late])
    assert analyzer.stop() == 0
    assert leftovers(tmp_path) == []


def test_a_box_that_is_not_to_analyse_runs_and_leaves_its_clips_alone(
    analyze: Start, tmp_path: Path
) -> None:
    put(tmp_path, 1, made(tmp_path, 1.0))
    analyzer = analyze("analysis.enabled=false")
    wait_until(lambda: "nothing is to be done" in analyzer.log(), "the unit has looked")
    time.sleep(1.0)  # in which a worker would long have been started
    assert analyzer.child() is None
    assert "analysis.enabled = false" in analyzer.log()
    assert analyzer.stop() == 0
    assert reports(tmp_path) == {}


def test_the_parent_stays_light(analyze: Start, tmp_path: Path) -> None:
    put(tmp_path, 1, made(tmp_path, 1.0))
    analyzer = analyze()
    analyzer.wait_child()
    loaded = libraries(analyzer.process.pid)
    assert "_multiarray_umath" not in loaded  # NumPy's
    assert "onnxruntime" not in loaded
    assert "pydantic" not in loaded


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_in_mid_clip_ends_a_worker_that_hangs_too_and_the_clip_is_done_later(
    analyze: Start, tmp_path: Path, number: signal.Signals
) -> None:
    stem = put(tmp_path, 1, made(tmp_path, LONG_S))
    analyzer = analyze("analysis.stems=true")
    child = analyzer.wait_child()
    wait_until(lambda: leftovers(tmp_path), "stems under way")
    os.kill(child, signal.SIGSTOP)  # whatever it does: here it can't even answer
    analyzer.process.send_signal(number)
    assert analyzer.process.wait(STOP_S) == 0
    assert not alive(child)
    assert reports(tmp_path) == {}
    assert leftovers(tmp_path) == []
    for _ in range(2):  # stops are no failures of the clip, however many
        again = analyze()
        again.wait_child()
        assert again.stop() == 0
        attempt = json.loads((tmp_path / "analyze.json").read_bytes())
        assert (attempt["interruptions"], attempt["failures"]) == (0, 0)
        assert attempt["running"] is False
    (tmp_path / "clips/0000" / f"{stem}.flac").write_bytes(made(tmp_path, 1.0).read_bytes())
    analyze()
    wait_for_all(tmp_path, [stem])
    assert "error" not in reports(tmp_path)[stem]


def test_kill_9_of_parent_or_worker_at_any_moment_loses_nothing_and_doubles_nothing(
    analyze: Start, tmp_path: Path
) -> None:
    stems = [put(tmp_path, number, made(tmp_path, 1.0)) for number in range(20)]
    chance = random.Random(5)  # noqa: S311 - a seed, no secret
    interrupted = 0
    for round_number in range(6):
        stems += [put(tmp_path, len(stems) + k, made(tmp_path, 1.0)) for k in range(2)]
        analyzer = analyze(PICTURE)
        child = analyzer.wait_child()
        # From the first report of each on, so that no clip is met again and again.
        before = len(reports(tmp_path))
        wait_until(lambda known=before: len(reports(tmp_path)) > known, "a report")
        time.sleep(chance.uniform(0.0, 0.5))
        victim = child if round_number % 2 else analyzer.process.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        time.sleep(chance.uniform(0.0, 0.2))
        analyzer.close()
        wait_until(lambda pid=child: not alive(pid), "the worker dies with its parent")
        for report in reports(tmp_path).values():
            assert "error" not in report
            assert (bucket(tmp_path) / report["picture"]).exists()
        interrupted += len(reports(tmp_path)) < len(stems)
    assert interrupted
    analyzer = analyze(PICTURE)
    wait_for_all(tmp_path, stems)
    assert analyzer.stop() == 0
    assert [stem for stem, report in reports(tmp_path).items() if "error" in report] == []
    ids = [message["message_id"] for message in messages(tmp_path)]
    assert len(ids) == len(set(ids)) == len(stems)
    assert leftovers(tmp_path) == []


def test_a_clip_of_which_the_worker_dies_twice_is_set_aside_and_the_others_go_on(
    analyze: Start, tmp_path: Path
) -> None:
    good = put(tmp_path, 1, made(tmp_path, 1.0))
    poisoned = put(tmp_path, 2, made(tmp_path, LONG_S))
    analyzer = analyze()
    first = analyzer.wait_child()
    os.kill(first, signal.SIGSEGV)
    wait_until(lambda: analyzer.child() not in {first, None}, "a second worker")
    second = analyzer.wait_child()
    assert reports(tmp_path) == {}
    os.kill(second, signal.SIGSEGV)
    wait_for_all(tmp_path, [good, poisoned])
    assert "SIGSEGV" in reports(tmp_path)[poisoned]["error"]
    assert "error" not in reports(tmp_path)[good]
    wait_until(lambda: f"{good} is analysed" in analyzer.log(), "both are done with")
    assert analyzer.log().count("is set aside") == 1
    assert sum("error" in one for one in messages(tmp_path)) == 1
    assert analyzer.stop() == 0
    analyzer = analyze()
    late = put(tmp_path, 3, made(tmp_path, 1.0))
    wait_for_all(tmp_path, [late])
    assert analyzer.log().count("is set aside") == 1


def test_a_clip_that_needs_more_memory_than_allowed_is_set_aside(
    analyze: Start, tmp_path: Path
) -> None:
    hungry = put(tmp_path, 2, made(tmp_path, 30.0, 96000))
    good = put(tmp_path, 1, made(tmp_path, 1.0))
    analyze("analysis.rate_hz=96000", "analysis.memory_mb=300")
    wait_for_all(tmp_path, [hungry, good])
    assert "memory" in reports(tmp_path)[hungry]["error"]
    assert "error" not in reports(tmp_path)[good]


def test_an_hour_is_analysed_in_the_least_memory_that_can_be_allowed(
    analyze: Start, tmp_path: Path
) -> None:
    stem = put(tmp_path, 1, made(tmp_path, 3600.0, 8000))
    analyze(PICTURE, "analysis.memory_mb=300")
    wait_for_all(tmp_path, [stem], 240.0)
    report = reports(tmp_path)[stem]
    assert "error" not in report
    assert len(report["stretches"]) == 120
    assert report["source"]["duration_s"] == 3600.0


def test_a_clip_at_which_the_whole_box_went_down_again_and_again_is_set_aside(
    analyze: Start, tmp_path: Path
) -> None:
    stem = put(tmp_path, 1, made(tmp_path, LONG_S))
    for _ in range(5):
        analyzer = analyze()
        child = analyzer.wait_child()
        os.kill(child, signal.SIGSTOP)  # it can't notice that nobody asks any more
        analyzer.close()
        wait_until(lambda pid=child: not alive(pid), "the worker dies with its parent")
    assert reports(tmp_path) == {}
    analyze()
    wait_for_all(tmp_path, [stem])
    assert "interrupted" in reports(tmp_path)[stem]["error"]


def test_a_worker_that_hangs_is_ended(analyze: Start, tmp_path: Path) -> None:
    stem = put(tmp_path, 1, made(tmp_path, LONG_S))
    analyzer = analyze(program=unit_program(tmp_path, "stall_s=3.0"))
    stopped: set[int] = set()
    while not reports(tmp_path):
        child = analyzer.child()
        if child and child not in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGSTOP)
                stopped.add(child)
        time.sleep(0.02)
    assert 1 <= len(stopped) <= 2  # one that is slow to begin may be ended before it is seen
    assert not any(map(alive, stopped))
    assert "nothing was heard" in reports(tmp_path)[stem]["error"]


def test_the_worker_stands_still_while_something_is_heard_and_then_goes_on(
    analyze: Start, tmp_path: Path
) -> None:
    stem = put(tmp_path, 1, made(tmp_path, LONG_S))
    hearing = Hearing(tmp_path)
    analyzer = analyze()
    child = analyzer.wait_child()
    hearing.tell(heard=True)
    wait_until(lambda: state_of(child) == "T", "the worker is stopped")
    wait_until(lambda: "is paused: something is heard" in analyzer.log(), "the reason in the log")
    time.sleep(0.5)
    assert state_of(child) == "T"
    assert reports(tmp_path) == {}
    hearing.tell(heard=False)
    wait_for_all(tmp_path, [stem])
    assert alive(child)  # the same one: nothing was begun again
    hearing.close()


def test_nothing_is_begun_while_something_is_heard(analyze: Start, tmp_path: Path) -> None:
    hearing = Hearing(tmp_path)
    hearing.tell(heard=True)
    stem = put(tmp_path, 1, made(tmp_path, 1.0))
    analyzer = analyze()
    wait_until(lambda: "something is heard" in analyzer.log(), "the reason in the log")
    time.sleep(0.5)
    assert analyzer.child() is None
    assert analyzer.log().count("something is heard") == 1
    hearing.close()
    wait_for_all(tmp_path, [stem])


def test_there_is_one_analyzer_for_a_state_directory(analyze: Start, tmp_path: Path) -> None:
    stem = put(tmp_path, 1, made(tmp_path, 1.0))
    first = analyze()
    wait_for_all(tmp_path, [stem])
    second = analyze()
    assert second.process.wait(60.0) == EXIT_STORAGE
    assert "by another process" in second.log()
    assert first.stop() == 0
    third = analyze()
    wait_until(lambda: third.log().count("analysing what is in") == 2, "it starts again")


def test_bad_clips_are_set_aside_with_the_reason(analyze: Start, tmp_path: Path) -> None:
    for name, content in (("a", b""), ("b", b"no flac at all" * 99)):
        (tmp_path / f"{name}.flac").write_bytes(content)
    soundfile.write(tmp_path / "c.wav", np.full(1, np.nan, "f4"), 16000, subtype="FLOAT")
    empty, noise, one = (
        put(tmp_path, number, tmp_path / name)
        for number, name in enumerate(("a.flac", "b.flac", "c.wav"))
    )
    (bucket(tmp_path) / f"{noise}.json").write_text("{ damaged")
    analyze()
    wait_for_all(tmp_path, [empty, noise, one])
    found = reports(tmp_path)
    assert "is empty" in found[empty]["error"]
    assert "can't be decoded" in found[noise]["error"]
    assert found[noise]["clip_id"] == noise  # its own id can't be read
    assert found[one]["source"]["bad_samples"] == 1
    assert found[one]["levels"]["rms_dbfs"] is None


def test_a_clip_that_is_deleted_meanwhile_leaves_nothing(analyze: Start, tmp_path: Path) -> None:
    gone = put(tmp_path, 2, made(tmp_path, LONG_S))
    good = put(tmp_path, 1, made(tmp_path, 1.0))
    analyzer = analyze()
    analyzer.wait_child()
    for suffix in (".flac", ".json"):
        (bucket(tmp_path) / f"{gone}{suffix}").unlink()
    wait_for_all(tmp_path, [good])
    assert analyzer.stop() == 0
    assert [path.name for path in bucket(tmp_path).iterdir() if gone in path.name] == []
    assert len(messages(tmp_path)) == 1


def test_a_clip_deleted_with_what_is_being_made_of_it_keeps_nobody_waiting(
    analyze: Start, tmp_path: Path
) -> None:
    """As retention deletes: unfinished results too."""
    gone = put(tmp_path, 2, made(tmp_path, LONG_S))
    good = put(tmp_path, 1, made(tmp_path, 1.0))
    analyzer = analyze("analysis.stems=true")
    analyzer.wait_child()
    wait_until(lambda: any("harmonic" in name for name in leftovers(tmp_path)), "a stem")
    for path in [path for path in bucket(tmp_path).iterdir() if gone in path.name]:
        path.unlink()
    wait_for_all(tmp_path, [good])
    assert "ERROR" not in analyzer.log()
    assert analyzer.stop() == 0
    assert [path.name for path in bucket(tmp_path).iterdir() if gone in path.name] == []


def test_without_a_broker_no_message_is_left(analyze: Start, tmp_path: Path) -> None:
    stem = put(tmp_path, 1, made(tmp_path, 1.0))
    analyze('publish.url=""')
    wait_for_all(tmp_path, [stem])
    assert messages(tmp_path) == []


def test_a_state_directory_that_cannot_be_made_is_said(tmp_path: Path, analyze: Start) -> None:
    (tmp_path / "file").touch()
    analyzer = analyze(f'state.directory="{tmp_path}/file/state"')
    assert analyzer.process.wait(60.0) == EXIT_STORAGE
    assert "can't be used" in analyzer.log()
