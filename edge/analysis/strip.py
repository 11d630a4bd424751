# SPDX-License-Identifier: MIT
"""What a picture shows over time, in bounded memory however long the recording is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.analysis.recording import STRETCH_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.analysis.segment import Segment

    Float32 = NDArray[np.float32]

EDGE_FRAMES: Final = 2  # half a window
NOTE_EDGE_FRAMES: Final = 6  # more than half of the longest wavelet over C2
MOST_COLUMNS: Final = 1024  # about as many as a picture has pixels


class Strip:
    """Rows over time as at most 1024 columns, each the maximum of the frames in it.

    The maximum, not the mean: a knock must be seen in an hour. A column's width doubles
    whenever the end is reached, so that the length need not be known.

    Parameters
    ----------
    hop_s : between frames, and at first between columns.
    """

    def __init__(self, hop_s: float) -> None:
        self.column_s = hop_s
        self._columns: Float32 = np.zeros((0, 0), np.float32)
        self._used = 0

    @property
    def columns(self) -> Float32:
        """(n_columns, n_rows) float32, column k centred on k * `column_s`; never empty."""
        columns = self._columns[: self._used]
        # Where two stretches meet, rounding may leave a column out: as the one before it.
        told = np.maximum.accumulate(np.where(np.isfinite(columns[:, 0]), np.arange(self._used), 0))
        return columns[told]

    def add(self, start_s: float, hop_s: float, rows: Float32) -> None:
        """Take in (n_frames, n_rows) float32; the first frame is centred on `start_s`."""
        if not len(self._columns):
            self._columns = np.full((MOST_COLUMNS, rows.shape[1]), -np.inf, np.float32)
        times_s = start_s + hop_s * np.arange(len(rows))
        while round(times_s[-1] / self.column_s) >= MOST_COLUMNS:
            self._halve()
        places = np.rint(times_s / self.column_s).astype(np.intp)
        first = np.flatnonzero(np.diff(places, prepend=-1))
        highest = np.maximum.reduceat(rows, first, axis=0)
        target = self._columns[places[first]]
        self._columns[places[first]] = np.maximum(target, highest)
        self._used = max(self._used, int(places[-1]) + 1)

    def _halve(self) -> None:
        self.column_s *= 2
        # Column k holds what rounds to it: 2k - 1 and 2k of before are nearest to k, or as near.
        odd, even = self._columns[1::2], self._columns[::2]
        merged = np.full_like(self._columns, -np.inf)
        merged[: len(even)] = even
        merged[1 : len(odd) + 1] = np.maximum(merged[1 : len(odd) + 1], odd)
        self._columns = merged
        self._used = self._used // 2 + 1 if self._used else 0


class Strips:
    """All that one picture shows of a recording. Keeps some 1 MB, and the time of each onset."""

    def __init__(self) -> None:
        self.duration_s = 0.0
        self.onsets_s: list[float] = []
        self.mel_hz: NDArray[np.float64] = np.zeros(0)
        self.semitones_hz: NDArray[np.float64] = np.zeros(0)
        self._strips: dict[str, Strip] = {}

    def add(self, segment: Segment) -> None:
        """Take in the next segment, which begins where the one before ended."""
        start_s, hop_s = self.duration_s, segment.hop_s
        self.mel_hz, self.semitones_hz = segment.mel_hz, segment.constant_q.bins_hz
        separation, notes = segment.separation, segment.constant_q
        inner_from = partial(_inner, segment, first=not start_s)
        for name, rows, edge_frames in (
            ("log_mel", segment.log_mel, EDGE_FRAMES),
            ("constant_q", notes.decibels, NOTE_EDGE_FRAMES),
            ("harmonic", separation.harmonic_dbfs[:, None], EDGE_FRAMES),
            ("percussive", separation.percussive_dbfs[:, None], EDGE_FRAMES),
        ):
            inner = inner_from(len(rows), edge_frames)
            self._add(name, start_s + inner.start * hop_s, hop_s, rows[inner])
        self._add("onset", start_s, segment.onsets.hop_s, segment.onsets.strength[:, None])
        self.onsets_s += [start_s + time_s for time_s in segment.onsets.times_s]
        self.duration_s += segment.duration_s

    def __getitem__(self, name: str) -> Strip:
        """Return the strip `log_mel`, `constant_q`, `harmonic`, `percussive` or `onset`."""
        return self._strips[name]

    def _add(self, name: str, start_s: float, hop_s: float, rows: Float32) -> None:
        self._strips.setdefault(name, Strip(hop_s)).add(start_s, hop_s, rows)


def _inner(segment: Segment, n_frames: int, edge_frames: int, *, first: bool) -> slice:
    """Return the frames that don't reach beyond the ends at which the recording goes on.

    Those that do are half of what isn't there, which looks like a click.
    """
    whole = segment.duration_s == STRETCH_S
    spare = edge_frames if n_frames > 2 * edge_frames else 0
    return slice(0 if first else spare, n_frames - (spare if whole else 0))
