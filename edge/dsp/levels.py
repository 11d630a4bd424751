# SPDX-License-Identifier: MIT
"""Sound levels of every second of a stream, in dB relative to full scale.

Source: IEC 61672-1:2013: 3.8 (time weightings F and S), 3.9 (time-averaged level), 5.5
(frequency weightings). The standard's levels are these plus the calibration.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.dsp.filters import FilterBank
from edge.types import Level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

FAST_S: Final = 0.125
SLOW_S: Final = 1.0

LAF_PER_S: Final = 100
"""How often the Fast level is taken for the percent-exceedance levels."""

SETTLE_S: Final = 0.6
"""Fast begins from rest and is 0.04 dB under a steady sound after this time."""

PEAK_SETTLE_S: Final = 0.1
"""Cutting into a sound makes a click, for C a peak, that is gone to 0.1 dB after this time."""

# What digital silence reads: finite, and under the noise of any converter.
FLOOR_DBFS: Final = -160.0
_FLOOR: Final = np.float32(10.0 ** (FLOOR_DBFS / 10.0))


def time_weighting_sos(rate_hz: int) -> Float64:
    """Return time weightings F and S, (2, 1, 6): poles of 125 ms and 1 s on squared samples."""
    poles = [math.exp(-1.0 / (constant_s * rate_hz)) for constant_s in (FAST_S, SLOW_S)]
    return np.array([[[1.0 - pole, 0.0, 0.0, 1.0, -pole, 0.0]] for pole in poles])


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
    interval = _Interval(0, rate_hz)
    a, energies, c = weighting.process(samples)
    interval.hear(samples, a, energies, c)
    interval.hear_peak(c, 0)
    interval.hear_fast(energies[0], 0, round(SETTLE_S * rate_hz))
    return interval.level(samples.size)


class LevelMeter:
    """Levels of each second on the grid of the stream's sample index.

    Interval k is [k * rate, (k + 1) * rate) whatever the cut of the samples. LAeq, LCeq and
    LZeq are energy means, LAFmax, LAFmin and LASmax the extremes of the Fast and Slow level,
    LCpeak the highest |C|. Fast, Slow and (unless settled) the weightings start from rest:
    after the start and after a gap Fast rises to the sound's level (-0.4 dB at 0.3 s), Slow
    in eight times as long. Digital silence reads `FLOOR_DBFS`.

    Keeps the filters' states and the sums of the interval at hand; nothing grows.

    Parameters
    ----------
    rate_hz : rate of the samples.
    a_sos, c_sos : (n_sections, 6) float64, weightings at that rate (`standard.weighting_sos`).
    max_samples : samples to filter at once; `process` may be given more.
    interval_samples : length of an interval; 0: one second.
    """

    def __init__(
        self,
        rate_hz: int,
        a_sos: Float64,
        c_sos: Float64,
        max_samples: int,
        interval_samples: int = 0,
    ) -> None:
        if rate_hz < 1:
            raise ValueError(f"rate_hz must be positive, not {rate_hz}")
        self._rate_hz = rate_hz
        self._interval_samples = interval_samples or rate_hz
        self._max_samples = max_samples
        self._weighting = _Weighting(rate_hz, a_sos, c_sos, max_samples)
        self._interval = _Interval(0, rate_hz)
        self._sample_index = 0
        self._settled_index = round(SETTLE_S * rate_hz)
        self._peak_from = 0

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
            samples and those behind a gap: from rest an offset is a peak, and energy. Of the
            next `PEAK_SETTLE_S` a peak counts only where nothing else was heard.
        """
        if settle and samples.size:
            self._weighting.settle(float(samples.mean(dtype=np.float64)))
            self._peak_from = self._sample_index + round(PEAK_SETTLE_S * self._rate_hz)
        self._interval.clipped_samples += clipped
        done: list[Level] = []
        heard = 0
        while heard < samples.size:
            room = self._interval.sample_index + self._interval_samples - self._sample_index
            piece = samples[heard : heard + min(room, self._max_samples)]
            a, energies, c = self._weighting.process(piece)
            self._interval.hear(piece, a, energies, c)
            unsettled = max(self._peak_from - self._sample_index, 0)
            self._interval.hear_peak(c, unsettled)
            self._interval.hear_fast(energies[0], self._sample_index, self._settled_index)
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
        self._settled_index = self._sample_index + round(SETTLE_S * self._rate_hz)
        # The interval where the hole ends lost its beginning, unless it ends on the grid.
        self._interval.gap |= self._sample_index > self._interval.sample_index
        return done

    def _advance(self, n_samples: int) -> list[Level]:
        self._sample_index += n_samples
        ended = self._interval
        start = self._sample_index - self._sample_index % self._interval_samples
        if start == ended.sample_index:
            return []
        self._interval = _Interval(start, self._rate_hz)
        end_index = ended.sample_index + self._interval_samples
        return [ended.level(end_index)] if ended.n_samples else []


class _Weighting:
    """The filters of a meter: A and C, and over the squared A Fast and Slow."""

    def __init__(self, rate_hz: int, a_sos: Float64, c_sos: Float64, max_samples: int) -> None:
        no_section = np.zeros((len(a_sos) - len(c_sos), 6))
        both = np.array([a_sos, np.vstack([c_sos, no_section])])
        self._frequency = FilterBank(both, max_samples)
        self._time = FilterBank(time_weighting_sos(rate_hz), max_samples)
        self._squared = np.empty(max_samples, np.float32)

    def process(self, samples: Float32) -> tuple[Float32, Float32, Float32]:
        """Return A, the energies (Fast, Slow) of its square, and C, valid until the next call."""
        a, c = self._frequency.process(samples)
        squared = np.square(a, out=self._squared[: a.size])
        return a, self._time.process(squared), c

    def settle(self, offset: float) -> None:
        self._frequency.reset(settled_at=offset)

    def reset(self) -> None:
        self._frequency.reset()
        self._time.reset()


class _Interval:
    """The sums of one interval."""

    def __init__(self, sample_index: int, rate_hz: int) -> None:
        self.sample_index = sample_index
        self._laf_step = max(rate_hz // LAF_PER_S, 1)
        self.n_samples = 0
        self.clipped_samples = 0
        self.gap = False
        self._a_energy = self._c_energy = self._z_energy = 0.0
        self._fast_max = self._slow_max = self._c_peak = self._first_peak = 0.0
        self._fast_min = math.inf
        self._laf: list[Float32] = []

    def hear(self, samples: Float32, a: Float32, energies: Float32, c: Float32) -> None:
        self.n_samples += samples.size
        self._a_energy += float(np.vecdot(a, a))
        self._c_energy += float(np.vecdot(c, c))
        self._z_energy += float(np.vecdot(samples, samples))
        fast_max, slow_max = energies.max(axis=1).tolist()
        self._fast_max = max(self._fast_max, fast_max)
        self._slow_max = max(self._slow_max, slow_max)

    def hear_peak(self, c: Float32, unsettled: int) -> None:
        """Take the peak of C; of its first samples it counts only where there are no others."""
        first, settled = c[:unsettled], c[unsettled:]
        if first.size:
            self._first_peak = max(self._first_peak, float(np.abs(first).max()))
        if settled.size:
            self._c_peak = max(self._c_peak, float(settled.max()), -float(settled.min()))

    def hear_fast(self, fast: Float32, sample_index: int, settled_index: int) -> None:
        """Take Fast energies, of `sample_index` and on, where they are settled."""
        unsettled = max(settled_index - sample_index, 0)
        settled = fast[unsettled:]
        if settled.size:
            self._fast_min = min(self._fast_min, float(settled.min()))
            offset = -(sample_index + unsettled) % self._laf_step
            self._laf.append(settled[offset :: self._laf_step].copy())

    def level(self, end_index: int) -> Level:
        laf = np.concatenate(self._laf) if self._laf else np.zeros(0, np.float32)
        return Level(
            sample_index=self.sample_index,
            end_index=end_index,
            n_samples=self.n_samples,
            laeq_dbfs=decibels(self._a_energy / self.n_samples),
            lceq_dbfs=decibels(self._c_energy / self.n_samples),
            lzeq_dbfs=decibels(self._z_energy / self.n_samples),
            lafmax_dbfs=decibels(self._fast_max),
            lafmin_dbfs=decibels(self._fast_min) if self._laf else None,
            lasmax_dbfs=decibels(self._slow_max),
            lcpeak_dbfs=decibels((self._c_peak or self._first_peak) ** 2),
            laf_dbfs=np.float32(10.0) * np.log10(np.maximum(laf, _FLOOR)),
            gap=self.gap,
            clipped_samples=self.clipped_samples,
        )


def decibels(energy: float) -> float:
    """Return an energy in dBFS, `FLOOR_DBFS` at least."""
    return 10.0 * math.log10(energy) if energy > 10.0 ** (FLOOR_DBFS / 10.0) else FLOOR_DBFS
