# SPDX-License-Identifier: MIT
"""The face of the sound level meter, from 80 columns and 24 lines on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge.cli.dashboard import bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderResult

    from edge.cli.meterreading import Reading

RANGE_DB: Final = 100
STEP_DB: Final = 10
NAME_WIDTH: Final = 9
VALUE_WIDTH: Final = 8
FRAME_WIDTH: Final = 4  # a panel's edges and padding
OTHER_LINES: Final = 14  # everything but the bands' bars
LEAST_ROWS: Final = 3
MOST_ROWS: Final = 20
EIGHTHS: Final = " ▁▂▃▄▅▆▇█"


class MeterFace:
    """Draws a reading, as large as the terminal is.

    Parameters
    ----------
    reading : read each time it is drawn.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the picture."""
        width = options.max_width - FRAME_WIDTH
        rows = min(max(console.size.height - OTHER_LINES, LEAST_ROWS), MOST_ROWS)
        reading = self._reading
        yield Text(f" {reading.heading}", no_wrap=True, overflow="ellipsis")
        yield Text(f" {reading.calibrated}", style=self._style(), no_wrap=True, overflow="ellipsis")
        title = f"{reading.unit} {reading.reference}, A-weighted, Fast (125 ms)"
        yield Panel(self._level(width), title=title, title_align="left")
        yield self._figures(options.max_width)
        yield self._lights()
        title = f"third octaves, LZeq,1s, {reading.unit}"
        yield Panel(self._bands(width, rows), title=title, title_align="left")

    def _style(self) -> str:
        return "green" if self._reading.offset_db is not None else "bold yellow"

    def _level(self, width: int) -> Table:
        reading = self._reading
        grid = Table.grid()
        room = width - NAME_WIDTH - VALUE_WIDTH
        for column in (NAME_WIDTH, room, VALUE_WIDTH):
            grid.add_column(width=column, no_wrap=True)
        hold = reading.laf_hold
        style = "bold red" if reading.overload else "green"
        line = bar(self._share(reading.laf), room, mark=self._mark(hold), style=style)
        grid.add_row(
            Text("LAF", style="bold"), line, Text(f"{shown(reading.laf):>8}", style="bold")
        )
        line = bar(self._share(reading.laeq_1s), room, style="blue")
        grid.add_row("LAeq,1s", line, f"{shown(reading.laeq_1s):>8}")
        grid.add_row("", self._scale(room), f"┃ {shown(hold):>6}")
        return grid

    def _figures(self, width: int) -> Table:
        """Return what was heard since the start."""
        reading = self._reading
        since = reading.since_start
        columns = (
            (("LAeq", since["laeq"]), ("LAE", since["lae"]), ("LCeq", since["lceq"])),
            (("LAFmax", since["lafmax"]), ("LAFmin", since["lafmin"]), ("LZeq", since["lzeq"])),
            (("LASmax", since["lasmax"]), ("LCpeak", since["lcpeak"]), ("LCpk,1s", reading.lcpeak)),
            (("L10", since["l10"]), ("L50", since["l50"]), ("L90", since["l90"])),
        )
        table = Table.grid(padding=(0, 2))
        for row in range(3):
            cells = []
            for column in columns:
                name, value = column[row]
                strong = "bold" if name in {"LAeq", "LAFmax", "LCpeak"} else ""
                cells.append(Text(f" {name:<7}{shown(value):>6}", style=strong))
            table.add_row(*cells, ("since start", reading.elapsed, "")[row])
        table.width = width
        return table

    def _lights(self) -> Text:
        reading = self._reading
        text = Text(" ", no_wrap=True, overflow="ellipsis")
        lights = (
            ("OVERLOAD", reading.overload, reading.overloads, "bold white on red"),
            ("UNDER RANGE", reading.under_range, 0, "bold black on yellow"),
            ("GAP", reading.gap, reading.gaps, "bold white on red"),
        )
        for name, lit, count, style in lights:
            text.append(f" {name} ", style=style if lit else "dim")
            text.append(f" {count}   " if count else "   ", style="red")
        text.append(f"clipped {reading.clipped}, lost {reading.lost_samples} samples", style="dim")
        return text

    def _bands(self, width: int, rows: int) -> Table:
        reading = self._reading
        columns = self._columns(width)
        grid = Table.grid()
        grid.add_column(width=5)
        grid.add_column(no_wrap=True)
        for row in range(rows):
            # The upper edge of each row's cells.
            top = (rows - row) / rows
            grid.add_row(f"{self._axis(top, rows):>4} ", self._bars(columns, top, rows))
        for line in self._names(columns):
            grid.add_row("", line)
        if not reading.bands:
            grid.add_row("", Text("the first second is heard yet", style="dim"))
        return grid

    def _columns(self, width: int) -> list[tuple[float, float | None, int]]:
        """Return frequency, level and width of each bar; the terminal's width is shared."""
        bands = self._reading.bands or [(hz, None) for hz in self._reading.band_hz]
        each = max((width - 5) // max(len(bands), 1), 1)
        return [(hz, level, each) for hz, level in bands]

    def _bars(self, columns: list[tuple[float, float | None, int]], top: float, rows: int) -> Text:
        line = Text()
        for _, level, each in columns:
            filled = (self._share(level) - top) * rows + 1.0
            cell = EIGHTHS[round(min(max(filled, 0.0), 1.0) * 8)]
            gap = " " if each > 1 else ""
            line.append(cell * (each - len(gap)) + gap, style="cyan")
        return line

    def _axis(self, top: float, rows: int) -> str:
        """Return the level at the upper edge of a row where a round one lies in it."""
        upper = self._lowest + top * RANGE_DB
        lower = upper - RANGE_DB / rows
        step = STEP_DB * 2
        tick = math.floor(upper / step) * step
        return str(tick) if lower < tick <= upper else ""

    def _names(self, columns: list[tuple[float, float | None, int]]) -> Iterator[Text]:
        each = columns[0][2] if columns else 1
        line = [" "] * (each * len(columns) + 6)
        last = -1
        for place, (hz, _, _) in enumerate(columns):
            name = f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}"
            at = place * each
            if at > last and _octave(hz):
                line[at : at + len(name)] = name
                last = at + len(name)
        yield Text("".join(line).rstrip(), style="dim")

    def _scale(self, width: int) -> Text:
        line = [" "] * width
        step = STEP_DB if width >= 44 else 2 * STEP_DB
        for value in range(self._lowest, self._lowest + RANGE_DB + 1, step):
            figure = str(value)
            at = min(round(self._share(value) * width), width - len(figure))
            if line[at - 1 : at] in ([], [" "]):  # else two figures would be one
                line[at : at + len(figure)] = figure
        return Text("".join(line), style="dim")

    @property
    def _lowest(self) -> int:
        """Where the scale begins: it ends at what full scale is, rounded up."""
        return math.ceil((self._reading.offset_db or 0.0) / STEP_DB) * STEP_DB - RANGE_DB

    def _share(self, value: float | None) -> float:
        return 0.0 if value is None else (value - self._lowest) / RANGE_DB

    def _mark(self, value: float | None) -> float | None:
        return None if value is None else min(max(self._share(value), 0.0), 1.0)


def shown(value: float | None) -> str:
    """Return a level with one decimal; a dash: there is none."""
    return "-" if value is None else f"{value:.1f}"


def _octave(hz: float) -> bool:
    """Whether a third octave is the middle one of an octave."""
    return hz in {31.5, 63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0}
