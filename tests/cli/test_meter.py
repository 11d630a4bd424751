# SPDX-License-Identifier: MIT
"""The sound level meter in the terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console

from edge.cli.meterface import MeterFace
from edge.cli.meterreading import UPDATES_PER_S, Reading
from edge.types import Bands
from tests.seconds import a_level

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Done

RATE_HZ = 48000
INTERVAL = RATE_HZ // UPDATES_PER_S
NOMINAL_HZ = (
    *(25, 31.5, 40, 50, 63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630),
    *(800, 1e3, 1250, 1600, 2e3, 2500, 3150, 4e3, 5e3, 6300, 8e3, 1e4, 12500, 16e3, 2e4),
)


def a_reading(offset_db: float | None = None) -> Reading:
    return Reading(
        rate_hz=RATE_HZ,
        third_octaves=list(enumerate(NOMINAL_HZ)),
        offset_db=offset_db,
        under_range_dbfs=-91.0,
        heading="desk, 48000 Hz, channel mean; A, C within class 1",
        calibrated="calibrated 2026-11-25" if offset_db else "NOT CALIBRATED",
    )


def hear(reading: Reading, *laeq_dbfs: float, start: int = 0, **figures: object) -> None:
    """Let it hear intervals in a row; what is not told follows from LAeq."""
    for n, dbfs in enumerate(laeq_dbfs, start):
        made = {
            "laeq_dbfs": dbfs,
            "lafmax_dbfs": dbfs + 3.0,
            "lcpeak_dbfs": dbfs + 15.0,
            "laf_dbfs": np.full(12, dbfs + 1.0, np.float32),
            "n_samples": INTERVAL,
        }
        reading.take(a_level(n, INTERVAL, **(made | figures)))


def draw(reading: Reading, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=StringIO(), width=width, height=height, record=True)
    console.print(MeterFace(reading))
    return console.export_text().splitlines()


def test_levels_are_dbfs_until_there_is_a_calibration() -> None:
    reading = a_reading()
    hear(reading, *[-40.0] * 8)
    picture = "\n".join(draw(reading))
    assert "dBFS re full scale" in picture
    assert "NOT CALIBRATED" in picture
    assert "dB re 20" not in picture
    assert reading.line().endswith("LAeq -40.0  dBFS")


def test_with_a_calibration_they_are_sound_pressure_levels() -> None:
    reading = a_reading(134.0)
    hear(reading, *[-40.0] * 8)
    picture = "\n".join(draw(reading))
    assert "dB re 20 µPa, A-weighted, Fast (125 ms)" in picture
    assert "94.0" in picture
    assert "dBFS" not in picture
    assert "LAeq,1s 94.0  LAF 95.0  LAFmax,1s 97.0  LCpeak,1s 109.0" in reading.line()


def test_a_second_and_the_time_since_the_start_are_energy_means() -> None:
    reading = a_reading()
    hear(reading, *[-20.0] * 8, *[-120.0] * 8)
    assert reading.laeq_1s == pytest.approx(-120.0)
    assert reading.since_start["laeq"] == pytest.approx(-23.01, abs=0.01)
    assert reading.since_start["lafmax"] == -17.0
    assert reading.elapsed == "0:00:02"


def test_the_peak_is_held_for_two_seconds() -> None:
    reading = a_reading()
    hear(reading, -20.0, *[-60.0] * 15)
    assert reading.laf_hold == -17.0
    hear(reading, -60.0, start=16)
    assert reading.laf_hold == -57.0
    assert reading.since_start["lafmax"] == -17.0


def test_overload_is_lit_and_its_seconds_are_counted() -> None:
    reading = a_reading()
    hear(reading, *[-1.0] * 4, clipped_samples=7)
    assert reading.overload
    assert (reading.overloads, reading.clipped) == (1, 28)
    assert reading.line().endswith("OVERLOAD")
    hear(reading, *[-30.0] * 16, start=4)
    assert not reading.overload
    assert reading.overloads == 1


def test_a_level_next_to_the_converters_own_is_under_range() -> None:
    reading = a_reading()
    hear(reading, *[-95.0] * 8)
    assert reading.under_range
    assert reading.line().endswith("UNDER RANGE")


def test_gaps_are_counted_with_what_they_lost() -> None:
    reading = a_reading()
    hear(reading, *[-40.0] * 3)
    hear(reading, -40.0, start=3, gap=True, n_samples=INTERVAL - 100)
    hear(reading, -40.0, start=4, gap=True, n_samples=INTERVAL - 50)
    hear(reading, -40.0, start=7)
    assert reading.gaps == 2
    assert reading.lost_samples == 150 + 2 * INTERVAL


def test_nothing_is_shown_as_a_level_before_there_is_one() -> None:
    reading = a_reading()
    assert "-" in "\n".join(draw(reading))
    hear(reading, -40.0, laf_dbfs=np.zeros(0, np.float32), lafmin_dbfs=None)
    assert reading.laf is None


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60)])
@pytest.mark.parametrize("offset_db", [None, 134.0])
def test_the_picture_fits_the_terminal(width: int, height: int, offset_db: float | None) -> None:
    reading = a_reading(offset_db)
    hear(reading, *[-40.0] * 8)
    levels = np.linspace(-90.0, -20.0, len(NOMINAL_HZ))
    reading.take(Bands(0, RATE_HZ, RATE_HZ, levels, gap=False))
    lines = draw(reading, width, height)
    assert max(len(line.rstrip()) for line in lines) <= width
    assert len(lines) <= height
    names = next(line for line in lines if "1k" in line)
    for name in ("31.5", "125", "500", "2k", "8k", "16k"):
        assert name in names


def test_each_bar_stands_over_its_frequency() -> None:
    reading = a_reading()
    hear(reading, *[-40.0] * 8)
    levels = np.where(np.array(NOMINAL_HZ) == 1000.0, -20.0, -200.0)
    reading.take(Bands(0, RATE_HZ, RATE_HZ, levels, gap=False))
    lines = draw(reading)
    names = next(line for line in lines if "1k" in line)
    bars = [line.index("█", 7) for line in lines[-12:] if "█" in line[7:]]
    assert set(bars) == {names.index("1k")}


def test_a_sine_of_the_synthesiser_reads_its_level(edge: Callable[..., Done]) -> None:
    settings = ["--set", 'capture.source="synth"', "--set", 'capture.signal="tone"']
    settings += ["--set", "capture.seconds=3.0", "--set", 'capture.pace="fast"']
    done = edge("meter", "--plain", *settings, "--set", 'state.directory="state"')
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "LAeq,1s" in line]
    levels = [float(re.findall(r"LAeq,1s (-[\d.]+)", line)[0]) for line in lines]
    assert len(levels) == 3
    assert max(levels) - min(levels) < 0.1
    assert all(line.endswith("dBFS") for line in lines)


def test_it_lives_in_a_terminal_and_leaves_its_figures_behind() -> None:
    """A real terminal of 80 columns."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "edge", "meter", "--seconds", "3"]
    settings = ["--set", 'capture.source="synth"', "--set", 'capture.signal="pink"']
    process = subprocess.Popen(
        [*command, *settings], stdout=child, stderr=child, env={**os.environ, "TERM": "xterm"}
    )
    os.close(child)
    shown = b""
    try:
        while piece := os.read(parent, 65536):
            shown += piece
    except OSError:  # the terminal is closed: the process has ended
        pass
    os.close(parent)
    assert process.wait(60) == 0, shown.decode()
    text = shown.decode()
    assert "LAFmax" in text
    assert "third octaves" in text
    assert text.rstrip().endswith("dBFS")


def test_a_png_without_a_day_is_refused(edge: Callable[..., Done]) -> None:
    done = edge("meter", "--png", "x.png")
    assert done.returncode == 2
    assert "add --day" in done.stderr
