# SPDX-License-Identifier: MIT
"""How a classifier did in a trial: who was taken for whom, and what a threshold trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from edge.analysis.picture import DPI, INK, SMALL, TEXT, png

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

SIZE_INCHES: Final = (14.0, 8.0)  # 2100 x 1200 pixels
SHARES: Final = colormaps["Blues"]
COLOURS: Final = colormaps["tab20"]
DARK: Final = 0.55  # a share above it is written in white
LINEAR_TO: Final = 0.5  # false events an hour up to which the axis is linear: zero is on it


@dataclass(frozen=True, slots=True)
class TrialChart:
    """What is drawn.

    title, lines : in words.
    labels : of the n rows, columns and curves.
    confusion : (n, n) clips; row: what it is, column: what it was taken for.
    missed, false_per_hour : per label (n_thresholds,): share 0..1, and events an hour.
    chosen : per label (missed, false events an hour) by the rules in force.
    """

    title: str
    lines: Sequence[str]
    labels: Sequence[str]
    confusion: NDArray[np.int64]
    missed: Sequence[NDArray[np.float64]]
    false_per_hour: Sequence[NDArray[np.float64]]
    chosen: Sequence[tuple[float, float]]


def draw_trial(chart: TrialChart) -> bytes:
    """Return the chart as PNG, 2100 x 1200."""
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    figure.text(0.03, 0.97, chart.title, size=20, weight="bold", va="top", color=INK)
    for row, line in enumerate(chart.lines):
        place = (0.03 + 0.48 * (row % 2), 0.905 - 0.035 * (row // 2))
        figure.text(*place, line, size=TEXT, va="top", color=INK)
    _show_confusion(figure.add_axes((0.115, 0.17, 0.36, 0.6)), chart)
    _show_curves(figure.add_axes((0.57, 0.1, 0.26, 0.67)), chart)
    canvas.draw()  # type: ignore[no-untyped-call] # matplotlib's types stop here
    return png(figure)


def _show_confusion(axes: Axes, chart: TrialChart) -> None:
    share = chart.confusion / np.maximum(chart.confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap=SHARES, vmin=0.0, vmax=1.0, aspect="auto")
    places = range(len(chart.labels))
    size = min(SMALL, 150.0 / max(len(chart.labels), 1))
    axes.set_xticks(
        places, chart.labels, rotation=60, ha="right", size=size, rotation_mode="anchor"
    )
    axes.set_yticks(places, chart.labels, size=size)
    axes.tick_params(length=0, colors=INK)
    for (row, column), n in np.ndenumerate(chart.confusion):
        if n:
            ink = "white" if share[row, column] > DARK else INK
            axes.text(column, row, str(n), ha="center", va="center", size=size, color=ink)
    axes.set_title("clips: what it is (rows), taken for (columns)", size=TEXT, color=INK, pad=8)


def _show_curves(axes: Axes, chart: TrialChart) -> None:
    curves = zip(chart.labels, chart.missed, chart.false_per_hour, chart.chosen, strict=True)
    for k, (label, missed, false_per_hour, (own_missed, own_false)) in enumerate(curves):
        colour = COLOURS(k % COLOURS.N)
        axes.plot(false_per_hour, 100 * missed, color=colour, lw=1.6, label=label)
        axes.plot(own_false, 100 * own_missed, "o", color=colour, ms=7, mec=INK, clip_on=False)
    axes.set_xscale("symlog", linthresh=LINEAR_TO)
    axes.set_xlim(left=0.0)
    axes.set_ylim(0.0, 100.0)
    axes.grid(color="#DDDDDD", lw=0.6)
    axes.tick_params(labelsize=SMALL, colors=INK)
    axes.set_xlabel("false events an hour", size=SMALL, color=INK)
    axes.set_ylabel("clips missed, %", size=SMALL, color=INK)
    axes.set_title("by the threshold; dots: in force", size=TEXT, color=INK, pad=8)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=SMALL, frameon=False, labelcolor=INK
    )
