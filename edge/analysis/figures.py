# SPDX-License-Identifier: MIT
"""Numbers that describe a spectrum, and the level of what it is of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.analysis.spectrum import Float32, Float64, Geometry

_ROLLOFF: Final = 0.85  # of the magnitudes lie below, librosa's share
_QUIETEST: Final = 1e-6  # of the loudest frame's power (-60 dB): below it is silence
_FLOOR_POWER: Final = 1e-10


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure of the frames that are not silent: its mean, and what 10 and 90 % stay under."""

    mean: float
    p10: float
    p90: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The shape of the spectrum, frame by frame, as librosa's `spectral_*` define it.

    `flatness` is 0 (a tone) to 1 (white noise).
    """

    centroid_hz: Spread
    bandwidth_hz: Spread
    rolloff_hz: Spread
    flatness: Spread


@dataclass(frozen=True, slots=True)
class Levels:
    """How loud it is: 0 dBFS is an RMS of 1.0, a peak of 1.0; None in digital silence.

    `crest_db` is from the RMS to the peak.
    """

    rms_dbfs: float | None
    peak_dbfs: float | None
    crest_db: float | None


@dataclass(frozen=True, slots=True)
class FrameFigures:
    """What `Figures` sums up, each (n_frames,) float64."""

    centroid_hz: Float64
    bandwidth_hz: Float64
    rolloff_hz: Float64
    flatness: Float64


def describe(magnitude: Float32, power: Float32, shape: Geometry) -> Figures | None:
    """Sum up the spectrum, (n_frames, n_bins) float32 each; None in silence."""
    loudness = power.sum(axis=1)
    sounding = loudness > _QUIETEST * loudness.max()
    if not sounding.any():
        return None
    frames = frame_figures(magnitude[sounding], power[sounding], shape)
    return Figures(
        centroid_hz=_spread(frames.centroid_hz),
        bandwidth_hz=_spread(frames.bandwidth_hz),
        rolloff_hz=_spread(frames.rolloff_hz),
        flatness=_spread(frames.flatness),
    )


def frame_figures(magnitude: Float32, power: Float32, shape: Geometry) -> FrameFigures:
    """Return the figures of each frame; of (n_frames, n_bins) float32, none of them silent."""
    bins_hz = shape.bins_hz
    # In float64: the bandwidth of a tone is the small difference of two large moments.
    powers = np.stack([np.ones_like(bins_hz), bins_hz, bins_hz**2], axis=1)
    moments = magnitude.astype(np.float64) @ powers
    mean, square = moments[:, 1] / moments[:, 0], moments[:, 2] / moments[:, 0]
    return FrameFigures(
        centroid_hz=mean,
        bandwidth_hz=np.sqrt(np.maximum(square - mean**2, 0.0)),
        rolloff_hz=bins_hz[_rolloff_bins(magnitude)],
        flatness=_flatness(power),
    )


def measure_levels(samples: Float32) -> Levels:
    """Return the levels of (n_samples,) float32, n_samples > 0."""
    peak = float(max(samples.max(), -samples.min()))
    mean_square = float(np.einsum("i,i->", samples, samples, dtype=np.float64)) / samples.size
    if mean_square == 0.0:
        return Levels(None, None, None)
    rms_dbfs, peak_dbfs = 10.0 * math.log10(mean_square), 20.0 * math.log10(peak)
    return Levels(rms_dbfs, peak_dbfs, peak_dbfs - rms_dbfs)


def _rolloff_bins(magnitude: Float32) -> NDArray[np.intp]:
    below = np.cumsum(magnitude, axis=1)
    bins: NDArray[np.intp] = np.argmax(below >= np.float32(_ROLLOFF) * below[:, -1:], axis=1)
    return bins


def _flatness(power: Float32) -> Float64:
    audible = np.maximum(power, np.float32(_FLOOR_POWER))
    mean = audible.mean(axis=1, dtype=np.float64)
    logarithm = np.log(audible, out=audible).mean(axis=1, dtype=np.float64)
    flatness: Float64 = np.exp(logarithm) / mean
    return flatness


def _spread(values: Float64) -> Spread:
    p10, p90 = np.percentile(values, (10, 90))
    return Spread(float(values.mean()), float(p10), float(p90))
