# SPDX-License-Identifier: MIT
"""The levels of a day in one chart (matplotlib, Agg, no pyplot)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from edge.analysis.picture import DPI, HARMONIC, INK, PERCUSSIVE, SMALL, TEXT, png

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

SIZE_INCHES: Final = (9.0, 6.0)  # 1350 x 900 pixels
MINUTE_S: Final = 60.0
APART_S: Final = 90.0
"""Minutes further apart than this have something missing between them."""

BAND: Final = "#9CC9E8"
NIGHT: Final = "#E9E6F2"
MISSING: Final = "#F6F6F6"
STEP_DB: Final = 10.0


@dataclass(frozen=True, slots=True)
class DayLevels:
    """What is drawn.

    title, lines : in words: the day, and its figures in two lines.
    unit : "dB" or "dBFS".
    length_s : of the day.
    ticks : (seconds from midnight, words) of the time axis.
    nights : (from, to) in seconds from midnight.
    times_s : (n,) when each minute began, rising.
    laeq, lafmax, l10, l90 : (n,) in `unit`, NaN where there is none.
    """

    title: str
    lines: Sequence[str]
    unit: str
    length_s: float
    ticks: Sequence[tuple[float, str]]
    nights: Sequence[tuple[float, float]]
    times_s: Float64
    laeq: Float64
    lafmax: Float64
    l10: Float64
    l90: Float64


def draw_day(levels: DayLevels) -> bytes:
    """Return the chart as PNG, 1350 x 900."""
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.075, 0.095, 0.885, 0.685))
    figure.text(0.03, 0.965, levels.title, size=20, weight="bold", va="top", color=INK)
    for row, line in enumerate(levels.lines):
        figure.text(0.03, 0.905 - 0.042 * row, line, size=TEXT, va="top", color=INK)
    _show_time(axes, levels)
    _show_levels(axes, levels)
    _finish(axes, levels)
    canvas.draw()  # type: ignore[no-untyped-call] # matplotlib's types stop here
    return png(figure)


def missing(times_s: Float64, length_s: float) -> list[tuple[float, float]]:
    """Return where nothing was heard, as (from, to) in seconds."""
    ends = np.concatenate([[0.0], times_s + MINUTE_S])
    starts = np.concatenate([times_s, [length_s]])
    holes = (starts - ends) > APART_S - MINUTE_S
    return list(zip(ends[holes].tolist(), starts[holes].tolist(), strict=True))


def _show_time(axes: Axes, levels: DayLevels) -> None:
    for start_s, stop_s in levels.nights:
        axes.axvspan(start_s, stop_s, color=NIGHT, lw=0, zorder=0)
    for start_s, stop_s in missing(levels.times_s, levels.length_s):
        axes.axvspan(
            start_s, stop_s, facecolor=MISSING, edgecolor="#CCCCCC", hatch="//", lw=0, zorder=1
        )


def _show_levels(axes: Axes, levels: DayLevels) -> None:
    middle_s, (laeq, l10, l90) = _with_breaks(levels)
    axes.fill_between(
        middle_s, l90, l10, color=BAND, lw=0.6, zorder=2, label="L90 to L10", edgecolor=BAND
    )
    axes.plot(
        levels.times_s + MINUTE_S / 2,
        levels.lafmax,
        ".",
        color=PERCUSSIVE,
        ms=2.6,
        mew=0,
        zorder=3,
        label="LAFmax",
    )
    axes.plot(middle_s, laeq, color=HARMONIC, lw=1.3, zorder=4, label="LAeq, 1 min")


def _with_breaks(levels: DayLevels) -> tuple[Float64, list[Float64]]:
    """Return times and levels with a hole in each line where minutes are missing."""
    breaks = np.flatnonzero(np.diff(levels.times_s) > APART_S) + 1
    middle_s = np.insert(levels.times_s + MINUTE_S / 2, breaks, np.nan)
    return middle_s, [
        np.insert(one, breaks, np.nan) for one in (levels.laeq, levels.l10, levels.l90)
    ]


def _finish(axes: Axes, levels: DayLevels) -> None:
    shown = np.concatenate([levels.lafmax, levels.l90, levels.laeq])
    shown = shown[np.isfinite(shown)]
    lowest, highest = (float(shown.min()), float(shown.max())) if shown.size else (0.0, 1.0)
    bottom = STEP_DB * np.floor((lowest - 1.0) / STEP_DB)
    axes.set_ylim(bottom, STEP_DB * np.ceil((highest + 1.0) / STEP_DB))
    axes.set_xlim(0.0, levels.length_s)
    axes.set_xticks([at for at, _ in levels.ticks], [word for _, word in levels.ticks])
    axes.grid(axis="y", color="#BBBBBB", lw=0.6, zorder=1.5)
    axes.set_axisbelow(False)
    axes.tick_params(labelsize=SMALL, colors=INK, length=3, pad=3)
    for side in axes.spines.values():
        side.set_color("#888888")
    axes.set_title(levels.unit, loc="left", size=TEXT, pad=5, color=INK)
    axes.set_xlabel("local time; night shaded, nothing heard hatched", size=SMALL, color=INK)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=3,
        fontsize=SMALL,
        frameon=False,
        handlelength=1.4,
        borderpad=0.1,
        columnspacing=1.2,
        markerscale=3.0,
        labelcolor=INK,
    )
