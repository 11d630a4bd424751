# SPDX-License-Identifier: MIT
"""Which threads run before all others, and which that may no longer."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.service.figures import read_figures
from edge.service.priority import LOOK_S, PRIORITY, RealTime, hurry
from edge.service.supervisor import Supervisor
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.service.conftest import Listener

SCHEDULER = "import os; print(os.sched_getscheduler(0) == os.SCHED_OTHER)"

# A sandbox in which the call that asks for a class is answered with "no such call". Source:
# seccomp(2), and the kernel's tables of system calls.
SCHED_SETSCHEDULER = {"x86_64": 144, "aarch64": 119}
SANDBOX = """
import ctypes, errno, struct, sys
load, equal, give = 0x20, 0x15, 0x06
refuse, allow = 0x00050000 | errno.ENOSYS, 0x7FFF0000
call = int(sys.argv[1])
program = (load, 0, 0, 0), (equal, 0, 1, call), (give, 0, 0, refuse), (give, 0, 0, allow)
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
libc = ctypes.CDLL(None, use_errno=True)
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, filter) == 0
from edge.service.priority import hurry
print(hurry())
"""

NAMES = """
import json, os, sys, threading, time
def name():
    while "capture" not in {one.name for one in threading.enumerate()}:
        time.sleep(0.05)
    with open(os.environ["NAMES"] + ".part", "w") as out:
        json.dump({one.native_id: one.name for one in threading.enumerate()}, out)
    os.rename(os.environ["NAMES"] + ".part", os.environ["NAMES"])
if "listen" in sys.orig_argv:
    threading.Thread(target=name, daemon=True).start()
"""


def policy(thread: int = 0) -> int:
    return os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK


@pytest.fixture(scope="module")
def allowed() -> bool:
    """Return whether a thread of this user may have a real-time class."""
    told: list[bool] = []
    supervisor = Supervisor()
    supervisor.start("hurried", lambda: told.append(hurry()))
    assert supervisor.join("hurried", 60.0)
    return told == [True]


def test_a_hurried_thread_is_scheduled_in_real_time_and_no_other(*, allowed: bool) -> None:
    told: list[tuple[bool, int, int]] = []
    children: list[bytes] = []

    def hurried() -> None:
        told.append((hurry(), policy(), os.sched_getparam(0).sched_priority))
        children.append(subprocess.check_output([sys.executable, "-c", SCHEDULER]))

    supervisor = Supervisor()
    supervisor.start("hurried", hurried)
    assert supervisor.join("hurried", 60.0)
    assert told == [(True, os.SCHED_RR, PRIORITY) if allowed else (False, os.SCHED_OTHER, 0)]
    assert policy() == os.SCHED_OTHER
    assert children == [b"True\n"]


def test_a_system_that_does_not_know_the_call_ends_nobody() -> None:
    call = str(SCHED_SETSCHEDULER[platform.machine()])
    assert subprocess.check_output([sys.executable, "-c", SANDBOX, call]) == b"False\n"


@pytest.mark.parametrize("sleeps", [True, False])
def test_a_thread_that_sleeps_keeps_its_class_and_one_that_does_not_gives_it_back(
    caplog: pytest.LogCaptureFixture, *, sleeps: bool, allowed: bool
) -> None:
    caplog.set_level("INFO")
    real_time = RealTime("capture")
    assert not real_time.tell(), "nothing is known yet"
    policies: list[tuple[bool, int]] = []

    def work() -> None:
        real_time.ask()
        policies.append((real_time.active, policy()))
        end_s = time.monotonic() + 1.5 * LOOK_S
        while time.monotonic() < end_s:
            real_time.keep()
            if sleeps:
                time.sleep(0.01)
        policies.append((real_time.active, policy()))

    supervisor = Supervisor()
    supervisor.start("work", work)
    assert supervisor.join("work", 60.0)
    assert supervisor.failure is None
    had, lost = (True, os.SCHED_RR), (False, os.SCHED_OTHER)
    assert policies == [had if allowed else lost, had if allowed and sleeps else lost]
    told = [real_time.tell(), real_time.tell()]
    assert told == [not (allowed and sleeps), False], "once"
    assert len(caplog.messages) == sum(told)
    assert all(one.startswith("capture is an ordinary thread: ") for one in caplog.messages)


@pytest.mark.parametrize(
    ("settings", "sleeps"),
    [((), True), (('capture.source="synth"', 'capture.pace="fast"'), False)],
)
def test_of_a_listener_s_threads_capture_alone_has_it_as_long_as_it_waits_for_sound(
    listen: Callable[..., Listener],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: tuple[str, ...],
    *,
    sleeps: bool,
    allowed: bool,
) -> None:
    """As the kernel says, `health`, and the log."""
    (tmp_path / "sitecustomize.py").write_text(NAMES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("NAMES", str(tmp_path / "names"))
    listener = listen(*settings)
    listener.wait_ready()
    wait_until((tmp_path / "names").exists, "its threads have names")
    names = json.loads((tmp_path / "names").read_bytes())
    if not (allowed and sleeps):
        wait_until(lambda: "capture is an ordinary thread: " in listener.log(), "it is said")
    tasks = [task.name for task in Path(f"/proc/{listener.pid}/task").iterdir()]
    hurried = [names.get(task) for task in tasks if policy(int(task)) == os.SCHED_RR]
    assert hurried == ["capture"] * (allowed and sleeps)
    environment = {"RUNTIME_DIRECTORY": str(tmp_path / "run")}

    def is_told() -> bool:
        figures = read_figures(environment, "edge") or {}
        return figures.get("real_time") is (allowed and sleeps)

    wait_until(is_told, "the figure")
    assert listener.stop() == 0
    assert listener.log().count("is an ordinary thread") == (not (allowed and sleeps))
