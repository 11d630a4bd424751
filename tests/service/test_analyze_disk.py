# SPDX-License-Identifier: MIT
"""The idle-time unit where it can't write: it waits, says so once, and does all of it later."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from edge.publish.spool import collect
from tests.conftest import may_mount, small_disk, wait_until
from tests.service.analyzer import (
    bucket,
    leftovers,
    made,
    put,
    reports,
    unit_program,
    wait_for_all,
)
from tests.service.test_listen import fill

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.types import Message
    from tests.service.analyzer import Analyzer

    Start = Callable[..., Analyzer]

STEP_BYTES = 4096
TRY_AGAIN = "blocked_s=0.05"


def on_a_small_disk(disk: Path) -> tuple[str, ...]:
    """Return what makes `disk` a file system of 2 MB for the command behind it."""
    disk.mkdir()
    return small_disk(disk, "2m")


@pytest.mark.skipif(not may_mount(), reason="no mount can be made here")
@pytest.mark.parametrize("everything", [True, False], ids=["everything", "report alone"])
def test_on_a_full_disk_a_clip_waits_and_is_told_once_when_there_is_room(
    analyze: Start, tmp_path: Path, *, everything: bool
) -> None:
    """Room comes in small steps, so that each of the results is once the one that fails."""
    disk = tmp_path / "disk"
    wanted = [f"analysis.{one}={str(everything).lower()}" for one in ("stems", "picture")]
    program = unit_program(disk, TRY_AGAIN, "analysis.publish_picture=false", *wanted)
    analyzer = analyze(program=program, wrap=on_a_small_disk(disk))
    wait_until(lambda: "analysing what is in" in analyzer.log(), "it runs")
    state = analyzer.sees(disk)
    (state / "spool").mkdir()
    sound = made(tmp_path, 0.25)
    fill(state / "filler")
    size_bytes = (state / "filler").stat().st_size - sound.stat().st_size - 6 * STEP_BYTES
    with (state / "filler").open("r+b") as filler:
        filler.truncate(size_bytes)
        stem = put(state, 1, sound)
        fill(state / "rest")
        wait_until(lambda: "nothing can be analysed" in analyzer.log(), "it is said")
        heard: list[Message] = []
        steps = 0
        while not reports(state) and steps < 100:
            collect(state / "spool", heard.append)  # as the listener does all the time
            steps += 1
            filler.truncate(size_bytes - steps * STEP_BYTES)
            time.sleep(0.25)
        assert steps > 2, "there was room from the beginning"
    wait_for_all(state, [stem])
    report = reports(state)[stem]
    assert "error" not in report
    assert len(report["stems"]) == (6 if everything else 0)
    for name in filter(None, (report["picture"], *report["stems"])):
        assert (bucket(state) / name).stat().st_size > 1000
    wait_until(lambda: "is analysed" in analyzer.log(), "it goes on")
    collect(state / "spool", heard.append)
    told = [json.loads(one.payload) for one in heard if one.topic.endswith("/analysis")]
    assert [one["message_id"] for one in told] == ["edge-abc-1-analysis"]
    assert analyzer.log().count("No space left") == 1, "said once"
    assert analyzer.log().count("can be written again") == 1
    assert "Traceback" not in analyzer.log()
    wait_until(lambda: not leftovers(state), "nothing unfinished is left")
    assert analyzer.stop() == 0


def test_a_stem_that_ends_early_is_never_taken_for_whole(tmp_path: Path) -> None:
    """A limit on the size of a file stands in for the disk, at each page of a FLAC."""
    program = f"""
import resource, signal
from pathlib import Path
import numpy as np
from edge.service.analyze.stem import _Flac
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path({str(tmp_path / "a.flac")!r})
samples = np.random.default_rng(0).normal(0.0, 0.1, 20000).astype("f4")
def write():
    file = _Flac(path, 22050)
    try:
        file.write(samples)
        file.close()
    finally:
        file.abandon()
write()
size = path.stat().st_size
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for limit in [*range(0, size, 2048), size - 1]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        write()
    except OSError as error:
        assert str(error.filename) == str(path)
    else:
        print("taken for whole at", limit, "of", size)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
