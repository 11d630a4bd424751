# SPDX-License-Identifier: MIT
"""The levels of a day, as a table and as a chart."""

from __future__ import annotations

import io
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edge.analysis.daychart import draw_day, missing
from edge.cli.levelday import chart_of, read_day, table
from edge.measure.calendar import Minute
from edge.measure.daybook import Daybook
from edge.measure.summary import Summary
from tests.seconds import a_level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Done

DAY = date(2026, 11, 24)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the system be in Berlin."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def a_minute(
    start: datetime, laeq: float = -50.0, offset_db: float | None = None, spread: float = 3.0
) -> Minute:
    rng = np.random.default_rng(int(start.timestamp()) // 60)
    laf = (laeq + spread * rng.standard_normal(6000)).astype(np.float32)
    summary = Summary()
    for second, piece in enumerate(np.split(laf, 60)):
        figures = {"laeq_dbfs": laeq, "lafmax_dbfs": float(piece.max()), "laf_dbfs": piece}
        summary.add(a_level(second, **figures), 48000)
    return Minute(start, summary, clock_synchronised=True, offset_db=offset_db)


def write(
    directory: Path, day: date, hours: range, laeq: float = -50.0, offset_db: float | None = None
) -> Daybook:
    """Write every tenth minute's worth of six minutes an hour, in UTC from local midnight."""
    book = Daybook(directory / "levels", days=400)
    midnight = datetime(day.year, day.month, day.day).astimezone().astimezone(UTC)
    for hour in hours:
        for minute in range(0, 60, 20):
            book.append(a_minute(midnight + timedelta(hours=hour, minutes=minute), laeq, offset_db))
    return book


def test_the_table_has_each_hour_and_the_day(tmp_path: Path) -> None:
    lines = table(read_day(write(tmp_path, DAY, range(24)), DAY))
    assert lines[0] == "2026-11-24, local time, levels in dBFS"
    assert len(lines) == 2 + 24 + 1 + 2
    assert lines[2].startswith("00:00  -50.0")
    assert lines[25].startswith("23:00  -50.0")
    assert lines[26].startswith("day    -50.0")
    assert "Lden -43.6" in lines[27]
    assert lines[27].endswith("dBFS")


def test_calibrated_levels_are_in_db(tmp_path: Path) -> None:
    lines = table(read_day(write(tmp_path, DAY, range(24), offset_db=120.0), DAY))
    assert lines[0].endswith("levels in dB")
    assert lines[2].startswith("00:00   70.0")
    assert "Lden 76.4" in lines[27]


def test_a_new_gain_in_mid_day_leaves_the_levels_what_they_are(tmp_path: Path) -> None:
    write(tmp_path, DAY, range(12), laeq=-50.0, offset_db=120.0)
    book = write(tmp_path, DAY, range(12, 24), laeq=-56.0, offset_db=126.0)
    day = read_day(book, DAY)
    assert all(line[5:13].strip() == "70.0" for line in table(day)[2:27])
    assert chart_of(day, "box").laeq == pytest.approx(np.full(72, 70.0), abs=0.02)


def test_a_part_that_was_not_heard_leaves_no_lden(tmp_path: Path) -> None:
    lines = table(read_day(write(tmp_path, DAY, range(8, 12)), DAY))
    assert "Lden - (no evening, no night)" in lines[-2]
    assert "heard 0.2 h of 24 h" in lines[-1]


def test_an_hour_that_comes_twice_is_two(tmp_path: Path) -> None:
    change = date(2026, 10, 25)
    day = read_day(write(tmp_path, change, range(25)), change)
    lines = table(day)
    assert [line[:5] for line in lines[2:27]].count("02:00") == 2
    assert lines[27].startswith("day")
    chart = chart_of(day, "box")
    assert chart.length_s == 25 * 3600
    assert [word for _, word in chart.ticks] == [
        *("00:00", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "24:00"),
    ]
    assert chart.ticks[1][0] == 4 * 3600
    assert chart.nights == [(0.0, 8 * 3600.0), (24 * 3600.0, 25 * 3600.0)]


def test_what_is_missing_is_where_no_minute_is() -> None:
    times_s = np.array([60.0, 120.0, 600.0])
    assert missing(times_s, 1000.0) == [(0.0, 60.0), (180.0, 600.0), (660.0, 1000.0)]
    assert missing(np.arange(0.0, 86400.0, 60.0), 86400.0) == []


def test_the_chart_is_a_png_of_its_size(tmp_path: Path) -> None:
    png = draw_day(chart_of(read_day(write(tmp_path, DAY, range(24)), DAY), "box"))
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size == (1350, 900)
    assert len(png) < 200_000


def test_the_command_prints_and_draws(edge: Callable[..., Done], tmp_path: Path) -> None:
    write(tmp_path, DAY, range(24))
    state = ("--set", f'state.directory="{tmp_path}"')
    done = edge("meter", "--day", "2026-11-24", *state)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2026-11-24, local time, levels in dBFS\n")
    done = edge("meter", "--day", "2026-11-24", "--png", tmp_path / "day.png", *state)
    assert done.stdout == f"{tmp_path / 'day.png'}: 72 minutes of 2026-11-24\n"
    assert (tmp_path / "day.png").read_bytes().startswith(b"\x89PNG")


def test_a_day_that_is_not_kept_is_said(edge: Callable[..., Done], tmp_path: Path) -> None:
    state = ("--set", f'state.directory="{tmp_path}"')
    done = edge("meter", "--day", *state)
    assert done.returncode == 1
    assert "no levels of" in done.stderr
    write(tmp_path, DAY, range(1))
    done = edge("meter", "--day", "2020-01-01", *state)
    assert "kept are 2026-11-23 to 2026-11-23" in done.stderr
    assert edge("meter", "--day", "yesterday", *state).returncode == 2


def test_a_chart_that_cannot_be_written_is_said(edge: Callable[..., Done], tmp_path: Path) -> None:
    write(tmp_path, DAY, range(1))
    state = ("--set", f'state.directory="{tmp_path}"')
    done = edge("meter", "--day", "2026-11-24", "--png", tmp_path / "no" / "day.png", *state)
    assert done.returncode == 74
    assert "can't be written: No such file" in done.stderr
