# SPDX-License-Identifier: MIT
"""`edge analyze FILE…|FOLDER…`: what a user has of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import soundfile

from edge.analysis.inbox import REPORT
from edge.errors import EXIT_DEVICE, EXIT_FAILURE, EXIT_OK
from edge.record.name import DERIVED
from edge.service.analyze.job import PICTURE, STEMS
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


Edge = "Callable[..., Done]"
RATE_HZ = 8000


def record(path: Path, seconds: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    samples = rng.normal(0.0, 0.05, round(seconds * RATE_HZ)).astype("f4")
    soundfile.write(path, samples, RATE_HZ)
    return path


def report_of(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(path.read_bytes())
    return body


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


def test_each_recording_of_a_folder_gets_a_report_beside_it(edge: Edge, tmp_path: Path) -> None:
    names = ["a.wav", "deep/b.flac", "deep/er/c.ogg"]
    for name in names:
        record(tmp_path / "in" / name)
    (tmp_path / "in/notes.txt").write_text("no recording")
    done = edge("analyze", "in")
    assert done.returncode == EXIT_OK, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        f"in/{n}" for n in names
    ]
    assert "3 analysed, 0 were done, 0 failed" in done.stderr
    for name in names:
        report = report_of((tmp_path / "in" / name).with_suffix(".analysis.json"))
        assert report["source"]["file"] == Path(name).name
        assert report["picture"] is None
    assert not list(tmp_path.rglob("*.png"))


def test_what_retention_deletes_with_a_clip_is_what_is_made_of_it() -> None:
    assert set(DERIVED) == {REPORT, PICTURE, *STEMS}


def test_a_recording_of_several_stretches_has_no_sounds_of_components(
    edge: Edge, tmp_path: Path
) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 40 * 8000)
    soundfile.write(tmp_path / "long.wav", sound, 8000)
    assert edge("analyze", "long.wav", "--stems").returncode == EXIT_OK
    report = json.loads((tmp_path / "long.analysis.json").read_bytes())
    assert report["stems"] == ["long.harmonic.flac", "long.percussive.flac"]
    assert not list(tmp_path.glob(".*"))
    assert not list(tmp_path.glob("*component*"))
    again = edge("analyze", "long.wav", "--stems")
    assert "1 were done" in again.stderr


def test_a_hum_of_a_minute_begins_once(edge: Edge, tmp_path: Path) -> None:
    hum = 0.3 * np.sin(2 * np.pi * 440.0 * np.arange(70 * RATE_HZ) / RATE_HZ)
    soundfile.write(tmp_path / "hum.wav", hum, RATE_HZ)
    assert edge("analyze", "hum.wav").returncode == EXIT_OK
    report = report_of(tmp_path / "hum.analysis.json")
    assert len(report["stretches"]) == 3
    assert report["onsets"]["count"] == 1
    assert report["onsets"]["times_s"][0] < 0.2


def test_pictures_and_stems_come_when_asked_for(edge: Edge, tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 2.0)
    assert edge("analyze", "a.wav", "--plot", "--stems").returncode == EXIT_OK
    report = report_of(tmp_path / "a.analysis.json")
    assert (tmp_path / report["picture"]).read_bytes().startswith(b"\x89PNG")
    sounds = [soundfile.read(tmp_path / name)[0] for name in report["stems"]]
    whole, _ = soundfile.read(tmp_path / "a.wav")
    # Each kind sums to the recording, but for its mean and 16 bits of rounding each.
    assert len(sounds) == 6
    for kind in (sounds[:2], sounds[2:]):
        np.testing.assert_allclose(sum(kind), whole - whole.mean(), atol=2e-4)
    assert hidden(tmp_path) == []


def test_what_is_done_is_passed_over_until_something_changes(edge: Edge, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        record(tmp_path / name)
    counts = lambda done: done.stderr.strip().splitlines()[-1]  # noqa: E731 - said five times
    assert counts(edge("analyze", ".")) == "2 analysed, 0 were done, 0 failed"
    assert counts(edge("analyze", ".")) == "0 analysed, 2 were done, 0 failed"
    assert counts(edge("analyze", ".", "--again")) == "2 analysed, 0 were done, 0 failed"
    assert counts(edge("analyze", ".", "--plot")) == "2 analysed, 0 were done, 0 failed"
    assert counts(edge("analyze", ".", "--plot")) == "0 analysed, 2 were done, 0 failed"
    assert counts(edge("analyze", ".", "--set", "analysis.rate_hz=8000")).startswith("2 analysed")
    later = time.time() + 10
    os.utime(tmp_path / "a.wav", (later, later))
    assert counts(edge("analyze", ".", "--set", "analysis.rate_hz=8000")).startswith("1 analysed")
    (tmp_path / "b.analysis.json").write_text("{ cut by a power cut")
    assert counts(edge("analyze", "b.wav")) == "1 analysed, 0 were done, 0 failed"


def test_json_lines_are_all_of_standard_output(edge: Edge, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        record(tmp_path / name)
    for _ in range(2):  # what was done before is printed as well
        done = edge("analyze", ".", "--json")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert sorted(line["source"]["file"] for line in lines) == ["a.wav", "b.wav"]
        assert lines[0]["schema"] == "edge-analysis/1"


def test_results_go_where_they_are_wanted_in_the_same_folders(edge: Edge, tmp_path: Path) -> None:
    record(tmp_path / "in/x/a.wav")
    record(tmp_path / "in/y/a.wav")
    assert edge("analyze", "in", "--output", "out/deep").returncode == EXIT_OK
    found = sorted(
        str(path.relative_to(tmp_path / "out/deep")) for path in tmp_path.rglob("*.json")
    )
    assert found == ["x/a.analysis.json", "y/a.analysis.json"]


def test_recordings_that_differ_by_their_suffix_alone_keep_it(edge: Edge, tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    record(tmp_path / "a.flac")
    assert edge("analyze", ".").returncode == EXIT_OK
    assert report_of(tmp_path / "a.wav.analysis.json")["source"]["file"] == "a.wav"
    assert report_of(tmp_path / "a.flac.analysis.json")["source"]["file"] == "a.flac"


def test_two_recordings_with_one_place_for_their_report_are_refused(
    edge: Edge, tmp_path: Path
) -> None:
    one, other = record(tmp_path / "x/a.wav"), record(tmp_path / "y/a.wav")
    done = edge("analyze", one, other, "--output", "out")
    assert done.returncode == EXIT_DEVICE
    assert "would have the one report" in done.stderr


def test_a_bad_file_is_told_at_the_end_and_stops_no_other(edge: Edge, tmp_path: Path) -> None:
    record(tmp_path / "good.wav")
    (tmp_path / "bad.wav").write_bytes(b"no recording at all" * 40)
    (tmp_path / "empty.flac").touch()
    done = edge("analyze", ".", "gone.wav")
    assert done.returncode == EXIT_FAILURE
    assert (tmp_path / "good.analysis.json").exists()
    *reasons, counts = done.stderr.strip().splitlines()
    assert counts == "1 analysed, 0 were done, 3 failed"
    assert len(reasons) == 3
    assert any("bad.wav can't be decoded" in line for line in reasons)
    assert any("empty.flac is empty" in line for line in reasons)
    assert any("no recording gone.wav" in line for line in reasons)
    assert not (tmp_path / "bad.analysis.json").exists()


def test_a_folder_without_a_recording_is_said(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    done = edge("analyze", "in")
    assert done.returncode == EXIT_DEVICE
    assert "there is no recording in in" in done.stderr


def test_a_place_that_cannot_be_written_is_one_recordings_failure(
    edge: Edge, tmp_path: Path
) -> None:
    record(tmp_path / "a.wav")
    (tmp_path / "out").touch()
    done = edge("analyze", "a.wav", "--output", "out/in")
    assert done.returncode == EXIT_FAILURE
    assert "a.wav: " in done.stderr


def test_several_processes_do_what_one_does(edge: Edge, tmp_path: Path) -> None:
    for number in range(6):
        record(tmp_path / f"in/{number}.wav")
    assert edge("analyze", "in", "--output", "one").returncode == EXIT_OK
    assert edge("analyze", "in", "--output", "two", "--jobs", "2").returncode == EXIT_OK
    one, two = (
        {path.name: report_of(path) for path in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert len(one) == 6
    assert one == two


def test_two_at_once_on_one_folder_spoil_nothing_of_each_other(
    tmp_path: Path, running: subprocess.Popen[str]
) -> None:
    """What another is at is its own; all results are whole and there is nothing else."""
    wait_until((tmp_path / "in/a.analysis.json").exists, "the first report")
    second = run_edge(tmp_path, "in", "--again", "--stems", "--jobs", "2")
    assert second.returncode == EXIT_FAILURE
    assert "1 analysed, 0 were done, 2 failed" in second.stderr
    assert second.stderr.count("is being analysed by another process") == 2
    _, said = running.communicate(timeout=240.0)
    assert running.returncode == EXIT_OK, said
    assert {path.name for path in (tmp_path / "in").glob("[bc].*")} == {
        f"{name}.{suffix}" for name in "bc" for suffix in ("wav", "analysis.json")
    }
    assert report_of(tmp_path / "in/b.analysis.json")["source"]["duration_s"] == 900.0
    assert hidden(tmp_path) == []


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `edge analyze --jobs 2` over long recordings and one that is soon done."""
    record(tmp_path / "in/a.wav")
    for name in ("b", "c"):
        record(tmp_path / f"in/{name}.wav", 900.0)
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "analyze", "in", "--jobs", "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    yield process
    process.kill()
    process.communicate()


def test_ctrl_c_ends_it_and_keeps_what_is_done(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    wait_until((tmp_path / "in/a.analysis.json").exists, "the first report")
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all of the group
    _, said = running.communicate(timeout=30.0)
    assert running.returncode == 130
    assert "1 analysed, 0 were done, 0 failed (interrupted)" in said
    assert "Traceback" not in said
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert hidden(tmp_path) == []


def test_a_worker_that_is_killed_costs_nothing(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    wait_until((tmp_path / "in/a.analysis.json").exists, "the first report")
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    out, said = running.communicate(timeout=240.0)
    assert running.returncode == EXIT_OK, said
    assert len(out.splitlines()) == 3


CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
                      dashboard_address=None, memory_limit=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


class Cluster(NamedTuple):
    """A scheduler and two worker processes on loopback."""

    address: str
    process: subprocess.Popen[str]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Start a cluster that ends with the test."""
    pytest.importorskip("distributed", reason="the optional package distributed is missing")
    (tmp_path / "cluster.py").write_text(CLUSTER)
    with (tmp_path / "cluster.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, tmp_path / "cluster.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address, (tmp_path / "cluster.log").read_text()
    with process:  # which ends when its standard input does
        yield Cluster(address, process)


def run_edge(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", "analyze", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_a_dask_cluster_does_what_is_done_here(cluster: Cluster, tmp_path: Path) -> None:
    for number in range(5):
        record(tmp_path / f"in/{number}.wav")
    (tmp_path / "in/bad.wav").write_bytes(b"no recording" * 40)
    here = run_edge(tmp_path, "in", "--output", "here", "--plot", "--stems")
    there = run_edge(
        tmp_path, "in", "--output", "there", "--plot", "--stems", "--scheduler", cluster.address
    )
    assert (here.returncode, there.returncode) == (EXIT_FAILURE, EXIT_FAILURE), there.stderr
    assert "5 analysed, 0 were done, 1 failed" in there.stderr
    assert "bad.wav" in there.stderr
    files = {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}
    assert len(files) == 5 * 8
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()}


def test_a_cluster_that_dies_is_said_and_what_is_done_stays(
    cluster: Cluster, tmp_path: Path
) -> None:
    for number in range(8):
        record(tmp_path / f"in/{number}.wav", 200.0)
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "analyze", "in", "--scheduler", cluster.address],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: list(tmp_path.glob("in/*.analysis.json")), "the first report")
        cluster.process.kill()
        cluster.process.wait()
        _, said = process.communicate(timeout=120.0)
    assert process.returncode == EXIT_FAILURE
    assert "Traceback" not in said
    assert f"the cluster at {cluster.address} is gone" in said
    assert list(tmp_path.glob("in/*.analysis.json"))
    assert hidden(tmp_path) == []


def test_a_scheduler_that_does_not_answer_is_said(tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    for address, said in (
        ("tcp://127.0.0.1:9", "no Dask scheduler at tcp://127.0.0.1:9"),
        ("127.0.0.1", "is no address"),
    ):
        done = run_edge(tmp_path, "a.wav", "--scheduler", address)
        assert done.returncode == EXIT_FAILURE
        assert said in done.stderr
        assert "Traceback" not in done.stderr
