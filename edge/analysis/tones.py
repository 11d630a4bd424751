# SPDX-License-Identifier: MIT
"""Tones: narrow peaks of the spectrum that stay, their frequency far finer than a bin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.analysis.spectrum import Float32, Float64, Geometry

_OVER_FLOOR: Final = 5.0  # a peak is this many times the median of the bins around it (14 dB)
_RANGE: Final = 1e-3  # ... and at most 60 dB under the highest peak of all
_LOWEST_BIN: Final = 3  # below it a tone meets its own mirror image
_GRID_CENTS: Final = 20.0
_REACH_CENTS: Final = 60.0  # of one tone, to both sides
_EDGE_FRAMES: Final = 2  # half a window
_LEAST_FRAMES: Final = 4
_NAMES: Final = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")


@dataclass(frozen=True, slots=True)
class Tone:
    """One tone: `level_dbfs` is its mean while it sounds (a full-scale sine reads -3.01).

    `note` is the nearest in equal temperament (A4 is 440 Hz) with the cents beside it,
    "A4 +3"; `time_share` of the frames have it; `drift_cents_per_s` is the slope of its
    frequency, None where it is too short to tell.
    """

    frequency_hz: float
    note: str
    level_dbfs: float
    time_share: float
    drift_cents_per_s: float | None


@dataclass(frozen=True, slots=True)
class Tones:
    """The strongest tones, strongest first; `tonality` is the energy's share in tones, 0 to 1.

    None in silence.
    """

    tones: tuple[Tone, ...]
    tonality: float | None


class _Peaks(NamedTuple):
    frame: NDArray[np.intp]
    cents: Float64  # over 1 Hz
    amplitude: Float64  # of the sine


def find_tones(
    magnitude: Float32, floor: Float32, power: Float32, shape: Geometry, n_tones: int
) -> Tones:
    """Return the strongest tones of a spectrum.

    Parameters
    ----------
    magnitude, power : (n_frames, n_bins) float32.
    floor : (n_frames, n_bins) float32, the median of the bins around each.
    """
    total = float(power.sum(dtype=np.float64))
    if total == 0.0:
        return Tones((), None)
    frame, bin_index = _peak_bins(magnitude, floor)
    lobe = sum(float(power[frame, bin_index + k].sum(dtype=np.float64)) for k in (-1, 0, 1))
    peaks = _refine(magnitude, frame, bin_index, shape)
    tones = [
        _tone(peaks, members, len(magnitude), shape.hop_s) for members in _groups(peaks, n_tones)
    ]
    return Tones(tuple(tones), min(1.0, lobe / total))


def note_name(frequency_hz: float) -> str:
    """Return the nearest note and the cents beside it, as "A4 +3"."""
    cents = 1200.0 * math.log2(frequency_hz / 440.0) + 6900.0  # MIDI's numbers, in cents
    number = round(cents / 100.0)
    return f"{_NAMES[number % 12]}{number // 12 - 1} {round(cents - 100.0 * number):+d}"


def _peak_bins(magnitude: Float32, floor: Float32) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return frame and bin of each peak that stands out of its surroundings."""
    inner = magnitude[:, _LOWEST_BIN:-1]
    peak = inner > magnitude[:, _LOWEST_BIN - 1 : -2]
    peak &= inner >= magnitude[:, _LOWEST_BIN + 1 :]
    peak &= inner > _OVER_FLOOR * floor[:, _LOWEST_BIN:-1]
    peak &= inner > _RANGE * magnitude.max()
    frame, bin_index = np.nonzero(peak)
    return frame, bin_index + _LOWEST_BIN


def _refine(
    magnitude: Float32, frame: NDArray[np.intp], bin_index: NDArray[np.intp], shape: Geometry
) -> _Peaks:
    """Place each peak between the bins.

    The two highest bins of a sine under a Hann window are in the ratio (1 + d) / (2 - d),
    where d is the way from the higher to the lower one. Source: T. Grandke, "Interpolation
    algorithms for discrete Fourier transforms of weighted signals", IEEE Trans. IM-32 (1983).
    """
    left, middle, right = (magnitude[frame, bin_index + k].astype(np.float64) for k in (-1, 0, 1))
    ratio = np.maximum(left, right) / middle
    way = np.clip((2.0 * ratio - 1.0) / (ratio + 1.0), 0.0, 0.5)
    position = bin_index + np.where(right > left, way, -way)
    # The lobe's height at that distance from its middle; the window sums to n_fft / 2.
    height = np.sinc(way) / (1.0 - way**2)
    cents = 1200.0 * np.log2(position * (shape.rate_hz / shape.n_fft))
    return _Peaks(frame, cents, middle / height * (4.0 / shape.n_fft))


def _groups(peaks: _Peaks, n_tones: int) -> list[NDArray[np.intp]]:
    """Return the peaks of each tone, the tone of most energy first.

    The energy is summed over a fine grid of cents; around its highest place all peaks
    within reach are one tone and are taken away, and so on.
    """
    energy = peaks.amplitude**2
    free = np.ones(energy.size, np.bool_)
    groups: list[NDArray[np.intp]] = []
    while len(groups) < n_tones and free.any():
        centre = _loudest_place(peaks.cents[free], energy[free])
        members = np.flatnonzero(free & (np.abs(peaks.cents - centre) <= _REACH_CENTS))
        free[members] = False
        if np.unique(peaks.frame[members]).size >= _LEAST_FRAMES:
            groups.append(members)
    return groups


def _loudest_place(cents: Float64, energy: Float64) -> float:
    cell = np.floor(cents / _GRID_CENTS).astype(np.intp)
    sums = np.bincount(cell - cell.min(), energy)
    wide = np.convolve(sums, np.ones(3), mode="same")
    return float((wide.argmax() + cell.min() + 0.5) * _GRID_CENTS)


def _tone(peaks: _Peaks, members: NDArray[np.intp], n_frames: int, hop_s: float) -> Tone:
    frame, cents = peaks.frame[members], peaks.cents[members]
    energy = peaks.amplitude[members] ** 2
    centre = float(np.average(cents, weights=energy))
    frequency_hz = 2.0 ** (centre / 1200.0)
    # A window that reaches beyond the recording is half empty, and leans.
    whole = (frame >= _EDGE_FRAMES) & (frame < n_frames - _EDGE_FRAMES)
    time_s = frame[whole].astype(np.float64) * hop_s
    return Tone(
        frequency_hz=frequency_hz,
        note=note_name(frequency_hz),
        level_dbfs=10.0 * math.log10(float(energy.mean()) / 2.0),
        time_share=np.unique(frame).size / n_frames,
        drift_cents_per_s=_slope(time_s, cents[whole] - centre, energy[whole]),
    )


def _slope(time_s: Float64, cents: Float64, weight: Float64) -> float | None:
    """Return the weighted slope; None under half a second."""
    if time_s.size == 0 or np.ptp(time_s) < 0.5:
        return None
    around = time_s - np.average(time_s, weights=weight)
    return float(np.sum(weight * around * cents) / np.sum(weight * around**2))
