# SPDX-License-Identifier: MIT
"""Who is blamed for an overrun: by what was spent, and in the real unit on the real alsa-lib."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.service.figures import read_figures
from edge.service.overrun import AGAIN_S, SHARE, Snapshot, cause_of
from edge.usage import Spent
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.service.conftest import Listener

NOTHING = Spent()
STALL_S = 1.0
ONE = min(os.sched_getaffinity(0))


def blamed(
    *, slept_s: float = 0.0, continued: bool = False, processors: int = 2, **threads: Spent
) -> str:
    before = Snapshot(100.0, 50.0, 30.0, dict.fromkeys(threads, Spent(7.0, 3.0)))
    spent = {name: Spent(7.0 + one.ran_s, 3.0 + one.waited_s) for name, one in threads.items()}
    ran_s = 30.0 + sum(one.ran_s for one in threads.values())
    after = Snapshot(101.0, 50.0 + slept_s, ran_s, spent)
    return cause_of(before, after, STALL_S, continued=continued, processors=processors).who


def test_the_thread_that_ran_while_capture_neither_ran_nor_waited_is_named() -> None:
    """It held the interpreter, without which capture does not even ask for a processor."""
    assert blamed(capture=NOTHING, inference=Spent(0.9), record=Spent(0.1)) == "inference"


def test_capture_that_worked_all_the_time_is_named() -> None:
    assert blamed(capture=Spent(0.9), inference=Spent(0.5)) == "capture"


def test_who_waited_for_a_processor_was_kept_from_it_by_another_program() -> None:
    assert blamed(capture=Spent(0.0, 0.9), inference=Spent(0.02)) == "another program"


def test_one_thread_of_ours_on_another_processor_is_not_what_capture_waited_for() -> None:
    assert blamed(capture=Spent(0.0, 0.9), inference=Spent(0.7)) == "another program"
    one = blamed(capture=Spent(0.0, 0.9), inference=Spent(0.7), processors=1)
    assert one == "inference", "there is no other processor"


def test_a_thread_that_holds_the_interpreter_and_is_starved_itself_is_no_culprit() -> None:
    assert blamed(capture=NOTHING, record=Spent(0.1, 0.8)) == "another program"


@pytest.mark.parametrize("processors", [1, 2])
def test_a_thread_that_waited_longer_than_all_of_ours_ran_is_no_culprit(processors: int) -> None:
    """Capture in real time does not wait for a processor, but for the interpreter that it holds."""
    held = {"capture": Spent(0.02), "inference": Spent(0.45, 1.0)}
    assert blamed(**held, processors=processors) == "another program"
    by_ours = {"inference": Spent(0.5, 0.6), "record": Spent(0.4, 0.1)}
    assert blamed(capture=NOTHING, **by_ours, processors=processors) == "inference"


def test_a_process_that_was_stopped_and_a_machine_that_slept_are_told_as_such() -> None:
    assert blamed(capture=NOTHING, continued=True) == "stopped"
    assert blamed(capture=Spent(0.0, 0.9), slept_s=30.0) == "asleep"


def test_what_nobody_is_seen_to_have_done_is_unknown() -> None:
    little = SHARE * STALL_S * 0.9
    assert blamed(capture=Spent(little, little), inference=Spent(little)) == "unknown"


def test_a_thread_that_began_meanwhile_is_counted_from_its_start() -> None:
    before = Snapshot(0.0, 0.0, 5.0, {"capture": NOTHING})
    after = Snapshot(1.0, 0.0, 5.8, {"capture": NOTHING, "model": Spent(0.8)})
    assert cause_of(before, after, STALL_S, continued=False, processors=2).who == "model"


def test_a_thread_that_has_ended_meanwhile_is_named_too() -> None:
    before = Snapshot(0.0, 0.0, 5.0, {"capture": NOTHING, "model": Spent(0.1)})
    after = Snapshot(1.0, 0.0, 5.8, {"capture": NOTHING})
    assert cause_of(before, after, STALL_S, continued=False, processors=2).who == "model"
    never_seen = Snapshot(0.0, 0.0, 5.0, {"capture": NOTHING})
    cause = cause_of(never_seen, after, STALL_S, continued=False, processors=2)
    assert cause.text == "thread that has ended held the processor for 0.80 s"


HOG = """
import os, sys, threading, time
def hog():
    try:  # else who needs the processor keeps it from what it holds, and is to blame
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        pass
    while not os.path.exists(os.environ["HOG_NOW"]):
        time.sleep(0.05)
    sum(range(80_000_000))  # one call into C: the interpreter is not given up before its end
if "listen" in sys.orig_argv:
    threading.Thread(target=hog, name="hog", daemon=True).start()
"""


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """Return what reads the newest figures of the listener that this test starts."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    return lambda: read_figures({"RUNTIME_DIRECTORY": str(tmp_path / "run")}, "edge") or {}


SHORT_BUFFER = "capture.periods=16"


def overrun(unit: Listener, cause: str, since: int) -> str:
    """Wait for an overrun of this cause; return what the log says of it from `since` on.

    On a machine that does much else there may be others before; of the same cause, it is told
    again after `AGAIN_S`.
    """

    def found() -> str | None:
        told = [line.partition(" ms lost: ")[2] for line in unit.log()[since:].splitlines()]
        return next((one for one in told if one.startswith(cause)), None)

    return wait_until(found, f"an overrun: {cause}", AGAIN_S + 60.0)


def starve(pid: int) -> None:
    """Leave a process on one processor, and its threads what others leave; capture has its class.

    As the listener is made: only what is ordinary gives way.
    """
    for task in Path(f"/proc/{pid}/task").iterdir():
        thread = int(task.name)
        os.sched_setaffinity(thread, {ONE})
        if os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK != os.SCHED_RR:
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


def test_a_thread_that_holds_the_interpreter_is_named_by_the_real_unit(
    listen: Callable[..., Listener],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figures: Callable[[], dict[str, Any]],
) -> None:
    """In the log, in `health`, and in `edge status`."""
    (tmp_path / "sitecustomize.py").write_text(HOG)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("HOG_NOW", str(tmp_path / "now"))
    unit = listen('publish.url=""', SHORT_BUFFER)
    unit.wait_ready()
    time.sleep(1.5)
    since = len(unit.log())
    (tmp_path / "now").touch()
    overrun(unit, "thread hog held the processor for ", since)
    told = wait_until(lambda: figures() if "last_xrun" in figures() else None, "it is told")
    assert told["last_xrun"].endswith("Z")
    assert told["last_xrun_lost_ms"] >= 1

    def is_shown() -> bool:  # as long as no other overrun has come, on a busy machine
        command = [sys.executable, "-m", "edge", "status"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return f"last_xrun_cause {figures()['last_xrun_cause']}" in shown

    wait_until(is_shown, "its cause in `edge status`")
    assert unit.stop() == 0


def test_a_unit_that_was_stopped_says_so(listen: Callable[..., Listener]) -> None:
    unit = listen('publish.url=""', SHORT_BUFFER)
    unit.wait_ready()
    time.sleep(1.5)
    since = len(unit.log())
    unit.send(signal.SIGSTOP)
    time.sleep(1.0)
    unit.send(signal.SIGCONT)
    overrun(unit, "this process was stopped from outside, and told to go on", since)
    assert unit.stop() == 0


def test_a_unit_that_other_programs_starve_names_the_busiest_of_them(
    listen: Callable[..., Listener],
) -> None:
    """It and they are given one processor, of which it takes what they leave."""
    unit = listen('publish.url=""', SHORT_BUFFER)
    unit.wait_ready()
    time.sleep(1.5)
    since = len(unit.log())
    with ExitStack() as busy:
        for _ in range(4):
            loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            busy.callback(loop.wait)
            busy.callback(loop.kill)
            os.sched_setaffinity(loop.pid, {ONE})
        starve(unit.pid)
        time.sleep(4.0)
    assert " s without a processor; " in overrun(unit, "another program: ", since)
