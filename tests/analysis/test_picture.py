# SPDX-License-Identifier: MIT
"""The picture: its size, its words, and what is where on it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edge.analysis.picture import compose, draw, summary_lines
from edge.analysis.segment import Options, analyse_segment
from edge.analysis.strip import MOST_COLUMNS, Strip, Strips
from edge.analysis.summary import Summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

RATE_HZ = 8000
PANELS = slice(270, None)  # rows of pixels under the words
ODD_LABEL = "a_very_long_label_of_some_model_that_nobody_shortened"


def made_of(*parts: Float32, **facts: Any) -> tuple[Strips, dict[str, Any]]:  # noqa: ANN401 - JSON
    summary, strips = Summary(), Strips()
    for part in parts:
        segment = analyse_segment(part, RATE_HZ, Options())
        summary.add(segment)
        strips.add(segment)
    source = {"file": "a.wav", "duration_s": strips.duration_s}
    when = {"start_time": None, "clock_synchronised": None, "label": None}
    return strips, {**figures_of(summary), "source": source, **when, **facts}


def figures_of(summary: Summary) -> dict[str, Any]:
    figures = summary.figures()
    figures["levels"]["clipped_share"] = 0.000012  # as `report_of` does
    return figures


def noise(seconds: float, level: float = 0.1) -> Float32:
    return np.random.default_rng(0).normal(0.0, level, round(seconds * RATE_HZ)).astype("f4")


def hour() -> tuple[Strips, dict[str, Any]]:
    """Return a whole hour, of one segment many times over."""
    segment = analyse_segment(noise(30.0), RATE_HZ, Options())
    summary, strips = Summary(), Strips()
    for _ in range(120):
        summary.add(segment)
        strips.add(segment)
    when = {"start_time": "2026-11-22T22:17:36.545Z", "clock_synchronised": False}
    source = {"file": "a.wav", "duration_s": 3600.0}
    return strips, {**figures_of(summary), "source": source, "label": ODD_LABEL, **when}


CASES: dict[str, Any] = {
    "0.2 s": lambda: made_of(noise(0.2), label="door_knock"),
    "10 s": lambda: made_of(noise(10.0)),
    "an hour": hour,
    "silence": lambda: made_of(np.zeros(RATE_HZ, "f4")),
    "one sample": lambda: made_of(np.full(1, 0.5, "f4")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_it_is_a_png_for_a_telephone_of_under_150_kb(case: Any) -> None:  # noqa: ANN401 - a maker
    png = draw(*case(), [(0.1, 0.15)])
    with Image.open(io.BytesIO(png)) as picture:
        assert (picture.format, picture.size) == ("PNG", (1080, 1350))
    assert len(png) < 150_000


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_no_words_meet_and_none_leave_the_picture(case: Any) -> None:  # noqa: ANN401 - a maker
    figure = compose(*case(), [(0.05, 0.15)])
    renderer = figure.canvas.get_renderer()
    ticks = [label for axes in figure.axes for label in axes.get_yticklabels()]
    ticks += figure.axes[-1].get_xticklabels()
    titles = [
        title
        for axes in figure.axes
        for title in (axes._left_title, axes._right_title)  # noqa: SLF001 - no public way
    ]
    legends = [
        text for axes in figure.axes if axes.get_legend() for text in axes.get_legend().texts
    ]
    words = [
        w for w in [*figure.texts, *ticks, *titles, *legends] if w.get_text() and w.get_visible()
    ]
    boxes = [(w.get_text(), w.get_window_extent(renderer)) for w in words]
    boxes = [(text, box) for text, box in boxes if box.width]
    assert len(boxes) > 10
    for place, (text, box) in enumerate(boxes):
        assert min(box.x0, box.y0) >= 0, text
        assert (box.x1 <= 1080, box.y1 <= 1350) == (True, True), text
        for other, another in boxes[place + 1 :]:
            assert not box.overlaps(another), f"{text!r} meets {other!r}"


def test_the_event_is_marked_where_it_was() -> None:
    plain = pixels(draw(*made_of(noise(10.0)), []))
    marked = pixels(draw(*made_of(noise(10.0)), [(2.0, 4.0)]))
    # More than what a palette of other colours changes.
    changed = np.flatnonzero((np.abs(plain - marked)[PANELS].max(axis=2) > 90).any(axis=0))
    # The panel reaches from 0.135 to 0.965 of the width.
    start, stop = (1080 * (0.135 + 0.83 * share) for share in (0.2, 0.4))
    assert changed.min() == pytest.approx(start, abs=4)
    assert changed.max() == pytest.approx(stop, abs=4)


def pixels(png: bytes) -> NDArray[np.int16]:
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"), np.int16)


def test_a_tone_is_dark_at_its_note_and_nowhere_else() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 440.0 * np.arange(10 * RATE_HZ) / RATE_HZ)).astype("f4")
    strips, _ = made_of(tone + noise(10.0, 1e-4))
    row = strips["constant_q"].columns.mean(axis=0)
    assert int(np.argmax(row)) == 45  # A4 is 45 semitones over C1
    assert row[45] - np.median(row) > 40


def test_the_main_figures_are_said_in_words() -> None:
    _, report = made_of(noise(5.0))
    level, rhythm, pitch = summary_lines(report)
    assert level.startswith("-20.0 dBFS, peak ")
    assert "clipped 0.0012 %" in level
    assert "harmonic" in level
    assert "onset" in rhythm
    assert "centroid" in pitch
    assert summary_lines(made_of(np.zeros(100, "f4"))[1])[0] == "digital silence"
    assert all(len(line) <= 76 for line in summary_lines(hour()[1]))


def test_a_strip_keeps_a_peak_in_its_last_column_when_it_is_halved() -> None:
    strip = Strip(1.0)
    rows = np.zeros((MOST_COLUMNS, 1), "f4")
    rows[-1] = 9.0
    strip.add(0.0, 1.0, rows)
    strip.add(float(MOST_COLUMNS), 1.0, np.zeros((1, 1), "f4"))
    assert np.argmax(strip.columns) == MOST_COLUMNS // 2
    assert strip.columns.max() == 9.0


@pytest.mark.parametrize("n_frames", [1, 7, 1024, 1025, 5000, 100_000])
def test_a_strip_keeps_every_peak_in_its_place_and_is_bounded(n_frames: int) -> None:
    rng = np.random.default_rng(n_frames)
    rows = rng.uniform(0.0, 1.0, (n_frames, 2)).astype("f4")
    peak = n_frames // 3
    rows[peak, 1] = 9.0
    strip = Strip(0.02)
    for start in range(0, n_frames, 999):
        strip.add(start * 0.02, 0.02, rows[start : start + 999])
    columns = strip.columns
    assert len(columns) <= MOST_COLUMNS
    assert np.isfinite(columns).all()
    assert columns.max() == 9.0
    found_s = int(np.argmax(columns[:, 1])) * strip.column_s
    assert found_s == pytest.approx(peak * 0.02, abs=strip.column_s)
    assert (len(columns) - 1) * strip.column_s == pytest.approx(
        n_frames * 0.02, abs=2 * strip.column_s
    )


def test_where_stretches_meet_there_is_no_click() -> None:
    hum = 0.3 * np.sin(2 * np.pi * 440.0 * np.arange(30 * RATE_HZ) / RATE_HZ).astype("f4")
    strips, _ = made_of(hum, hum, hum[: 9 * RATE_HZ])
    for name, row, highest in (
        ("percussive", 0, -60.0),
        ("log_mel", 100, -30.0),
        ("constant_q", 70, -60.0),
    ):
        columns = strips[name].columns[:, row]
        assert np.isfinite(columns).all()
        assert columns[4:-4].max() < highest, name


def test_the_shortest_stretches_have_a_level() -> None:
    for n_samples in (1, 600, 2500):
        strips, _ = made_of(noise(1.0), np.full(n_samples, 0.1, "f4"))
        assert np.isfinite(strips["harmonic"].columns).all()
