# SPDX-License-Identifier: MIT
"""What the sound level meter shows now: from levels and bands to figures with their unit."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from edge.measure.summary import Summary
from edge.types import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import Bands

UPDATES_PER_S: Final = 8
HOLD_S: Final = 2.0
"""So long a peak is held, and a light stays lit."""


class Reading:
    """Follows a stream; every figure is dB SPL with a calibration, else dBFS.

    Parameters
    ----------
    rate_hz : of the samples.
    third_octaves : (place in `Bands`, nominal Hz) of each bar.
    offset_db : dBFS to dB SPL; None: not calibrated.
    under_range_dbfs : under it the converter hears itself.
    heading, calibrated : a line each, for people.
    """

    def __init__(
        self,
        *,
        rate_hz: int,
        third_octaves: Sequence[tuple[int, float]],
        offset_db: float | None,
        under_range_dbfs: float,
        heading: str,
        calibrated: str,
    ) -> None:
        self.offset_db = offset_db
        self.unit = "dBFS" if offset_db is None else "dB"
        self.reference = "re full scale" if offset_db is None else "re 20 µPa"
        self.heading = heading
        self.calibrated = calibrated
        self.band_hz = [hz for _, hz in third_octaves]
        self.bands: list[tuple[float, float | None]] = []
        """(nominal Hz, level) of the newest second."""
        self.laf: float | None = None
        """At the end of the newest interval."""
        self.overloads = self.gaps = self.clipped = self.lost_samples = 0
        """Seconds that were clipped, gaps, clipped samples, and lost ones."""
        self._rate_hz = rate_hz
        self._third_octaves = third_octaves
        self._under_range_dbfs = under_range_dbfs
        self._recent: deque[Level] = deque(maxlen=round(HOLD_S * UPDATES_PER_S))
        self._summary = Summary()
        self._heard_to = 0
        self._clipped_second = -1

    def take(self, measured: Level | Bands) -> bool:
        """Take an interval or the bands of a second; return whether it was an interval."""
        if not isinstance(measured, Level):
            levels = measured.levels_dbfs
            self.bands = [(hz, self._shown(float(levels[n]))) for n, hz in self._third_octaves]
            return False
        missed = measured.sample_index - self._heard_to
        # One gap may end in another interval than it began in.
        if missed or (measured.gap and not (self._recent and self._recent[-1].gap)):
            self.gaps += 1
        self.lost_samples += (
            missed + measured.end_index - measured.sample_index - measured.n_samples
        )
        self._heard_to = measured.end_index
        self._recent.append(measured)
        self._summary.add(measured, self._rate_hz)
        self.laf = self._shown(float(measured.laf_dbfs[-1])) if measured.laf_dbfs.size else None
        self.clipped += measured.clipped_samples
        second = measured.sample_index // self._rate_hz
        if measured.clipped_samples and second != self._clipped_second:
            self.overloads += 1
            self._clipped_second = second
        return True

    @property
    def laf_hold(self) -> float | None:
        """The highest LAF of the last `HOLD_S`."""
        return self._shown(max((one.lafmax_dbfs for one in self._recent), default=-math.inf))

    @property
    def laeq_1s(self) -> float | None:
        """LAeq of the last second."""
        return self._shown(self._laeq_1s_dbfs())

    @property
    def lcpeak(self) -> float | None:
        """LCpeak of the last second."""
        return self._shown(max((one.lcpeak_dbfs for one in self._second()), default=-math.inf))

    @property
    def lafmax_1s(self) -> float | None:
        """LAFmax of the last second."""
        return self._shown(max((one.lafmax_dbfs for one in self._second()), default=-math.inf))

    @property
    def since_start(self) -> dict[str, float | None]:
        """Levels since the start, by name."""
        return {name: self._shown(value) for name, value in self._summary.figures().items()}

    @property
    def elapsed(self) -> str:
        """How long was heard, h:mm:ss."""
        minutes, seconds = divmod(round(self._summary.heard_s), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"

    @property
    def overload(self) -> bool:
        """Whether anything was clipped just now."""
        return any(one.clipped_samples for one in self._recent)

    @property
    def gap(self) -> bool:
        """Whether anything was lost just now."""
        return any(one.gap for one in self._recent)

    @property
    def under_range(self) -> bool:
        """Whether the last second is next to the converter's own noise."""
        dbfs = self._laeq_1s_dbfs()
        return dbfs is not None and dbfs < self._under_range_dbfs

    def line(self) -> str:
        """Return the last second in one line, for pipes."""
        lights = (("OVERLOAD", self.overload), ("UNDER RANGE", self.under_range), ("GAP", self.gap))
        figures = {
            "LAeq,1s": self.laeq_1s,
            "LAF": self.laf,
            "LAFmax,1s": self.lafmax_1s,
            "LCpeak,1s": self.lcpeak,
            "LAeq": self.since_start["laeq"],
        }
        parts = [f"{name} {'-' if db is None else f'{db:.1f}'}" for name, db in figures.items()]
        return "  ".join([self.elapsed, *parts, self.unit, *(name for name, lit in lights if lit)])

    def _laeq_1s_dbfs(self) -> float | None:
        second = Summary()
        for one in self._second():
            second.add_energy(one, self._rate_hz)
        return second.leq_dbfs()

    def _second(self) -> list[Level]:
        return list(self._recent)[-UPDATES_PER_S:]

    def _shown(self, dbfs: float | None) -> float | None:
        if dbfs is None or math.isinf(dbfs):
            return None
        return dbfs + (self.offset_db or 0.0)
