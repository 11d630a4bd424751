# SPDX-License-Identifier: MIT
"""Levels over any time: seconds add up to minutes, minutes to hours and days. Pure.

Energies are added, never decibels; percent-exceedance levels come from counts of the Fast
level in classes of 0.1 dB. So a summary of summaries is the summary of the whole, in any
order, and a day can be put together again from its minutes.

Source: ISO 1996-1:2016: 3.1.3 (percent exceedance level), 3.6 (day-evening-night level).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.dsp.levels import decibels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edge.types import Bands, Level

CLASSES_PER_DB: Final = 10
PERCENTS: Final = (5, 10, 50, 90, 95)

# Directive 2002/49/EC, Annex I: hours of the local day, and what counts as so much louder.
EVENING_H: Final = (19, 23)
NIGHT_H: Final = (23, 7)
EVENING_DB: Final = 5.0
NIGHT_DB: Final = 10.0


@dataclass(slots=True)
class Summary:
    """What was heard in some time, in dBFS; empty at first.

    `exposure` holds energies times seconds, by name: "a", "c", "z". `counts` maps a class of
    0.1 dB of LAF (its lower edge, in tenths) to how often it was read, 100 times a second.
    `bands` are energies times seconds of (n_bands,), heard for `bands_s`.
    """

    heard_s: float = 0.0
    lost_s: float = 0.0
    clipped_samples: int = 0
    exposure: dict[str, float] = field(default_factory=lambda: {"a": 0.0, "c": 0.0, "z": 0.0})
    lafmax_dbfs: float = -math.inf
    lafmin_dbfs: float = math.inf
    lasmax_dbfs: float = -math.inf
    lcpeak_dbfs: float = -math.inf
    counts: dict[int, int] = field(default_factory=dict)
    bands: NDArray[np.float64] | None = None
    bands_s: float = 0.0

    def add(self, level: Level, rate_hz: int) -> None:
        """Add one second."""
        self.add_energy(level, rate_hz)
        self.lafmax_dbfs = max(self.lafmax_dbfs, level.lafmax_dbfs)
        self.lasmax_dbfs = max(self.lasmax_dbfs, level.lasmax_dbfs)
        self.lcpeak_dbfs = max(self.lcpeak_dbfs, level.lcpeak_dbfs)
        if level.lafmin_dbfs is not None:
            self.lafmin_dbfs = min(self.lafmin_dbfs, level.lafmin_dbfs)
        classes = np.floor(level.laf_dbfs * CLASSES_PER_DB).astype(int)
        for tenth, n in zip(*np.unique(classes, return_counts=True), strict=True):
            self.counts[int(tenth)] = self.counts.get(int(tenth), 0) + int(n)

    def add_energy(self, level: Level, rate_hz: int) -> None:
        """Add the energies of one second, and how much of it was heard."""
        heard_s = level.n_samples / rate_hz
        self.heard_s += heard_s
        self.lost_s += (level.end_index - level.sample_index - level.n_samples) / rate_hz
        self.clipped_samples += level.clipped_samples
        means = {"a": level.laeq_dbfs, "c": level.lceq_dbfs, "z": level.lzeq_dbfs}
        for name, dbfs in means.items():
            self.exposure[name] += heard_s * 10.0 ** (dbfs / 10.0)

    def add_bands(self, measured: Bands, rate_hz: int) -> None:
        """Add the bands of one second."""
        heard_s = measured.n_samples / rate_hz
        energy = heard_s * 10.0 ** (measured.levels_dbfs / 10.0)
        self.bands = energy if self.bands is None else self.bands + energy
        self.bands_s += heard_s

    def merge(self, other: Summary) -> None:
        """Add what another one holds; bands of another rate are left out."""
        self.heard_s += other.heard_s
        self.lost_s += other.lost_s
        self.clipped_samples += other.clipped_samples
        for name, energy in other.exposure.items():
            self.exposure[name] += energy
        self.lafmax_dbfs = max(self.lafmax_dbfs, other.lafmax_dbfs)
        self.lafmin_dbfs = min(self.lafmin_dbfs, other.lafmin_dbfs)
        self.lasmax_dbfs = max(self.lasmax_dbfs, other.lasmax_dbfs)
        self.lcpeak_dbfs = max(self.lcpeak_dbfs, other.lcpeak_dbfs)
        for tenth, n in other.counts.items():
            self.counts[tenth] = self.counts.get(tenth, 0) + n
        if other.bands is not None and (self.bands is None or self.bands.size == other.bands.size):
            self.bands = other.bands.copy() if self.bands is None else self.bands + other.bands
            self.bands_s += other.bands_s

    def moved(self, by_db: float) -> Summary:
        """Return a copy with every level so much higher; the classes move by whole 0.1 dB."""
        gain = 10.0 ** (by_db / 10.0)
        classes = round(by_db * CLASSES_PER_DB)
        return Summary(
            heard_s=self.heard_s,
            lost_s=self.lost_s,
            clipped_samples=self.clipped_samples,
            exposure={name: energy * gain for name, energy in self.exposure.items()},
            lafmax_dbfs=self.lafmax_dbfs + by_db,
            lafmin_dbfs=self.lafmin_dbfs + by_db,
            lasmax_dbfs=self.lasmax_dbfs + by_db,
            lcpeak_dbfs=self.lcpeak_dbfs + by_db,
            counts={tenth + classes: n for tenth, n in self.counts.items()},
            bands=None if self.bands is None else self.bands * gain,
            bands_s=self.bands_s,
        )

    def leq_dbfs(self, name: str = "a") -> float | None:
        """Return the energy mean of "a", "c" or "z" over what was heard; None: nothing was."""
        return decibels(self.exposure[name] / self.heard_s) if self.heard_s else None

    def exceeded_dbfs(self, percent: float) -> float | None:
        """Return the Fast level exceeded for `percent` of the time, within 0.05 dB of the exact."""
        total = sum(self.counts.values())
        wanted = total * percent / 100.0
        above = 0.0
        for tenth in sorted(self.counts, reverse=True):
            n = self.counts[tenth]
            if above + n >= wanted:
                return (tenth + 1.0 - (wanted - above) / n) / CLASSES_PER_DB
            above += n
        return None

    def figures(self) -> dict[str, float | None]:
        """Return every level in dBFS under its name without a unit; None: nothing was heard.

        LAE is the level that one second of the same energy would have.
        """
        heard = self.heard_s > 0.0
        figures: dict[str, float | None] = {
            f"l{name}eq": self.leq_dbfs(name) for name in self.exposure
        }
        figures |= {
            "lae": decibels(self.exposure["a"]) if heard else None,
            "lafmax": self.lafmax_dbfs if heard else None,
            "lafmin": self.lafmin_dbfs if self.lafmin_dbfs < math.inf else None,
            "lasmax": self.lasmax_dbfs if heard else None,
            "lcpeak": self.lcpeak_dbfs if heard else None,
        }
        return figures | {f"l{percent}": self._percentile(percent) for percent in PERCENTS}

    def _percentile(self, percent: float) -> float | None:
        """Return `exceeded_dbfs`, of which no class of 0.1 dB reaches over an extreme."""
        exceeded = self.exceeded_dbfs(percent)
        if exceeded is None:
            return None
        return max(min(exceeded, self.lafmax_dbfs), min(self.lafmin_dbfs, self.lafmax_dbfs))

    def bands_dbfs(self) -> list[float] | None:
        """Return the level of each band; None: there are none."""
        if self.bands is None or not self.bands_s:
            return None
        return [decibels(energy) for energy in self.bands / self.bands_s]

    def to_json(self) -> dict[str, Any]:
        """Return everything, rounded to what matters, for a line of the day book."""
        return {
            "heard_s": round(self.heard_s, 9),
            "lost_s": round(self.lost_s, 9),
            "clipped": self.clipped_samples,
            "leq": [_rounded(self.leq_dbfs(name)) for name in self.exposure],
            "laf": [_rounded(self.lafmax_dbfs), _rounded(self.lafmin_dbfs)],
            "lasmax": _rounded(self.lasmax_dbfs),
            "lcpeak": _rounded(self.lcpeak_dbfs),
            "counts": _packed(self.counts),
            "bands": [round(one, 1) for one in self.bands_dbfs() or []],
        }

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Summary:
        """Return what `to_json` wrote; raises ValueError, KeyError or TypeError for another."""
        made = cls(float(line["heard_s"]), float(line["lost_s"]), int(line["clipped"]))
        for name, dbfs in zip(made.exposure, line["leq"], strict=True):
            made.exposure[name] = 0.0 if dbfs is None else made.heard_s * 10.0 ** (dbfs / 10.0)
        most, least = line["laf"]
        made.lafmax_dbfs = -math.inf if most is None else float(most)
        made.lafmin_dbfs = math.inf if least is None else float(least)
        made.lasmax_dbfs = -math.inf if line["lasmax"] is None else float(line["lasmax"])
        made.lcpeak_dbfs = -math.inf if line["lcpeak"] is None else float(line["lcpeak"])
        made.counts = _unpacked(line["counts"])
        if line["bands"]:
            made.bands = made.heard_s * 10.0 ** (np.array(line["bands"], float) / 10.0)
            made.bands_s = made.heard_s
        return made


def part_of_day(hour: int) -> str:
    """Return "day", "evening" or "night" of a local hour, 0 to 23."""
    if EVENING_H[0] <= hour < EVENING_H[1]:
        return "evening"
    return "night" if hour >= NIGHT_H[0] or hour < NIGHT_H[1] else "day"


def lden_dbfs(parts: Mapping[str, Summary]) -> float | None:
    """Return the day-evening-night level; None unless each part was heard.

    Each part counts by the length that it has in a day (12, 4 and 8 hours), however much
    of it was heard.

    Parameters
    ----------
    parts : by `part_of_day`.
    """
    weights = {"day": (12.0, 0.0), "evening": (4.0, EVENING_DB), "night": (8.0, NIGHT_DB)}
    energy = 0.0
    for part, (hours, penalty_db) in weights.items():
        leq = parts[part].leq_dbfs() if part in parts else None
        if leq is None:
            return None
        energy += hours / 24.0 * 10.0 ** ((leq + penalty_db) / 10.0)
    return decibels(energy)


def _packed(counts: Mapping[int, int]) -> list[int]:
    """Return counts in a third of a mapping's bytes: the first class, then a count per class.

    A negative number stands for so many classes that were never read.
    """
    packed: list[int] = []
    expected = 0
    for tenth, n in sorted(counts.items()):
        if not packed:
            packed.append(tenth)
        elif tenth > expected:
            packed.append(expected - tenth)
        packed.append(n)
        expected = tenth + 1
    return packed


def _unpacked(packed: Sequence[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    tenth = int(packed[0]) if packed else 0
    for n in packed[1:]:
        if n < 0:
            tenth -= int(n)
        else:
            counts[tenth] = int(n)
            tenth += 1
    return counts


def _rounded(dbfs: float | None) -> float | None:
    return None if dbfs is None or math.isinf(dbfs) else round(dbfs, 2)
