# SPDX-License-Identifier: MIT
"""What the kernel counts of threads and programs."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from edge.usage import Program, Spent, other_programs, own_threads
from tests.conftest import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_thread_that_works_is_seen_to_and_one_that_sleeps_is_not() -> None:
    ready, done = threading.Event(), threading.Event()
    sleeper = threading.Thread(target=lambda: (ready.set(), done.wait()))
    sleeper.start()
    ready.wait()
    before = own_threads()
    end_s = time.thread_time() + 0.2
    while time.thread_time() < end_s:
        pass
    after = own_threads()
    done.set()
    sleeper.join()
    me, it = threading.get_native_id(), sleeper.native_id
    assert after[me].since(before[me]).ran_s > 0.15
    assert it is not None
    assert after[it].since(before[it]).ran_s < 0.05


def test_another_program_is_seen_with_its_name() -> None:
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        wait_until(lambda: other_programs()[child.pid].ran_s > 0.05, "it works")
        assert other_programs()[child.pid].name.startswith("python")
    finally:
        child.kill()
        child.wait()


def test_odd_names_and_files_that_say_nothing_are_borne(tmp_path: Path) -> None:
    for number, text in {
        7: "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0",
        8: "",
        9: "9 (x",
    }.items():
        folder = tmp_path / f"proc/{number}"
        folder.mkdir(parents=True)
        (folder / "stat").write_text(text)
    (tmp_path / "proc/self/task/7").mkdir(parents=True)
    assert other_programs(tmp_path) == {7: Program("a) b (c", 2.0)}
    assert own_threads(tmp_path) == {}
    assert own_threads(tmp_path / "nowhere") == {}
    assert Spent(2.0, 1.0).since(Spent(0.5, 0.25)) == Spent(1.5, 0.75)
