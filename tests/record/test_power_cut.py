# SPDX-License-Identifier: MIT
"""A power cut, as far as a process can have one: SIGKILL."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import soundfile

from edge.record.store import ClipStore
from tests.record.shelf import names

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLS = 100
MOST_CLIPS = 3
LONGEST_S = 0.005
"""A clip and a deletion, more or less."""

REPOSITORY = Path(__file__).parents[2]


class Nursery:
    """`nursery.py`, running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.record.nursery"],
            cwd=REPOSITORY,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, operations: int = 0) -> int:
        """Fork a process that saves; return its id."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self.folder}\t{operations}\n")
        self._process.stdin.flush()
        return int(self._line())

    def saved(self) -> int:
        """Wait for the next clip and return its number."""
        return int(self._line())

    def end(self) -> tuple[list[int], int]:
        """Return the numbers that it told since, and the signal that ended it."""
        told = []
        while not (line := self._line()).startswith("gone"):
            told.append(int(line))
        return told, int(line.split()[1])

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait() == 0
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the nursery is gone"
        return line


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    running = Nursery(tmp_path / "clips")
    yield running
    running.close()


def look(folder: Path) -> list[int]:
    """Open the store as at a start; return its numbers when each clip is as it was saved."""
    for sound in folder.rglob("[!.]*.flac"):
        assert sound.with_suffix(".json").exists(), "who sees a sound finds its sidecar"
    with ClipStore(folder) as store:
        entries = list(store.entries())
        for entry in entries:
            assert entry.audio is not None
            said = store.sidecar(entry)
            assert said["file"] == entry.audio.name
            assert said["sha256"] == hashlib.sha256(entry.audio.read_bytes()).hexdigest()
            assert soundfile.info(entry.audio).frames == 2000
    whole = {f"{entry.bucket.name}/{name}" for entry in entries for name in entry.files}
    assert names(folder) == whole, "no leftovers"
    return [entry.number for entry in entries]


def test_a_process_killed_at_a_random_moment_leaves_whole_clips_only(nursery: Nursery) -> None:
    """A hundred times, all in one folder: SIGKILL while it saves and deletes."""
    moments = random.Random(20261122)  # noqa: S311 - a test that can be repeated
    highest = 0
    for _ in range(KILLS):
        child = nursery.start()
        waited_for = [nursery.saved() for _ in range(moments.randint(0, MOST_CLIPS))]
        time.sleep(moments.uniform(0.0, LONGEST_S))
        os.kill(child, signal.SIGKILL)
        last_told, ended_by = nursery.end()
        told = waited_for + last_told
        assert ended_by == signal.SIGKILL
        assert all(number > highest for number in told), "a number came twice"
        there = look(nursery.folder)
        assert set(told[-3:]) <= set(there), "what was saved is there"
        highest = max(highest, *told, *there)
    assert highest > KILLS, "it did save"


def test_killed_at_each_single_step_it_leaves_whole_clips_only(nursery: Nursery) -> None:
    """Before the first operation on a file, before the second, … until it gets through."""
    highest = operations = 0
    ended_by = int(signal.SIGKILL)
    while ended_by:
        operations += 1
        nursery.start(operations)
        told, ended_by = nursery.end()
        assert all(number > highest for number in told), "a number came twice"
        there = look(nursery.folder)
        assert set(told[-3:]) <= set(there), "what was saved is there"
        highest = max([highest, *told, *there])
    assert operations > 40, "five clips were saved and some deleted, in many steps"
