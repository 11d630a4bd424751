# SPDX-License-Identifier: MIT
"""The main job of `tools/run`, as a user starts it: from the scene through ALSA to a broker."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from tests.conftest import REPOSITORY, Subscriber, is_open, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOPICS = ("level {", "scores {", "event {", "health {", "status online", "status offline")


class Demo:
    """A running `tools/run` after its set-up, and what it has printed."""

    def __init__(self, *options: str) -> None:
        self.lines: list[str] = []
        # A shell starts what it puts in the background deaf to Ctrl-C: a terminal does not.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "tools.demo"]
        self._process = subprocess.Popen(
            [*command, "--source", "synth", *options],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as out:
            for line in out:
                self.lines.append(line.rstrip("\n"))

    def wait_for(self, text: str, timeout_s: float = 60.0) -> str:
        def found() -> str | None:
            return next((line for line in list(self.lines) if text in line), None)

        return wait_until(found, f"{text!r} in {self.lines[-5:]}", timeout_s)

    @property
    def port(self) -> int:
        line = self.wait_for("subscribe: mosquitto_sub")
        match = re.search(r"-h 127\.0\.0\.1 -p (\d+) -v -t 'edge/edge/#'", line)
        assert match, line
        return int(match[1])

    def children(self) -> list[int]:
        tasks = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in tasks.read_text().split()]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 90.0) -> int:
        code = self._process.wait(timeout_s)
        self._reader.join()
        return code

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()


@pytest.fixture
def demo() -> Iterator[Callable[..., Demo]]:
    """Start runs that end with the test."""
    with ExitStack() as running:

        def start(*options: str) -> Demo:
            one = Demo(*options)
            running.callback(one.close)
            return one

        yield start


def runs(pid: int) -> bool:
    """Return whether a process is there and is more than a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_scene_heard_through_alsa_is_seen_at_the_printed_port(
    demo: Callable[..., Demo],
) -> None:
    run = demo("--plain", "--seconds", "20")
    assert "virtual ALSA device" in run.wait_for("microphone: ")
    ear = Subscriber(run.port, "edge/edge/#")
    assert run.wait() == 0
    ear.close()
    for topic in TOPICS:
        assert any(line.startswith(f"edge/edge/{topic}") for line in run.lines), topic
        assert any(line.startswith(f"edge/edge/{topic}") for line in ear.lines()), topic
    onsets = [line.partition(" ")[2] for line in run.lines if '"event_type":"onset"' in line]
    assert "rain" in {json.loads(onset)["label"] for onset in onsets}
    events = next(line for line in run.lines if line.startswith("events: "))
    assert "rain 1" in events
    heard = next(line for line in run.lines if line.startswith("xruns "))
    xruns, gaps, late = map(int, re.findall(r"\d+", heard))
    # None where this machine never stands still; each is a third of a second at least.
    assert xruns == gaps <= 5, "most of the 20 s is heard"
    assert late <= 10, "and three quarters of the 40 patches are classified"
    clip = next(line for line in run.lines if line.startswith("clip: "))
    assert Path(clip.partition(" ")[2].partition(",")[0]).suffix == ".flac"
    assert "harmonic" in next(line for line in run.lines if line.startswith("  analysis: "))
    picture = next(line for line in run.lines if line.startswith("  picture: "))
    assert Path(picture.partition(": ")[2]).read_bytes().startswith(b"\x89PNG")
    assert run.lines[-1] == "ended cleanly"
    assert not is_open(run.port), "its broker has ended"


def test_ctrl_c_ends_it_in_order_and_nothing_is_left(demo: Callable[..., Demo]) -> None:
    run = demo("--plain")
    run.wait_for("edge/edge/scores {")
    children = run.children()
    assert len(children) == 3
    run.send(signal.SIGINT)
    assert run.wait() == 0
    assert run.lines[-1] == "ended cleanly"
    assert "edge/edge/status offline" in run.lines
    assert not any(map(runs, children))


def test_ctrl_c_before_it_listens_ends_it_too(demo: Callable[..., Demo]) -> None:
    run = demo("--plain")
    run.wait_for("subscribe: ")
    run.send(signal.SIGINT)
    assert run.wait() == 0
    assert "Traceback" not in "\n".join(run.lines)
    assert not is_open(run.port)


def test_two_runs_do_not_meet_and_a_killed_one_leaves_nothing(demo: Callable[..., Demo]) -> None:
    one, other = demo("--plain"), demo("--plain")
    for run in (one, other):
        run.wait_for("edge/edge/scores {")
    assert one.port != other.port
    children = one.children()
    one.send(signal.SIGKILL)
    wait_until(lambda: not any(map(runs, children)), "its children have ended")
    assert is_open(other.port)
    other.send(signal.SIGTERM)
    assert other.wait() == 0


def test_a_device_that_is_not_there_ends_with_the_reason(demo: Callable[..., Demo]) -> None:
    run = demo("--plain", "--source", "nowhere")
    assert run.wait() == 69
    assert any("nowhere can't be opened" in line for line in run.lines)
    assert not any("Traceback" in line or "ALSA lib" in line for line in run.lines)


def test_a_recording_that_is_silent_at_its_end_is_no_dead_microphone(
    demo: Callable[..., Demo], tmp_path: Path
) -> None:
    tone = np.sin(np.arange(16000) / 3, dtype=np.float32) / 4
    soundfile.write(tmp_path / "x.wav", np.append(tone, np.zeros(24000, np.float32)), 16000)
    run = demo("--plain", "--source", str(tmp_path / "x.wav"))
    assert run.wait() == 0
    assert not any("hears nothing" in line for line in run.lines)


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (("--source", "none.wav"), 69, "there is no recording none.wav"),
        (("--source", "tools"), 69, "there is no recording in tools"),
        (("--broker", "nonsense"), 78, "publish.url = 'nonsense'"),
        (("--config", "none.toml"), 78, "none.toml can't be read"),
        (("--seconds", "-3"), 2, "-3 is no number over 0"),
    ],
)
def test_a_wrong_option_is_refused_in_words(
    demo: Callable[..., Demo], options: tuple[str, ...], code: int, word: str
) -> None:
    run = demo(*options)
    assert run.wait() == code
    assert any(word in line for line in run.lines)
    assert not any("Traceback" in line for line in run.lines)
