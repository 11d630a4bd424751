# SPDX-License-Identifier: MIT
"""A thread of the real unit that dies of something nobody thought of ends it, and says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.errors import EXIT_FAILURE, EXIT_OK, EXIT_STORAGE
from edge.service.lastwords import NAME
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.service.conftest import Listener
    from tools.lab.microphone import VirtualMicrophone

# Read by the interpreter before all else: when told, it raises in a thread what no code expects.
# No `Exception`: the MQTT client takes one that comes while it waits for a lost connection.
DEATH = """
import ctypes, os, sys, threading, time
class Unthought(BaseException): pass
def wait():
    while not os.path.exists(os.environ["DIES"]):
        time.sleep(0.02)
    name = open(os.environ["DIES"]).read()
    number = next(one.ident for one in threading.enumerate() if one.name == name)
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raise_in(ctypes.c_ulong(number), ctypes.py_object(Unthought))
if "listen" in sys.orig_argv:
    threading.Thread(target=wait, name="death", daemon=True).start()
"""


@pytest.fixture
def kill_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what lets a thread of the listeners that start from now on die, by its name."""
    (tmp_path / "sitecustomize.py").write_text(DEATH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("DIES", str(tmp_path / "dies"))

    def kill_thread(name: str) -> None:
        (tmp_path / "part").write_text(name)
        (tmp_path / "part").rename(tmp_path / "dies")

    return kill_thread


# Read as above: a box so slow that its filters take it half a minute.
SLOW = """
import os, sys, time
if "edge.service.designs" in sys.orig_argv:
    with open(os.environ["DESIGNER"] + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(os.environ["DESIGNER"] + ".part", os.environ["DESIGNER"])
    time.sleep(30)
"""


@pytest.mark.parametrize("signalled", ["the unit", "unit and child", "the group"])
def test_a_stop_while_filters_are_designed_is_obeyed_at_once_and_is_no_failure(
    listen: Callable[..., Listener],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    signalled: str,
) -> None:
    """A service manager signals the unit and then its children; Ctrl-C the terminal's group."""
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("DESIGNER", str(tmp_path / "designer"))
    unit = listen('publish.url=""', wrap=("setsid",))
    wait_until((tmp_path / "designer").exists, "filters are designed")
    designer = int((tmp_path / "designer").read_text())
    if signalled == "the group":
        os.killpg(unit.pid, signal.SIGINT)
    else:
        unit.send(signal.SIGTERM)
    if signalled == "unit and child":
        os.kill(designer, signal.SIGTERM)
    assert unit.wait() == EXIT_OK, unit.log()
    assert not (unit.state / NAME).exists()
    assert not Path(f"/proc/{designer}").exists()


@pytest.mark.parametrize("name", ["publish", "mqtt"])
def test_a_thread_that_dies_while_a_microphone_is_waited_for_ends_the_unit(
    listen: Callable[..., Listener],
    microphone: VirtualMicrophone,
    kill_thread: Callable[[str], None],
    name: str,
) -> None:
    microphone.unplug()
    # Nobody there: the client's own loop, while it is connected, survives some of what is raised.
    unit = listen('publish.url="mqtt://127.0.0.1:9"')
    unit.wait_ready()
    kill_thread(name)
    assert unit.wait(60.0) == EXIT_FAILURE
    assert f"thread {name} died" in unit.log()
    assert "Unthought" in (unit.state / NAME).read_text()


def test_what_ends_the_main_thread_is_in_the_last_words(
    listen: Callable[..., Listener], kill_thread: Callable[[str], None]
) -> None:
    unit = listen('publish.url=""')
    unit.wait_ready()
    kill_thread("MainThread")
    assert unit.wait(60.0) == EXIT_FAILURE
    words = (unit.state / NAME).read_text()
    assert "Traceback" in words
    assert "Unthought" in words


def test_a_sighup_that_comes_while_a_microphone_is_waited_for_ends_nothing(
    listen: Callable[..., Listener], microphone: VirtualMicrophone
) -> None:
    """`systemctl reload` may come at any time; the model is looked for when the wait is over."""
    microphone.unplug()
    unit = listen('publish.url=""')
    unit.wait_ready()
    unit.send(signal.SIGHUP)
    microphone.plug()
    wait_until(lambda: "listening to" in unit.log(), "it hears")
    assert unit.stop() == 0


def test_status_says_with_74_that_figures_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    file = tmp_path / "edge.json"
    file.write_text(f'{{"pid": {os.getpid()}}}')
    file.chmod(0)
    command = [sys.executable, "-m", "edge", "status"]
    if os.geteuid() == 0:  # whom no mode keeps out, but for these two capabilities
        kept_out = "-dac_override,-dac_read_search"
        command = ["setpriv", "--bounding-set", kept_out, *command]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert asked.returncode == EXIT_STORAGE, asked.stderr
    assert "may not be read" in asked.stderr
    assert "ask as root" in asked.stderr
