# SPDX-License-Identifier: MIT
"""`edge latency` around a loop of two cards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.cli.latency import histogram
from edge.errors import EXIT_DEVICE, EXIT_OK
from tools.lab.loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Done

    Edge = Callable[..., Done]


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VirtualLoop:
    loop = VirtualLoop(tmp_path, name=tmp_path.name, output_channels=2, output_ppm=50)
    monkeypatch.setenv("ALSA_CONFIG_PATH", loop.environment()["ALSA_CONFIG_PATH"])
    return loop


def options(loop: VirtualLoop, *more: str) -> list[str]:
    state = f'state.directory="{loop.environment()["ALSA_CONFIG_PATH"]}.state"'
    ends = ["--input", loop.input, "--output", loop.output]
    return ["latency", *ends, "--seconds", "3", "--set", state, *more]


def test_it_measures_both_ways_and_the_loop_is_as_long_as_its_parts(
    edge: Edge, loop: VirtualLoop
) -> None:
    done = edge(*options(loop, "--buffer-ms", "40", "--period-size", "240", "--json"))
    assert done.returncode == EXIT_OK, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["rate_hz"], figures["period_size"]) == (48000, 240)
    assert figures["handed"]["count"] > 500
    assert 0 < figures["handed"]["p50_ms"] < 10
    assert figures["handed"]["p50_ms"] <= figures["handed"]["p99_ms"] <= figures["handed"]["max_ms"]
    assert figures["around"]["count"] >= 5
    # A period of 5 ms, 40 in the output, a third of one in the resampler.
    assert figures["around"]["p50_ms"] == pytest.approx(45.3, abs=3)
    assert figures["underruns"] == 0


def test_it_prints_a_histogram_of_each(edge: Edge, loop: VirtualLoop) -> None:
    done = edge(*options(loop, "--buffer-ms", "40"))
    assert done.returncode == EXIT_OK, done.stderr
    assert "end of a captured period -> its samples handed to the output, ms" in done.stdout
    assert "impulse in -> impulse out, once around the loop, ms" in done.stdout
    assert done.stdout.count("p50") == done.stdout.count("p99.9") == 2
    assert "█" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("underruns 0, overruns 0")


def test_it_says_what_noise_reduction_adds(edge: Edge, loop: VirtualLoop) -> None:
    on = ("--set", 'denoise.method="logmmse"', "--buffer-ms", "40")
    done = edge(*options(loop, *on))
    assert done.returncode == EXIT_OK, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if "noise reduction" in line)
    figures = json.loads(edge(*options(loop, *on, "--json")).stdout)
    assert figures["cleaning_ms"] > 40
    assert line.startswith(f"{figures['cleaning_ms']:.1f} ms")


def test_without_a_cable_it_says_what_to_do(
    edge: Edge, loop: VirtualLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another loop's output, which the input does not hear."""
    other = VirtualLoop(tmp_path / "other", name=f"{tmp_path.name}_other")
    both = tmp_path / "both.conf"
    configurations = (one.environment()["ALSA_CONFIG_PATH"] for one in (loop, other))
    both.write_text("".join(f"<{file}>\n" for file in configurations))
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(both))
    done = edge(*options(loop, "--output", other.output))
    assert done.returncode == EXIT_DEVICE
    assert "none came back" in done.stderr
    assert "by a cable" in done.stderr


@pytest.mark.parametrize("end", ["input", "output"])
def test_a_card_that_is_not_there_is_an_error_at_once(
    edge: Edge, loop: VirtualLoop, end: str
) -> None:
    loop.unplug(getattr(loop, end))
    done = edge(*options(loop))
    assert done.returncode == EXIT_DEVICE
    assert f"{getattr(loop, end)} can't be opened" in done.stderr


def test_every_time_is_in_one_row_of_the_histogram() -> None:
    times_ms = np.random.default_rng(0).exponential(1.0, 1000)
    rows = histogram(times_ms)
    assert sum(int(row.split()[-1]) for row in rows) == 1000
    assert " up " in rows[-1]
    assert len({len(row.rsplit(" ", 1)[0]) for row in rows}) == 1, "the numbers stand in line"
    assert histogram(np.zeros(0)) == []
    assert sum(int(row.split()[-1]) for row in histogram(np.full(9, 2.0))) == 9
