# SPDX-License-Identifier: MIT
"""A day of levels from the day book: hours as a table, minutes as a chart."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from edge.errors import EdgeError, StorageError
from edge.measure.calendar import Calendar, Finished, Minute
from edge.measure.daybook import FOLDER, Daybook
from edge.measure.summary import NIGHT_H

if TYPE_CHECKING:
    from pathlib import Path

    from edge.analysis.daychart import DayLevels
    from edge.config.schema import Settings

COLUMNS: Final = ("laeq", "l10", "l50", "l90", "lafmax", "lcpeak")
HEAD: Final = "hour    LAeq    L10    L50    L90  LAFmax  LCpeak   heard"
PARTS: Final = {"day": "Lday", "evening": "Levening", "night": "Lnight"}
TICK_H: Final = 3


class Day(NamedTuple):
    """A local day: its minutes by time, its hours by time, and the whole."""

    start: datetime
    minutes: list[Minute]
    hours: list[Finished]
    whole: Finished

    @property
    def unit(self) -> str:
        """What its levels are in."""
        return "dBFS" if self.whole.offset_db is None else "dB"


def show_day(settings: Settings, text: str | None, png: Path | None) -> None:
    """Print the hours of a day (None: today), or draw its minutes into a file."""
    book = Daybook(settings.state.path / FOLDER, settings.level.days)
    day = read_day(book, _date(text))
    if png is None:
        click.echo("\n".join(table(day)))
        return
    from edge.analysis.daychart import draw_day

    try:
        png.write_bytes(draw_day(chart_of(day, settings.node.name)))
    except OSError as error:
        raise StorageError(
            f"{png} can't be written: {error.strerror}", "name a file in a folder of yours"
        ) from error
    click.echo(f"{png}: {len(day.minutes)} minutes of {day.start:%Y-%m-%d}")


def read_day(book: Daybook, wanted: date) -> Day:
    """Return a local day. Raises `EdgeError` where nothing of it is kept."""
    start, stop = _midnight(wanted), _midnight(wanted + timedelta(days=1))
    try:
        minutes = list(book.minutes(start, stop))
        kept = book.days()
    except OSError as error:
        raise StorageError(
            f"the levels can't be read: {error.strerror}", "run it as the user of the unit"
        ) from error
    if not minutes:
        there = f"kept are {kept[0]} to {kept[-1]}" if kept else "`edge listen` keeps them"
        raise EdgeError(f"no levels of {wanted} are kept", there)
    calendar = Calendar()
    told = [one for minute in minutes for one in calendar.add(minute)] + calendar.so_far()
    # An hour that was told again holds what was told before, too.
    hours = {one.start.astimezone(UTC): one for one in told if one.kind == "hour"}
    whole = next(one for one in reversed(told) if one.kind == "day")
    minutes.sort(key=lambda minute: minute.start)
    return Day(start, minutes, [hours[at] for at in sorted(hours)], whole)


def table(day: Day) -> list[str]:
    """Return the hours of a day and what it was as a whole, in lines."""
    lines = [f"{day.start:%Y-%m-%d}, local time, levels in {day.unit}", HEAD]
    for hour in day.hours:
        moved = hour.summary.moved(_moved(day, hour.offset_db))
        lines.append(f"{hour.start:%H:%M} {_row(moved.figures(), day)} {hour.coverage:6.0%}")
    lines.append(f"day   {_row(day.whole.summary.figures(), day)} {day.whole.coverage:6.0%}")
    return [*lines, *_words(day)]


def chart_of(day: Day, name: str) -> DayLevels:
    """Return what the chart of a day draws."""
    import numpy as np

    from edge.analysis.daychart import DayLevels

    figures = [
        minute.summary.moved(_moved(day, minute.offset_db)).figures() for minute in day.minutes
    ]
    offset_db = day.whole.offset_db or 0.0

    def column(key: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        values = [one[key] for one in figures]
        return np.array([math.nan if db is None else db + offset_db for db in values])

    return DayLevels(
        title=f"{name}, {day.start:%A} {day.start:%Y-%m-%d}",
        lines=_words(day),
        unit=f"{day.unit}, A-weighted, Fast" + " (not calibrated)" * (day.unit == "dBFS"),
        length_s=day.whole.length_s,
        ticks=_ticks(day),
        nights=_nights(day),
        times_s=np.array([_since(day, minute.start) for minute in day.minutes]),
        laeq=column("laeq"),
        lafmax=column("lafmax"),
        l10=column("l10"),
        l90=column("l90"),
    )


def _words(day: Day) -> list[str]:
    """Return the figures of the whole day in two lines."""
    whole = day.whole
    offset_db = whole.offset_db or 0.0
    laeq, lden = whole.summary.leq_dbfs(), whole.lden_dbfs()
    said = [f"LAeq {_level(laeq, offset_db)}"]
    missing = [part for part in PARTS if not whole.part_coverage(part)]
    reason = f" (no {', no '.join(missing)})" if missing else ""
    said.append(f"Lden {_level(lden, offset_db)}{reason}")
    for part, symbol in PARTS.items():
        if part in whole.parts:
            level = _level(whole.parts[part].leq_dbfs(), offset_db)
            said.append(f"{symbol} {level} ({whole.part_coverage(part):.0%})")
    heard = f"heard {whole.summary.heard_s / 3600:.1f} h of {whole.length_s / 3600:g} h"
    notes = [heard, f"lost in gaps {whole.summary.lost_s:.1f} s"]
    if whole.summary.clipped_samples:
        notes.append(f"clipped {whole.summary.clipped_samples} samples")
    if whole.offset_db is None and any(one.offset_db is not None for one in day.minutes):
        notes.append("not all of it was calibrated")
    if not whole.clock_synchronised:
        notes.append("the clock was not always synchronised")
    return [f"{';  '.join(said)}  {day.unit}", "; ".join(notes)]


def _row(figures: dict[str, float | None], day: Day) -> str:
    offset_db = day.whole.offset_db or 0.0
    widths = (6, 6, 6, 6, 7, 7)
    cells = (
        f"{_level(figures[key], offset_db):>{width}}"
        for key, width in zip(COLUMNS, widths, strict=True)
    )
    return " ".join(cells)


def _level(dbfs: float | None, offset_db: float) -> str:
    return "-" if dbfs is None else f"{dbfs + offset_db:.1f}"


def _moved(day: Day, offset_db: float | None) -> float:
    """Return what brings levels of another offset to that of the day."""
    if offset_db is None or day.whole.offset_db is None:
        return 0.0
    return offset_db - day.whole.offset_db


def _ticks(day: Day) -> list[tuple[float, str]]:
    """Return every third local hour: a day on which the clocks change has its own."""
    n_hours = round(day.whole.length_s / 3600)
    hours = [day.start.astimezone(UTC) + timedelta(hours=n) for n in range(n_hours + 1)]
    local = [hour.astimezone() for hour in hours]
    ticks = [(_since(day, hour), f"{hour:%H:%M}") for hour in local if hour.hour % TICK_H == 0]
    return [*ticks[:-1], (day.whole.length_s, "24:00")]


def _nights(day: Day) -> list[tuple[float, float]]:
    evening_h, morning_h = NIGHT_H
    ends = [datetime.combine(day.start, time(hour)).astimezone() for hour in (morning_h, evening_h)]
    return [(0.0, _since(day, ends[0])), (_since(day, ends[1]), day.whole.length_s)]


def _since(day: Day, moment: datetime) -> float:
    return (moment - day.start).total_seconds()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time()).astimezone()


def _date(text: str | None) -> date:
    if text is None:
        return datetime.now().astimezone().date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--day {text}: write it as 2026-11-25") from None
