# SPDX-License-Identifier: MIT
"""Sound levels of every second of a stream, in dB relative to full scale.

Source: IEC 61672-1:2013: 3.8 (time weighting F, 125 ms), 3.9 (time-averaged level), 5.5
(frequency weightings). The standard's levels are these plus the calibration.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.dsp.filters import BlockFilter
from edge.types import Level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

FAST_S: Final = 0.125

# What digital silence reads: finite, and under the noise of any converter.
FLOOR_DBFS: Final = -160.0


def fast_sos(rate_hz: int) -> Float64:
    """Return time weighting F as one section, (1, 6): a pole of 125 ms on squared samples."""
    pole = math.exp(-1.0 / (FAST_S * rate_hz))
    return np.array([[1.0 - pole, 0.0, 0.0, 1.0, -pole, 0.0]])


def levels(samples: Float32, rate_hz: int, a_sos: Float64, c_sos: Float64) -> Level:
    """Measure a whole recording, from rest, as one interval: the pure twin of `LevelMeter`.

    Parameters
    ----------
    samples : (n_samples,) float32, full scale +-1.0, one sample or more.
    rate_hz : their rate.
    a_sos, c_sos : (n_sections, 6) float64, weightings at that rate (`design.weighting_sos`).

    Raises `ValueError` for no samples.
    """
    if samples.size == 0:
        raise ValueError("samples must hold one sample or more")
    weighting = _Weighting(rate_hz, a_sos, c_sos, samples.size)
    interval = _Interval(0)
    interval.hear(samples, *weighting.process(samples))
    return interval.level(samples.size)


class LevelMeter:
    """Levels of each second on the grid of the stream's sample index.

    Interval k is [k * rate, (k + 1) * rate) whatever the cut of the samples. LAeq and LZeq
    are energy means, LAFmax the highest Fast level, LCpeak the highest |C|. Fast and
    (unless settled) the weightings start from rest: for the first 0.3 s after the start and
    after a gap the Fast level rises to the sound's (-0.4 dB at 0.3 s), so an interval shorter
    than that may read low. Digital silence reads `FLOOR_DBFS`.

    Keeps the filters' states and the sums of the interval at hand; nothing grows.

    Parameters
    ----------
    rate_hz : rate of the samples.
    a_sos, c_sos : (n_sections, 6) float64, weightings at that rate (`design.weighting_sos`).
    max_samples : samples to filter at once; `process` may be given more.
    """

    def __init__(self, rate_hz: int, a_sos: Float64, c_sos: Float64, max_samples: int) -> None:
        if rate_hz < 1:
            raise ValueError(f"rate_hz must be positive, not {rate_hz}")
        self._rate_hz = rate_hz
        self._max_samples = max_samples
        self._weighting = _Weighting(rate_hz, a_sos, c_sos, max_samples)
        self._interval = _Interval(0)
        self._sample_index = 0

    @property
    def sample_index(self) -> int:
        """Where the next sample belongs, from stream start, through gaps."""
        return self._sample_index

    def process(self, samples: Float32, clipped: int = 0, *, settle: bool = False) -> list[Level]:
        """Hear more samples and return the intervals that they complete, seldom any.

        Works best on some 100 ms at once; allocates nothing that grows with n.

        Parameters
        ----------
        samples : (n_samples,) float32, full scale +-1.0, finite, any number; only read.
        clipped : how many of them were at full scale; counted to the interval of the first.
        settle : A and C begin as if the mean of these had been there for ever, for the first
            samples and those behind a gap: from rest an offset is a peak, and energy.
        """
        if settle and samples.size:
            self._weighting.settle(float(samples.mean(dtype=np.float64)))
        self._interval.clipped_samples += clipped
        done: list[Level] = []
        heard = 0
        while heard < samples.size:
            room = self._interval.sample_index + self._rate_hz - self._sample_index
            piece = samples[heard : heard + min(room, self._max_samples)]
            self._interval.hear(piece, *self._weighting.process(piece))
            heard += piece.size
            done += self._advance(piece.size)
        return done

    def gap(self, lost_samples: int) -> list[Level]:
        """Step over a hole and return the interval that it ends, if any of it was heard.

        The filters restart. An interval that lost samples has `gap` set, its figures cover
        the `n_samples` that were heard; one lost wholly isn't reported.

        Raises `ValueError` for a negative number; 0 changes nothing.
        """
        if lost_samples < 0:
            raise ValueError(f"lost_samples must be 0 or more, not {lost_samples}")
        if lost_samples == 0:
            return []
        self._weighting.reset()
        self._interval.gap = True
        done = self._advance(lost_samples)
        # The interval where the hole ends lost its beginning, unless it ends on the grid.
        self._interval.gap |= self._sample_index > self._interval.sample_index
        return done

    def _advance(self, n_samples: int) -> list[Level]:
        self._sample_index += n_samples
        ended = self._interval
        start = self._sample_index - self._sample_index % self._rate_hz
        if start == ended.sample_index:
            return []
        self._interval = _Interval(start)
        return [ended.level(ended.sample_index + self._rate_hz)] if ended.n_samples else []


class _Weighting:
    """The three filters of a meter: A, C, and Fast over the squared A."""

    def __init__(self, rate_hz: int, a_sos: Float64, c_sos: Float64, max_samples: int) -> None:
        self._a = BlockFilter(a_sos, max_samples)
        self._c = BlockFilter(c_sos, max_samples)
        self._fast = BlockFilter(fast_sos(rate_hz), max_samples)
        self._squared = np.empty(max_samples, np.float32)

    def process(self, samples: Float32) -> tuple[Float32, Float32, Float32]:
        """Return squared A, its Fast energy, and C, valid until the next call."""
        a = self._a.process(samples)
        squared = np.square(a, out=self._squared[: a.size])
        return squared, self._fast.process(squared), self._c.process(samples)

    def settle(self, offset: float) -> None:
        self._a.reset(settled_at=offset)
        self._c.reset(settled_at=offset)

    def reset(self) -> None:
        for each in (self._a, self._c, self._fast):
            each.reset()


class _Interval:
    """The sums of one second."""

    def __init__(self, sample_index: int) -> None:
        self.sample_index = sample_index
        self.n_samples = 0
        self.clipped_samples = 0
        self.gap = False
        self._a_energy = 0.0
        self._z_energy = 0.0
        self._fast_max = 0.0
        self._c_peak = 0.0

    def hear(self, samples: Float32, squared: Float32, fast: Float32, c: Float32) -> None:
        self.n_samples += samples.size
        self._a_energy += float(np.add.reduce(squared, dtype=np.float64))
        self._z_energy += float(np.dot(samples, samples))
        self._fast_max = max(self._fast_max, float(fast.max()))
        self._c_peak = max(self._c_peak, float(c.max()), -float(c.min()))

    def level(self, end_index: int) -> Level:
        return Level(
            sample_index=self.sample_index,
            end_index=end_index,
            n_samples=self.n_samples,
            laeq_dbfs=_decibels(self._a_energy / self.n_samples),
            lafmax_dbfs=_decibels(self._fast_max),
            lcpeak_dbfs=_decibels(self._c_peak**2),
            lzeq_dbfs=_decibels(self._z_energy / self.n_samples),
            gap=self.gap,
            clipped_samples=self.clipped_samples,
        )


def _decibels(energy: float) -> float:
    return 10.0 * math.log10(energy) if energy > 10.0 ** (FLOOR_DBFS / 10.0) else FLOOR_DBFS
