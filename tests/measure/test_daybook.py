# SPDX-License-Identifier: MIT
"""The day book keeps minutes through power cuts, full disks and clocks that jump."""

from __future__ import annotations

import errno
import logging
import os
import resource
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.measure.calendar import Minute
from edge.measure.daybook import Daybook
from edge.measure.summary import Summary
from edge.types import Bands
from tests.seconds import a_level

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 11, 25, 10, 0, 0, 123000, tzinfo=UTC)
ALL = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def a_summary(laeq_dbfs: float = -50.0) -> Summary:
    """Return a minute of a street: the Fast level wanders over 25 dB."""
    rng = np.random.default_rng(3)
    laf = -55.0 + 5.0 * np.sin(np.arange(6000) / 300) + 2.0 * rng.standard_normal(6000)
    summary = Summary()
    for second, piece in enumerate(np.split(laf.astype(np.float32), 60)):
        summary.add(a_level(second, laeq_dbfs=laeq_dbfs, laf_dbfs=piece), 48000)
        bands = Bands(0, 48000, 48000, -60.0 - np.arange(40.0) / 3, gap=False)
        summary.add_bands(bands, 48000)
    return summary


def a_minute(start: datetime, laeq_dbfs: float = -50.0, *, synchronised: bool = True) -> Minute:
    return Minute(start, a_summary(laeq_dbfs), synchronised)


@pytest.fixture
def book(tmp_path: Path) -> Daybook:
    return Daybook(tmp_path / "levels", days=30)


def read(book: Daybook) -> list[Minute]:
    """Return all, whatever the clock was."""
    first, last = book.days()[0], book.days()[-1]
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    stop = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    return list(book.minutes(start, stop))


def test_what_was_written_is_read(book: Daybook) -> None:
    for n in range(3):
        book.append(a_minute(START + timedelta(minutes=n), -50.0 - n, synchronised=n > 0))
    back = read(book)
    assert [one.start for one in back] == [START + timedelta(minutes=n) for n in range(3)]
    assert [one.clock_synchronised for one in back] == [False, True, True]
    for n, one in enumerate(back):
        assert one.summary.figures() == pytest.approx(a_summary(-50.0 - n).figures(), abs=0.02)
        assert one.summary.bands_dbfs() == pytest.approx(a_summary().bands_dbfs(), abs=0.06)


def test_a_minute_of_a_street_takes_one_kilobyte(book: Daybook, tmp_path: Path) -> None:
    book.append(a_minute(START))
    assert (tmp_path / "levels" / "2026-11-25.jsonl").stat().st_size < 1100


def test_a_day_of_utc_is_a_file_for_its_owner_alone(book: Daybook, tmp_path: Path) -> None:
    book.append(a_minute(START))
    book.append(a_minute(START + timedelta(days=1)))
    names = sorted(path.name for path in (tmp_path / "levels").iterdir())
    assert names == ["2026-11-25.jsonl", "2026-11-26.jsonl"]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "levels").iterdir()]
    assert modes == [0o600, 0o600]


@pytest.mark.parametrize("kept", range(1, 700, 60))
def test_a_torn_line_is_skipped_said_and_costs_one_minute(
    book: Daybook, tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: int
) -> None:
    book.append(a_minute(START))
    path = tmp_path / "levels" / "2026-11-25.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])
    again = Daybook(tmp_path / "levels", days=30)
    again.append(a_minute(START + timedelta(minutes=1)))
    with caplog.at_level(logging.WARNING):
        assert len(read(again)) == 2
    assert "1 damaged line(s) skipped, the first is line 2" in caplog.text


@pytest.mark.parametrize(
    "line",
    [b"\x00" * 512, b"{}", b"[]", b"7", b"nonsense", b'{"n":1e999}', b"\xff\xfe", b"[" * 100000],
)
def test_a_damaged_line_is_skipped(book: Daybook, tmp_path: Path, line: bytes) -> None:
    book.append(a_minute(START))
    path = tmp_path / "levels" / "2026-11-25.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    assert len(read(book)) == 1


def test_old_days_are_removed(tmp_path: Path) -> None:
    book = Daybook(tmp_path, days=2)
    (tmp_path / "notes.txt").write_text("mine")
    for n in range(5):
        book.append(a_minute(START + timedelta(days=n)))
    assert [day.day for day in book.days()] == [27, 28, 29]
    assert (tmp_path / "notes.txt").exists()


def test_a_clock_that_may_be_wrong_removes_nothing(tmp_path: Path) -> None:
    book = Daybook(tmp_path, days=2)
    book.append(a_minute(START))
    book.append(a_minute(START + timedelta(days=3000), synchronised=False))
    assert len(book.days()) == 2


def test_the_recent_minutes_come_in_the_order_of_their_writing(tmp_path: Path) -> None:
    """The clock was ahead by years, then right; the box was restarted in between."""
    years = timedelta(days=3000)
    starts = [START - timedelta(days=9), START + years, START, START + timedelta(days=1)]
    for start in starts:
        Daybook(tmp_path, days=30).append(a_minute(start, synchronised=False))
    recent = Daybook(tmp_path, days=30).recent(START + timedelta(days=1, hours=1))
    assert [one.start for one in recent] == starts[1:]


def test_a_write_that_is_cut_short_is_an_error_and_the_book_goes_on(tmp_path: Path) -> None:
    """A limit on the file's size stands for a full disk."""
    book = Daybook(tmp_path, days=30)
    book.append(a_minute(START))
    size = (tmp_path / "2026-11-25.jsonl").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
    try:
        with pytest.raises(OSError, match="written"):
            book.append(a_minute(START + timedelta(minutes=1)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    book.append(a_minute(START + timedelta(minutes=2)))
    assert [one.start.minute for one in read(book)] == [0, 2]


def test_a_folder_that_cannot_be_made_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=os.strerror(errno.ENOTDIR)):
        Daybook(tmp_path / "file" / "levels", days=30).append(a_minute(START))


def test_an_empty_book_has_no_minutes(book: Daybook) -> None:
    assert book.days() == []
    assert book.recent(START) == []
    assert list(book.minutes(START, START + timedelta(days=1))) == []
