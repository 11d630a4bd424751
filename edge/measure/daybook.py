# SPDX-License-Identifier: MIT
"""The minutes of every day, a line of JSON each, in a file for each UTC day.

A minute takes 1 kB (a street; a quiet room less), a day 1.5 MB. A power cut costs the
minutes that the kernel had not written (half a minute by default), and at most leaves half a
line, which is skipped and said.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.measure.calendar import Minute
from edge.measure.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

FOLDER: Final = "levels"
"""Its name in the state directory."""

_FEW: Final = 3  # days at each end, where a clock was far off
_TAIL_BYTES: Final = 32768
_DAMAGE: Final = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)
_NAME: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.jsonl")


class _Line(NamedTuple):
    """A minute, and its place in the order of writing: a clock that steps does not keep it."""

    number: int
    minute: Minute


class Daybook:
    """Writes minutes down and reads them back.

    Parameters
    ----------
    directory : made with the first minute, for its owner alone.
    days : older days are removed; the day at hand always stays.
    """

    def __init__(self, directory: Path, days: int) -> None:
        self._directory = directory
        self._days = days
        self._number: int | None = None

    def append(self, minute: Minute) -> None:
        """Write a minute down. Raises OSError; what was written before stays readable.

        With the first minute of a UTC day the old days are removed, unless the clock may be
        wrong: one that steps into the future would forget everything.
        """
        start = minute.start.astimezone(UTC)
        if self._number is None:
            self._number = max((_last_number(self._path(day)) for day in self.days()), default=0)
        line = {
            "n": self._number + 1,
            "start": start.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "clock_synchronised": minute.clock_synchronised,
            "offset_db": minute.offset_db,
            **minute.summary.to_json(),
        }
        text = json.dumps(line, allow_nan=False, separators=(",", ":"))
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(start.date())
        new = not path.exists()
        _append_line(path, text.encode())
        self._number += 1
        if new and minute.clock_synchronised:
            self._forget(start.date() - timedelta(days=self._days))

    def minutes(self, start: datetime, stop: datetime) -> Iterator[Minute]:
        """Yield the minutes that began in [start, stop), both aware, as they were written.

        Damaged lines are skipped and said in the log. Raises OSError for a file that is there
        and can't be read.
        """
        day, last = start.astimezone(UTC).date(), stop.astimezone(UTC).date()
        while day <= last:
            for line in self._read(self._path(day)):
                if start <= line.minute.start < stop:
                    yield line.minute
            day += timedelta(days=1)

    def recent(self, now: datetime) -> list[Minute]:
        """Return the minutes of the last two days and all after, in the order of their writing.

        After `now` (aware) lie those of a clock that was ahead, or is behind. Raises as `minutes`.
        """
        oldest = now.astimezone(UTC).date() - timedelta(days=2)
        days = [day for day in self.days() if day >= oldest]
        few = days if len(days) <= 2 * _FEW else days[:_FEW] + days[-_FEW:]
        lines = [line for day in few for line in self._read(self._path(day))]
        return [line.minute for line in sorted(lines, key=lambda line: line.number)]

    def days(self) -> list[date]:
        """Return the UTC days of which there are minutes, oldest first."""
        if not self._directory.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self._directory.iterdir())
        return sorted(day for name in names if name and (day := _day(name[1])))

    def _read(self, path: Path) -> Iterator[_Line]:
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        damaged = []
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                read = _line(line)
            except _DAMAGE:
                damaged.append(number)
            else:
                yield read
        if damaged:
            log.warning(
                "%s: %d damaged line(s) skipped, the first is line %d: the minute is lost",
                path,
                len(damaged),
                damaged[0],
            )

    def _forget(self, oldest: date) -> None:
        for day in self.days():
            if day < oldest:
                self._path(day).unlink(missing_ok=True)

    def _path(self, day: date) -> Path:
        return self._directory / f"{day.isoformat()}.jsonl"


def _append_line(path: Path, line: bytes) -> None:
    """Add a line by one write, behind whatever a power cut has left of the last one."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "r+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        torn = end and os.pread(file.fileno(), 1, end - 1) != b"\n"
        text = b"\n" * bool(torn) + line + b"\n"
        if (written := file.write(text)) != len(text):  # the disk is full
            raise OSError(errno.ENOSPC, f"{written} of {len(text)} bytes written", str(path))


def _last_number(path: Path) -> int:
    """Return the number of the last whole line of a file; 0 if there is none."""
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
        lines = file.read().split(b"\n")
    for line in reversed(lines):
        with contextlib.suppress(*_DAMAGE):
            return _line(line).number
    return 0


def _line(line: bytes) -> _Line:
    body = json.loads(line)
    start = datetime.fromisoformat(body["start"])
    if start.tzinfo is None or not isinstance(body["clock_synchronised"], bool):
        raise ValueError("not a minute")
    offset_db = None if body["offset_db"] is None else float(body["offset_db"])
    minute = Minute(start, Summary.from_json(body), body["clock_synchronised"], offset_db)
    return _Line(int(body["n"]), minute)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
