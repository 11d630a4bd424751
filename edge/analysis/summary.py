# SPDX-License-Identifier: MIT
"""The figures of a whole recording from those of its stretches."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge.analysis.components import Component
    from edge.analysis.constantq import LogSpectrum
    from edge.analysis.segment import Segment
    from edge.analysis.tones import Tone

MOST_TIMES: Final = 500
MOST_TONES: Final = 6
_SAME_CENTS: Final = 50.0
ACTIVE: Final = 0.1  # of its maximum: over this a component sounds

Body = dict[str, Any]


class _Stretch(NamedTuple):
    """What is kept of a segment: figures, no arrays of its length."""

    start_s: float
    duration_s: float
    energy: float  # mean square x seconds
    figures: Body
    tones: tuple[Tone, ...]
    spectrum: Body | None


@dataclass(slots=True)
class Summary:
    """Gathers segments into the figures of a report; keeps no array of a segment's length."""

    _stretches: list[_Stretch] = field(default_factory=list)
    _loudest: list[Body] = field(default_factory=list)
    _times_s: list[float] = field(default_factory=list)
    _count: int = 0
    _rate_hz: int = 0
    _mean_power: dict[str, _MeanPower] = field(default_factory=dict)

    def add(self, segment: Segment) -> None:
        """Take in the next segment, which begins where the one before ended."""
        start_s = self.duration_s
        one = _stretch(segment, start_s)
        if not self._stretches or one.energy > max(s.energy for s in self._stretches):
            frames = (segment.hop_s, start_s)
            self._loudest = [_component(each, *frames) for each in segment.components]
        self._stretches.append(one)
        self._rate_hz = segment.rate_hz
        self._count += len(segment.onsets.times_s)
        left = MOST_TIMES - len(self._times_s)
        self._times_s += [start_s + time_s for time_s in segment.onsets.times_s[:left]]
        for name, spectrum in (
            ("constant_q", segment.constant_q),
            ("variable_q", segment.variable_q),
        ):
            self._mean_power.setdefault(name, _MeanPower()).add(spectrum)

    @property
    def duration_s(self) -> float:
        """Seconds taken in so far."""
        return sum(one.duration_s for one in self._stretches)

    def figures(self) -> Body:
        """Return the figures of all segments together. Raises `ValueError` without any."""
        if not self._stretches:
            raise ValueError("a summary of no segments")
        return {
            "rate_hz": self._rate_hz,
            "levels": self._levels(),
            "separation": {
                key: _share(self._weighed(key))
                for key in ("harmonic_share", "percussive_share", "residual_share")
            },
            "tones": {
                "tonality": _share(self._weighed("tonality")),
                "strongest": _strongest(self._stretches, self.duration_s),
            },
            **{name: mean.body() for name, mean in self._mean_power.items()},
            "onsets": self._onsets(),
            "components": self._loudest,
            "spectrum": self._spectrum(),
            "stretches": self._over_time(),
        }

    def _levels(self) -> Body:
        mean_square = sum(one.energy for one in self._stretches) / self.duration_s
        rms = 10.0 * math.log10(mean_square) if mean_square > 0.0 else None
        peaks = [p for one in self._stretches if (p := one.figures["peak_dbfs"]) is not None]
        peak = max(peaks, default=None)
        return {
            "rms_dbfs": rounded(rms, 2),
            "peak_dbfs": rounded(peak, 2),
            "crest_db": rounded(None if rms is None or peak is None else peak - rms, 2),
        }

    def _onsets(self) -> Body:
        regular = [one.figures for one in self._stretches if one.figures["regularity"] is not None]
        best = max(regular, key=lambda figures: float(figures["regularity"]), default={})
        return {
            "count": self._count,
            "rate_per_s": rounded(self._count / self.duration_s, 4),
            "regularity": rounded(best.get("regularity"), 3),
            "period_s": rounded(best.get("period_s"), 4),
            "times_s": [round(time_s, 3) for time_s in self._times_s],
        }

    def _spectrum(self) -> Body | None:
        heard = [one for one in self._stretches if one.spectrum]
        if not heard:
            return None
        total_s = sum(one.duration_s for one in heard)
        weights = [one.duration_s / total_s for one in heard]
        return {
            name: {
                part: rounded(
                    sum(
                        w * one.spectrum[name][part]
                        for w, one in zip(weights, heard, strict=True)
                        if one.spectrum
                    ),
                    5 if name == "flatness" else 1,
                )
                for part in ("mean", "p10", "p90")
            }
            for name in ("centroid_hz", "bandwidth_hz", "rolloff_hz", "flatness")
        }

    def _over_time(self) -> list[Body]:
        if len(self._stretches) < 2:
            return []
        return [
            {
                "start_s": round(one.start_s, 3),
                "duration_s": round(one.duration_s, 3),
                **{key: rounded(value, 4) for key, value in one.figures.items()},
                "centroid_hz": rounded(one.spectrum["centroid_hz"]["mean"], 1)
                if one.spectrum
                else None,
                "strongest_hz": rounded(one.tones[0].frequency_hz, 2) if one.tones else None,
            }
            for one in self._stretches
        ]

    def _weighed(self, key: str) -> float | None:
        """Return the mean of a figure, weighted with energy."""
        pairs = [
            (one.energy, one.figures[key])
            for one in self._stretches
            if one.figures[key] is not None
        ]
        total = sum(weight for weight, _ in pairs)
        return sum(weight * value for weight, value in pairs) / total if total > 0.0 else None


class _MeanPower:
    """The mean over time of a spectrum's power, bin by bin."""

    def __init__(self) -> None:
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._frames = 0
        self._lowest_hz = 0.0

    def add(self, spectrum: LogSpectrum) -> None:
        power = np.square(spectrum.magnitude.astype(np.float64)).sum(axis=0)
        self._sum = self._sum + power if self._frames else power
        self._frames += len(spectrum.magnitude)
        self._lowest_hz = float(spectrum.bins_hz[0]) if spectrum.bins_hz.size else 0.0

    def body(self) -> Body:
        mean = np.maximum(self._sum / max(self._frames, 1), 1e-10)
        return {
            "lowest_hz": round(self._lowest_hz, 4),
            "bins_per_octave": 12,
            "mean_db": [round(float(value), 1) for value in 10.0 * np.log10(mean)],
        }


def _stretch(segment: Segment, start_s: float) -> _Stretch:
    levels, separation, onsets = segment.levels, segment.separation, segment.onsets
    rms = levels.rms_dbfs
    energy = 10.0 ** (rms / 10.0) * segment.duration_s if rms is not None else 0.0
    figures = {
        "rms_dbfs": rms,
        "peak_dbfs": levels.peak_dbfs,
        "harmonic_share": separation.harmonic_share,
        "percussive_share": separation.percussive_share,
        "residual_share": separation.residual_share,
        "tonality": segment.tones.tonality,
        "onsets": len(onsets.times_s),
        "regularity": onsets.regularity,
        "period_s": onsets.period_s,
    }
    shape = segment.figures
    spectrum = None
    if shape is not None:
        spreads = {
            "centroid_hz": shape.centroid_hz,
            "bandwidth_hz": shape.bandwidth_hz,
            "rolloff_hz": shape.rolloff_hz,
            "flatness": shape.flatness,
        }
        spectrum = {
            name: {"mean": one.mean, "p10": one.p10, "p90": one.p90}
            for name, one in spreads.items()
        }
    tones = segment.tones.tones
    return _Stretch(start_s, segment.duration_s, energy, figures, tones, spectrum)


def _strongest(stretches: Iterable[_Stretch], total_s: float) -> list[Body]:
    """Return the strongest tones of all stretches.

    One of a stretch is that of another within half a semitone of it; of a stretch, each is one.
    """
    heard = [(tone, one) for one in stretches for tone in one.tones]
    found: list[tuple[Tone, dict[float, float]]] = []  # seconds by the start of the stretch
    for tone, one in sorted(heard, key=lambda pair: -pair[0].level_dbfs):
        alike = (
            sounding_s
            for louder, sounding_s in found
            if one.start_s not in sounding_s and _cents(louder, tone) <= _SAME_CENTS
        )
        sounding_s = next(alike, None)
        if sounding_s is None:
            found.append((tone, sounding_s := {}))
        sounding_s[one.start_s] = tone.time_share * one.duration_s
    return [
        {
            "frequency_hz": rounded(tone.frequency_hz, 2),
            "note": tone.note,
            "level_dbfs": rounded(tone.level_dbfs, 1),
            "time_share": _share(sum(sounding_s.values()) / total_s),
            "drift_cents_per_s": rounded(tone.drift_cents_per_s, 1),
        }
        for tone, sounding_s in found[:MOST_TONES]
    ]


def _cents(one: Tone, other: Tone) -> float:
    return abs(1200.0 * math.log2(one.frequency_hz / other.frequency_hz))


def _component(one: Component, hop_s: float, start_s: float) -> Body:
    highest = float(one.activation.max(initial=0.0))
    active = float(np.mean(one.activation > ACTIVE * highest)) if highest > 0.0 else 0.0
    return {
        "energy_share": _share(one.share),
        "peak_hz": rounded(one.peak_hz, 1),
        "centroid_hz": rounded(one.centroid_hz, 1),
        "loudest_s": rounded(start_s + int(np.argmax(one.activation)) * hop_s, 3),
        "active_share": _share(active),
    }


def _share(value: float | None) -> float | None:
    return rounded(value, 4)


def rounded(value: float | None, digits: int) -> float | None:
    """Round for people; what is no number is none."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits)
