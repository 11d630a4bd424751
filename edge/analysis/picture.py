# SPDX-License-Identifier: MIT
"""One picture of a recording that reads well on a telephone (matplotlib, Agg, no pyplot)."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from edge.analysis.strip import Strip, Strips

DPI: Final = 150
SIZE_INCHES: Final = (7.2, 9.0)  # 1080 x 1350 pixels
TEXT: Final = 13.0  # points: 27 pixels, 1.6 mm on a telephone
SMALL: Final = 11.5
COLOURS: Final = 64  # of the file's palette

# Dark on light, one lightness ramp: it survives grey printing and colour blindness.
LOUDNESS: Final = colormaps["magma_r"]
RANGE_DB: Final = 60.0
BACKGROUND: Final = 25.0  # percent of the picture that may be plain paper
# Okabe and Ito's, told apart by every eye.
HARMONIC: Final = "#0072B2"
PERCUSSIVE: Final = "#D55E00"
ONSET: Final = "#009E73"
EVENT: Final = "#0072B2"
EVENT_BAR: Final = 6.0  # points
INK: Final = "#222222"

TICK_ROWS: Final = 8  # of 128: a line of text
MANY_ONSETS: Final = 60  # more triangles would hide each other: lines
COUNTLESS_ONSETS: Final = 300  # as above: the darker, the more
ONSET_BINS: Final = 120
MEL_TICKS_HZ: Final = (125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000)


def draw(strips: Strips, report: Mapping[str, Any], events: Sequence[tuple[float, float]]) -> bytes:
    """Return the picture as PNG, 1080 x 1350; parameters as of `compose`."""
    return png(compose(strips, report, events))


def compose(
    strips: Strips, report: Mapping[str, Any], events: Sequence[tuple[float, float]]
) -> Figure:
    """Return the picture, drawn.

    Parameters
    ----------
    report : of the same recording; title and figures are taken from it.
    events : (onset, offset) of each event in seconds from the recording's start.
    """
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    rows = figure.subplots(
        4,
        1,
        sharex=True,
        gridspec_kw={
            "height_ratios": (3.0, 3.0, 1.5, 1.2),
            "left": 0.135,
            "right": 0.965,
            "bottom": 0.065,
            "top": 0.785,
            "hspace": 0.20,
        },
    )
    _write_title(figure, report)
    _show_mel(rows[0], strips)
    _show_notes(rows[1], strips)
    _show_parts(rows[2], strips)
    _show_onsets(rows[3], strips)
    _mark_events(rows, events, strips.duration_s)
    _finish_axes(rows, strips)
    canvas.draw()  # type: ignore[no-untyped-call] # matplotlib's types stop here
    return figure


def _write_title(figure: Figure, report: Mapping[str, Any]) -> None:
    label = report["label"] or report["source"]["file"]
    words = str(label).replace("_", " ") if report["label"] else str(label)
    figure.text(0.03, 0.975, _short(words, 34), size=22, weight="bold", va="top", color=INK)
    figure.text(0.03, 0.933, _when(report), size=TEXT, va="top", color=INK)
    for row, line in enumerate(summary_lines(report)):
        figure.text(0.03, 0.905 - 0.026 * row, line, size=TEXT, va="top", color=INK)


def summary_lines(report: Mapping[str, Any]) -> list[str]:
    """Return the main figures in words, three lines that fit into the picture."""
    levels, parts = report["levels"], report["separation"]
    if levels["rms_dbfs"] is None:
        return ["digital silence", "", ""]
    loud = f"{levels['rms_dbfs']:z.1f} dBFS, peak {levels['peak_dbfs']:z.1f}"
    if levels["clipped_share"]:
        loud += f", clipped {100 * levels['clipped_share']:.2g} %"
    harmonic, percussive = parts["harmonic_share"], parts["percussive_share"]
    shares = ""
    if harmonic is not None:
        shares = f"harmonic {100 * harmonic:.0f} %, percussive {100 * percussive:.0f} %"
    return [f"{loud};  {shares}", _rhythm(report["onsets"]), _pitch(report)]


def _rhythm(onsets: Mapping[str, Any]) -> str:
    count = onsets["count"]
    if count == 0:
        return "no onset"
    said = f"{count} onset{'s' if count > 1 else ''}, {onsets['rate_per_s']:.2g} per s"
    if (regularity := onsets["regularity"]) is None:
        return said
    said += f", regularity {regularity:.2f}"
    return said + (f", every {onsets['period_s']:.2f} s" if onsets["period_s"] else "")


def _pitch(report: Mapping[str, Any]) -> str:
    strongest = report["tones"]["strongest"]
    spectrum = report["spectrum"]
    centre = f"centroid {_hz(spectrum['centroid_hz']['mean'])}" if spectrum else ""
    tones = ", ".join(f"{tone['note']} ({_hz(tone['frequency_hz'])})" for tone in strongest[:2])
    return ";  ".join(part for part in (f"tones {tones}" if tones else "no tone", centre) if part)


def _when(report: Mapping[str, Any]) -> str:
    start = report["start_time"]
    length = _length(report["source"]["duration_s"])
    if not start:
        return length
    doubt = "" if report["clock_synchronised"] else " (clock not synchronised)"
    return f"{start[:10]}  {start[11:19]} UTC{doubt},  {length}"


def _show_mel(axes: Axes, strips: Strips) -> None:
    strip = strips["log_mel"]
    _show_rows(axes, strip)
    ticks = [hz for hz in MEL_TICKS_HZ if strips.mel_hz[0] <= hz <= strips.mel_hz[-1]]
    places = np.interp(ticks, strips.mel_hz, np.arange(strips.mel_hz.size))
    # From the top down, those whose words would not meet.
    shown: list[tuple[float, int]] = []
    for place, hz in zip(places[::-1], ticks[::-1], strict=True):
        if not shown or shown[-1][0] - place > TICK_ROWS:
            shown.append((place, hz))
    axes.set_yticks([place for place, _ in shown], [_kilo(hz) for _, hz in shown])
    _name(axes, "log-Mel, Hz", above=EVENT_BAR)


def _show_notes(axes: Axes, strips: Strips) -> None:
    _show_rows(axes, strips["constant_q"])
    octaves = range(0, strips.semitones_hz.size, 12)
    axes.set_yticks(list(octaves), [f"C{1 + number}" for number in range(len(octaves))])
    _name(axes, "constant Q, notes")


def _show_rows(axes: Axes, strip: Strip) -> None:
    """Show columns over time, 60 dB under the loudest at most, no deeper than the background."""
    columns = strip.columns
    top = float(columns.max())
    bottom = max(top - RANGE_DB, float(np.percentile(columns, BACKGROUND)))
    bottom = min(bottom, top - 10.0)  # where all is background, or silent
    half = strip.column_s / 2
    axes.imshow(
        columns.T,
        aspect="auto",
        origin="lower",
        cmap=LOUDNESS,
        vmin=bottom,
        vmax=top,
        interpolation="nearest",
        extent=(-half, len(columns) * strip.column_s - half, -0.5, columns.shape[1] - 0.5),
    )


def _show_parts(axes: Axes, strips: Strips) -> None:
    for name, colour, width in (("harmonic", HARMONIC, 2.6), ("percussive", PERCUSSIVE, 1.5)):
        strip = strips[name]
        times_s = np.arange(len(strip.columns)) * strip.column_s
        axes.plot(times_s, strip.columns[:, 0], color=colour, lw=width, label=name)
    highest = max(float(strips[name].columns.max()) for name in ("harmonic", "percussive"))
    top = min(10.0 * math.ceil((highest + 4.0) / 10.0), 10.0)
    axes.set_ylim(top - RANGE_DB, top)
    axes.set_yticks([top - 50, top - 30, top - 10])
    _name(axes, "level, dBFS")
    legend = axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.008, 0.94),
        ncols=2,
        fontsize=SMALL,
        frameon=False,
        handlelength=1.2,
        borderpad=0.0,
        columnspacing=1.0,
        handletextpad=0.4,
        labelcolor="linecolor",
    )
    legend.set_in_layout(False)


def _show_onsets(axes: Axes, strips: Strips) -> None:
    strip = strips["onset"]
    times_s = np.arange(len(strip.columns)) * strip.column_s
    highest = max(float(strip.columns.max()), 1e-3)
    axes.fill_between(times_s, strip.columns[:, 0] / highest, color="#BBBBBB", lw=0)
    onsets_s = strips.onsets_s
    if len(onsets_s) > COUNTLESS_ONSETS:
        counts, edges = np.histogram(onsets_s, bins=ONSET_BINS, range=(0.0, strips.duration_s))
        extent = (edges[0], edges[-1], 1.05, 1.25)
        axes.imshow(counts[None], aspect="auto", cmap="Greys", vmin=0, extent=extent)
    elif len(onsets_s) > MANY_ONSETS:
        axes.vlines(onsets_s, 1.05, 1.22, color=ONSET, lw=0.8)
    else:
        axes.plot(onsets_s, np.full(len(onsets_s), 1.13), "v", color=ONSET, ms=7, mew=0)
    axes.set_ylim(0.0, 1.3)
    axes.set_yticks([])
    _name(axes, "onset strength, onsets")


def _mark_events(rows: Sequence[Axes], events: Sequence[tuple[float, float]], end_s: float) -> None:
    if events:
        words = "event" if len(events) == 1 else "events"
        pad = 4 + EVENT_BAR
        rows[0].set_title(words, loc="right", y=1.0, size=TEXT, pad=pad, color=EVENT, weight="bold")
    for onset_s, offset_s in events:
        start, stop = max(onset_s, 0.0), min(offset_s, end_s)
        if stop <= start:
            continue
        # A bar over the topmost panel, its ends through all of them.
        rows[0].plot(
            [start, stop],
            [1.028, 1.028],
            transform=rows[0].get_xaxis_transform(),
            color=EVENT,
            lw=EVENT_BAR,
            solid_capstyle="butt",
            clip_on=False,
        )
        for axes in rows:
            for edge_s in (start, stop):
                axes.axvline(edge_s, color=EVENT, lw=1.2, ls=(0, (4, 3)))


def _finish_axes(rows: Sequence[Axes], strips: Strips) -> None:
    for axes in rows:
        axes.tick_params(labelsize=SMALL, colors=INK, length=3, pad=3)
        for side in axes.spines.values():
            side.set_color("#888888")
    last = rows[-1]
    last.set_xlim(0.0, strips.duration_s)
    last.xaxis.set_major_formatter(lambda value, _: _clock(value, strips.duration_s))
    last.set_xticks(np.arange(0.0, strips.duration_s * 1.0001, _step(strips.duration_s)))
    unit = _unit(strips.duration_s)
    last.annotate(
        unit,
        (1.0, 0.0),
        xycoords="axes fraction",
        xytext=(0, -SMALL - 5),
        textcoords="offset points",
        ha="right",
        va="top",
        size=SMALL,
        color=INK,
    )


def _name(axes: Axes, words: str, above: float = 0.0) -> None:
    # Told where, matplotlib need not measure all words to find out: a tenth of the time.
    axes.set_title(words, loc="left", y=1.0, size=TEXT, pad=4 + above, color=INK)


def png(figure: Figure) -> bytes:
    """Return the drawing with a palette: a third of the bytes, and no eye sees a difference."""
    canvas = cast("FigureCanvasAgg", figure.canvas)
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call] # as above
    picture = Image.fromarray(pixels).convert("RGB")
    small = picture.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    out = io.BytesIO()
    small.save(out, "PNG", optimize=False, compress_level=6)
    return out.getvalue()


def _step(duration_s: float) -> float:
    """Return seconds between ticks: a round number of the unit, at most seven ticks."""
    decimal = [m * 10.0**e for e in range(-6, 2) for m in (1, 2, 5)]
    clock = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200]
    steps = decimal if duration_s < 120 else clock
    return next((step for step in steps if duration_s / step <= 6.5), 86400.0)


def _unit(duration_s: float) -> str:
    """Return in what the time axis of so long a recording counts."""
    if duration_s < 0.5:
        return "ms"
    if duration_s < 120:
        return "s"
    return "min:s" if duration_s < 3600 else "h:min"


def _clock(seconds: float, duration_s: float) -> str:
    unit = _unit(duration_s)
    if unit in {"ms", "s"}:
        return f"{seconds * (1000 if unit == 'ms' else 1):g}"
    whole, part = divmod(round(seconds / (60 if unit == "h:min" else 1)), 60)
    return f"{whole}:{part:02d}"


def _length(seconds: float) -> str:
    if seconds < 0.5:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 120:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _hz(value: float) -> str:
    return f"{value / 1000:.2f} kHz" if value >= 1000 else f"{value:.0f} Hz"


def _kilo(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
