# SPDX-License-Identifier: MIT
"""What was measured and heard lately, summed up for any stretch of it."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.record.history import Hole
    from edge.types import Level, Scores


class Logbook:
    """Levels and scores of the last stretch of a stream.

    Parameters
    ----------
    labels : of the scores, in the model's order.
    kept_samples : how far back a stretch may reach.
    """

    def __init__(self, labels: Sequence[str], kept_samples: int) -> None:
        self._labels = labels
        self._kept = kept_samples
        self._levels: deque[Level] = deque()
        self._scores: deque[tuple[Sequence[str], Scores]] = deque()

    def level(self, measured: Level) -> None:
        """Note one second."""
        self._levels.append(measured)
        while self._levels[0].end_index < measured.end_index - self._kept:
            self._levels.popleft()

    def change_labels(self, labels: Sequence[str]) -> None:
        """Take the scores that come now as those of other labels: of another model."""
        self._labels = labels

    def scores(self, heard: Scores) -> None:
        """Note one patch."""
        self._scores.append((self._labels, heard))
        while self._scores[0][1].sample_index < heard.sample_index - self._kept:
            self._scores.popleft()

    def levels_of(self, start: int, stop: int) -> dict[str, float | None]:
        """Return the levels over the whole seconds that touch [start, stop), in dBFS by name.

        None: none did. LAeq is the energy mean, the others are maxima.
        """
        inside = [one for one in self._levels if one.sample_index < stop and one.end_index > start]
        heard = sum(one.n_samples for one in inside)
        if not heard:
            return dict.fromkeys(("laeq", "lafmax", "lcpeak"))
        energy = sum(one.n_samples * 10.0 ** (one.laeq_dbfs / 10.0) for one in inside) / heard
        return {
            "laeq": 10.0 * math.log10(energy),
            "lafmax": max(one.lafmax_dbfs for one in inside),
            "lcpeak": max(one.lcpeak_dbfs for one in inside),
        }

    def scores_of(self, start: int, stop: int) -> dict[str, float]:
        """Return each label's highest score in the patches that touch [start, stop), best first."""
        inside: dict[tuple[str, ...], list[NDArray[np.float32]]] = {}
        for labels, one in self._scores:
            if one.sample_index < stop and one.sample_index + one.n_samples > start:
                inside.setdefault(tuple(labels), []).append(one.values)
        best: dict[str, float] = {}
        for labels, values in inside.items():
            highest = np.nan_to_num(np.max(values, axis=0))
            for label, score in zip(labels, highest.tolist(), strict=True):
                best[label] = max(round(score, 3), best.get(label, 0.0))
        return dict(sorted(best.items(), key=lambda item: -item[1]))

    def covers(self, start: int, stop: int, holes: Sequence[Hole]) -> bool:
        """Return whether valid scores, or holes, leave no sample of [start, stop) out."""
        known = [
            (one.sample_index, one.sample_index + one.n_samples)
            for _, one in self._scores
            if one.valid
        ]
        reached = start
        for begins, ends in sorted([*known, *((hole.start, hole.stop) for hole in holes)]):
            if begins > reached:
                break
            reached = max(reached, ends)
        return reached >= stop
