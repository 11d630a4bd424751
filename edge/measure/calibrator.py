# SPDX-License-Identifier: MIT
"""Finds the sensitivity in what is heard: a calibrator on the microphone, or a known level.

Fed with each second's figures; pure. Each second says what is heard and what is missing yet.

Source: IEC 60942:2017 (94 or 114 dB at 1 kHz; 250 Hz for pistonphones).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.measure.calibration import REFERENCE_DB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.dsp.bands import Band
    from edge.types import Bands, Level

LEAST_SHARE: Final = 0.9
"""Of the power must lie in the calibrator's third octave."""

CALIBRATOR_S: Final = 5
CALIBRATOR_SPREAD_DB: Final = 0.2

KNOWN_LEVEL_S: Final = 10
KNOWN_LEVEL_SPREAD_DB: Final = 1.0
"""A second of pink noise has an LAeq within 0.1 dB (1 sigma) of the noise's own."""

QUIETEST_DBFS: Final = -80.0
"""No microphone gives so little at a calibrator's level: nothing is on it, or it is dead."""

WAITING: Final = 8  # seconds that may wait for their bands, which come last


@dataclass(frozen=True, slots=True)
class Heard:
    """What one second told.

    text : for people.
    level_dbfs : of the second, as it counts for the method.
    steady_s : so long nothing was wrong, this second included.
    sensitivity_dbfs : once it is found.
    """

    text: str
    level_dbfs: float
    steady_s: int
    sensitivity_dbfs: float | None = None


class Steady:
    """Levels of seconds in a row that differ by no more than a limit.

    Parameters
    ----------
    seconds : so many are needed.
    spread_db : the most that two of them may differ.
    level_db : the sound pressure level that is there.
    """

    def __init__(self, seconds: int, spread_db: float, level_db: float) -> None:
        self._levels: deque[float] = deque(maxlen=seconds)
        self._seconds = seconds
        self._spread_db = spread_db
        self._level_db = level_db
        self._heard_to: int | None = None

    def refuse(self, text: str, level_dbfs: float) -> Heard:
        """Begin anew for a reason."""
        self._levels.clear()
        return Heard(text, level_dbfs, 0)

    def take(self, measured: Level, level_dbfs: float) -> Heard:
        """Take the level of a second that has what it needs otherwise."""
        missed = self._heard_to not in {None, measured.sample_index}
        self._heard_to = measured.end_index
        if missed or measured.gap:
            return self.refuse("samples were lost: once more", level_dbfs)
        if measured.clipped_samples:
            return self.refuse("clipped: lower the gain of the card", level_dbfs)
        if level_dbfs < QUIETEST_DBFS:
            text = f"{level_dbfs:.1f} dBFS is next to nothing: is this the right microphone?"
            return self.refuse(text, level_dbfs)
        self._levels.append(level_dbfs)
        moves_db = max(self._levels) - min(self._levels)
        if moves_db > self._spread_db:
            while max(self._levels) - min(self._levels) > self._spread_db:
                self._levels.popleft()
            text = f"moves by {moves_db:.1f} dB, at most {self._spread_db:g} are steady"
            return Heard(text, level_dbfs, len(self._levels))
        if len(self._levels) < self._seconds:
            text = f"steady for {len(self._levels)} of {self._seconds} s"
            return Heard(text, level_dbfs, len(self._levels))
        mean = 10.0 * np.log10(np.mean(10.0 ** (np.array(self._levels) / 10.0)))
        sensitivity_dbfs = float(mean) + REFERENCE_DB - self._level_db
        return Heard("found", level_dbfs, self._seconds, sensitivity_dbfs)


class CalibratorFinder:
    """Finds a calibrator: one third octave holds the power and its level stands still.

    The level is that of the band, so what else is heard (up to a tenth of the power, which is
    0.5 dB) does not count.

    Parameters
    ----------
    grid : the bands' places (`dsp.bands.bands_of`).
    level_db : of the calibrator.
    freq_hz : of its tone.

    Raises `ValueError` if no third octave holds that frequency.
    """

    def __init__(self, grid: Sequence[Band], level_db: float, freq_hz: float = 1000.0) -> None:
        half = 10.0 ** (0.15 / 3.0)
        places = (
            place
            for place, band in enumerate(grid)
            if band.per_octave == 3 and band.centre_hz / half <= freq_hz < band.centre_hz * half
        )
        self._place = next(places, None)
        if self._place is None:
            raise ValueError(f"no third octave holds {freq_hz:g} Hz at this rate")
        self._name = f"{freq_hz / 1000:g} kHz" if freq_hz >= 1000 else f"{freq_hz:g} Hz"
        self._steady = Steady(CALIBRATOR_S, CALIBRATOR_SPREAD_DB, level_db)
        self._waiting: dict[int, Level] = {}

    def level(self, measured: Level) -> Heard | None:
        """Take one second; its bands tell."""
        self._waiting[measured.sample_index] = measured
        while len(self._waiting) > WAITING:
            self._waiting.pop(min(self._waiting))
        return None

    def bands(self, measured: Bands) -> Heard | None:
        """Take the bands of a second; None if its levels are not there."""
        level = self._waiting.pop(measured.sample_index, None)
        if level is None:
            return None
        band_dbfs = float(measured.levels_dbfs[self._place])
        share = min(10.0 ** ((band_dbfs - level.lzeq_dbfs) / 10.0), 1.0)
        if share < LEAST_SHARE and not level.clipped_samples:
            # Rounded down: 90 % would not be a reason.
            percent = int(100.0 * share)
            text = f"{percent} % of the power is at {self._name}: is the calibrator on?"
            return self._steady.refuse(text, band_dbfs)
        return self._steady.take(level, band_dbfs)


class KnownLevel:
    """Takes a steady sound of which another meter says the LAeq.

    Parameters
    ----------
    level_db : what the other meter says.
    """

    def __init__(self, level_db: float) -> None:
        self._steady = Steady(KNOWN_LEVEL_S, KNOWN_LEVEL_SPREAD_DB, level_db)

    def level(self, measured: Level) -> Heard | None:
        """Take one second."""
        return self._steady.take(measured, measured.laeq_dbfs)

    def bands(self, measured: Bands) -> Heard | None:
        """Take the bands of a second, which say nothing here."""
        del measured
        return None
