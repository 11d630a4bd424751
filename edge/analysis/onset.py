# SPDX-License-Identifier: MIT
"""Where sounds begin, and whether they begin at even intervals: ticking, hammering."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.analysis.spectrum import Float32, Float64, Geometry

_DELTA: Final = 0.07  # over the mean around, of the highest strength; librosa's
_LEAST_ONSETS: Final = 4
_SHORTEST_S: Final = 0.08
_LONGEST_S: Final = 4.0
# People hammer some 20 ms early or late: a strike is as wide as this, no wider.
_SMOOTHING: Final = np.array([0.25, 0.5, 1.0, 0.5, 0.25])


@dataclass(frozen=True, slots=True)
class Onsets:
    """Where sounds begin.

    `strength` is (n_frames,) float32, frames `hop_s` apart; `times_s` rises. `regularity`
    is 0 (any time) to 1 (a clock) and `period_s` the interval; None with fewer than four
    onsets, `period_s` None too where nothing returns. `highest` is the highest strength so
    far: what the next stretch of the same recording is measured by.
    """

    strength: Float32
    highest: float
    hop_s: float
    times_s: tuple[float, ...]
    rate_per_s: float
    regularity: float | None
    period_s: float | None


def find_onsets(
    log_mel: Float32, shape: Geometry, duration_s: float, before: Onsets | None = None
) -> Onsets:
    """Return the onsets of a recording from its log-Mel, (n_frames, n_mels) float32 dB.

    Parameters
    ----------
    before : of the stretch that ended where this one begins, None for a recording's first.
    """
    strength = onset_strength(log_mel, shape, continued=before is not None)
    highest = max(float(np.ptp(strength)), before.highest if before else 0.0)
    frames = pick_onsets(strength, shape, highest)
    times_s = tuple(float(frame) * shape.hop_s for frame in frames)
    regularity, period_s = None, None
    if len(frames) >= _LEAST_ONSETS:
        regularity, period_s = find_period(strength, shape.hop_s)
    rate_per_s = len(times_s) / duration_s
    return Onsets(strength, highest, shape.hop_s, times_s, rate_per_s, regularity, period_s)


def onset_strength(log_mel: Float32, shape: Geometry, *, continued: bool = False) -> Float32:
    """Return how much louder the bands have become since the frame before, (n_frames,) float32.

    `librosa.onset.onset_strength` with its defaults: the mean over the bands of what
    rose, in dB, moved by half a window to where the frame's middle is. Where the sound is
    `continued`, the first two frames, which are half of what isn't there, rise to nothing.
    """
    rise = np.diff(log_mel, axis=0)
    np.maximum(rise, 0.0, out=rise)
    if continued:
        rise[: shape.n_fft // (2 * shape.hop_length)] = 0.0
    strength = np.zeros(len(log_mel), np.float32)
    delay = 1 + shape.n_fft // (2 * shape.hop_length)
    strength[delay:] = rise.mean(axis=1)[: max(0, len(log_mel) - delay)]
    return strength


def pick_onsets(
    strength: Float32, shape: Geometry, highest: float | None = None
) -> NDArray[np.intp]:
    """Return the frames of the onsets, as `librosa.onset.onset_detect` does.

    A frame that is the highest of the 30 ms before, 0.07 of the highest of all over the
    mean of 0.1 s on both sides, and 30 ms after the onset before. `highest` is given where
    it may be in another stretch.
    """
    relative = strength - strength.min()
    if highest is None:
        highest = float(relative.max())
    if highest == 0.0:
        return np.empty(0, np.intp)
    relative /= highest
    near = int(0.03 * shape.rate_hz // shape.hop_length)
    around = int(0.1 * shape.rate_hz // shape.hop_length)
    peak = relative == _highest_of(relative, near)
    peak &= relative >= _mean_of(relative, around, around + 1) + _DELTA
    chosen: list[int] = []
    for frame in np.flatnonzero(peak).tolist():
        if not chosen or frame > chosen[-1] + near:
            chosen.append(frame)
    return np.array(chosen, np.intp)


def find_period(strength: Float32, hop_s: float) -> tuple[float, float | None]:
    """Return how regularly the strength returns, 0 to 1, and after how many seconds.

    The highest autocorrelation at 0.08 to 4 s and at most a third of the recording,
    relative to that at no lag, after a strike was made as wide as a hand is inexact. A clock
    is as like itself after two periods as after one: of peaks within 15 % of the
    highest the first is the period.
    """
    smooth = np.convolve(strength, _SMOOTHING, mode="same")
    smooth -= smooth.mean()
    n_frames = smooth.size
    spectrum = np.fft.rfft(smooth, 2 * n_frames)
    lags = np.fft.irfft(np.abs(spectrum) ** 2)[:n_frames]
    if lags[0] <= 0.0:
        return 0.0, None
    # Fewer terms at long lags: without this a slow clock would be an irregular one.
    correlation = lags / lags[0] * (n_frames / (n_frames - np.arange(n_frames)))
    first = max(2, math.ceil(_SHORTEST_S / hop_s))
    last = min(int(_LONGEST_S / hop_s), n_frames // 3)
    inside = correlation[first : last + 1]
    peaks = 1 + np.flatnonzero((inside[1:-1] > inside[:-2]) & (inside[1:-1] >= inside[2:]))
    if not peaks.size or inside[peaks].max() <= 0.0:
        return 0.0, None
    best = int(peaks[inside[peaks] >= 0.85 * inside[peaks].max()][0])
    shift, height = _parabola(inside[best - 1 : best + 2])
    return min(1.0, height), (first + best + shift) * hop_s


def _highest_of(values: Float32, before: int) -> Float32:
    """Return the highest of each value and the `before` ones before it."""
    padded = np.pad(values, (before, 0), constant_values=-np.inf)
    highest: Float32 = sliding_window_view(padded, before + 1).max(axis=1)
    return highest


def _mean_of(values: Float32, before: int, after: int) -> Float64:
    """Return the mean of values [i - before, i + after), of those that there are."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    index = np.arange(values.size)
    start = np.maximum(index - before, 0)
    end = np.minimum(index + after, values.size)
    mean: Float64 = (sums[end] - sums[start]) / (end - start)
    return mean


def _parabola(three: Float64) -> tuple[float, float]:
    """Return where the parabola through three values has its peak, from the middle, and it."""
    left, middle, right = map(float, three)
    bend = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    return shift, middle - 0.25 * (left - right) * shift
