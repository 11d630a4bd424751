# SPDX-License-Identifier: MIT
"""Octave and third-octave levels of every second of a stream, by a decimating cascade.

The bands of one octave need a rate of some five times their frequency, no more: each stage
filters its bands and hands half the samples to the next. All stages below the first cost
together as much as the first, and low bands are as well-conditioned as high ones.

Source: IEC 61260-1:2014: 5.2 to 5.6 (the base-10 grid), 5.10 (relative attenuation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.dsp.filters import FilterBank
from edge.dsp.levels import FLOOR_DBFS
from edge.dsp.resample import Decimator
from edge.types import Bands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

THIRDS: Final = range(-16, 14)  # 25 Hz to 20 kHz; place 0 is 1 kHz
OCTAVES: Final = range(-5, 5)  # 31.5 Hz to 16 kHz

# A band is filtered at the lowest rate of which its upper edge is no more than this share.
# Above it the bilinear transform of order 6 leaves class 1: it lifts the lower skirt.
TOP_SHARE: Final = 0.25
# A band above this share of the captured rate is left out: its upper skirt has no room.
_HIGHEST_SHARE: Final = 0.47

_NOMINAL: Final = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
_SLOTS: Final = 8  # calls after which every stage has worked


@dataclass(frozen=True, slots=True)
class Band:
    """One band: its place on the grid of `per_octave` (1 or 3) bands, and the stage that has it.

    Stage k works at the captured rate / 2**k.
    """

    place: int
    per_octave: int
    stage: int

    @property
    def centre_hz(self) -> float:
        """The exact midband frequency."""
        return exact_hz(self.place, self.per_octave)

    @property
    def nominal_hz(self) -> float:
        """The frequency by which people call it."""
        decade, step = divmod(self.place * 3 // self.per_octave, 10)
        return round(_NOMINAL[step] * 10.0 ** (3 + decade), 2)


def exact_hz(place: int, per_octave: int = 3) -> float:
    """Return a midband frequency of the base-10 grid; place 0 is 1 kHz."""
    return float(1000.0 * 10.0 ** (0.3 * place / per_octave))


def bands_of(rate_hz: int) -> tuple[Band, ...]:
    """Return the bands that a rate allows: third octaves from 25 Hz, then octaves from 31.5."""
    grid = [(place, 3) for place in THIRDS] + [(place, 1) for place in OCTAVES]
    edges_hz = [exact_hz(place, per) * 10.0 ** (0.15 / per) for place, per in grid]
    return tuple(
        Band(place, per, max(int(math.log2(TOP_SHARE * rate_hz / edge_hz)), 0))
        for (place, per), edge_hz in zip(grid, edges_hz, strict=True)
        if edge_hz <= _HIGHEST_SHARE * rate_hz
    )


class BandMeter:
    """Levels of all bands, second by second on the grid of the stream's sample index.

    A second comes up to 1.2 s (with calls of 83 ms) after its last sample: each call works on
    the first stage and on one or a few of the others in turn, so that no call is dear. The
    decimating filters' delay is taken out of the bands' time, the band filters' own is not (half
    a second at 25 Hz), and they start from rest: for its first 5 / bandwidth seconds (0.9 s
    at 25 Hz) a band reads low. What the decimating filters hold back at a gap (at most 0.1 s, of
    the lowest band) is not heard any more.

    Keeps the filters' states and the sums of two or three seconds.

    Parameters
    ----------
    rate_hz : rate of the samples, 8000 or more.
    sos : (n_bands, 4, 6) float64, designed for `bands_of(rate_hz)`: `standard.band_bank`.
    halving_taps : (n_taps,) float64 (`standard.halving_taps`).
    max_samples : the longest `samples` of one call.
    """

    def __init__(self, rate_hz: int, sos: Float64, halving_taps: Float64, max_samples: int) -> None:
        self._rate_hz = rate_hz
        bands = bands_of(rate_hz)
        if len(bands) != len(sos):
            raise ValueError(f"{len(sos)} filters for {len(bands)} bands")
        n_stages = max(band.stage for band in bands) + 1
        self._stages = [
            _Stage(number, bands, sos, halving_taps, max_samples) for number in range(n_stages)
        ]
        self._n_bands = len(bands)
        self._seconds: dict[int, _Second] = {}
        self._sample_index = 0
        self._calls = 0

    def process(self, samples: Float32) -> list[Bands]:
        """Hear more samples; return the seconds that are complete in all bands.

        Parameters
        ----------
        samples : (n_samples,) float32, full scale +-1.0, finite, at most `max_samples`; only read.
        """
        if samples.size == 0:
            return []
        self._note(samples.size)
        halved = samples
        slot, self._calls = self._calls % _SLOTS, self._calls + 1
        for stage in self._stages:
            stage.take(halved)
            halved = self._run(stage) if stage.due(slot) else samples[:0]
        passed = min(stage.passed_index for stage in self._stages)
        return self._give(passed)

    def gap(self, lost_samples: int) -> list[Bands]:
        """Step over a hole; return the seconds that it ends. The filters restart.

        Raises `ValueError` for a negative number; 0 changes nothing.
        """
        if lost_samples < 0:
            raise ValueError(f"lost_samples must be 0 or more, not {lost_samples}")
        if lost_samples == 0:
            return []
        self._drain()
        self._second(self._sample_index).gap = True
        self._sample_index += lost_samples
        done = self._give(self._sample_index)
        if self._sample_index % self._rate_hz:
            self._second(self._sample_index).gap = True
        for stage in self._stages:
            stage.restart(self._sample_index)
        return done

    def flush(self) -> list[Bands]:
        """Return the whole seconds that are left at the end of a stream."""
        self._drain()
        return self._give(self._sample_index)

    def _note(self, n_samples: int) -> None:
        """Count what was heard to the seconds in which it lies."""
        end = self._sample_index + n_samples
        while self._sample_index < end:
            second = self._second(self._sample_index)
            upto = min(second.sample_index + self._rate_hz, end)
            second.n_samples += upto - self._sample_index
            self._sample_index = upto

    def _drain(self) -> None:
        """Work on all that waits: the last stages first, that the others find them empty."""
        for first in reversed(range(len(self._stages))):
            halved = np.zeros(0, np.float32)
            for stage in self._stages[first:]:
                stage.take(halved)
                halved = self._run(stage)

    def _run(self, stage: _Stage) -> Float32:
        """Let a stage work on what waits, add its energies to their seconds; return half of it."""
        start = stage.n_done
        filtered, halved = stage.work()
        end = start + filtered.shape[1]
        position = max(start, stage.position(stage.origin))
        while position < end:
            second = self._second(max(stage.index(position), stage.origin))
            upto = min(stage.position(second.sample_index + self._rate_hz), end)
            piece = filtered[:, position - start : upto - start]
            second.energy[stage.places] += np.vecdot(piece, piece)
            second.heard[stage.places] += upto - position
            position = upto
        return halved

    def _second(self, index: int) -> _Second:
        start = index - index % self._rate_hz
        if start not in self._seconds:
            self._seconds[start] = _Second(start, self._n_bands)
        return self._seconds[start]

    def _give(self, passed: int) -> list[Bands]:
        """Return the seconds that end at `passed` or before it, of which anything was heard."""
        ended = sorted(start for start in self._seconds if start + self._rate_hz <= passed)
        seconds = [self._seconds.pop(start) for start in ended]
        return [second.bands(self._rate_hz) for second in seconds if second.n_samples]


class _Second:
    """The sums of one second, band by band."""

    def __init__(self, sample_index: int, n_bands: int) -> None:
        self.sample_index = sample_index
        self.n_samples = 0
        self.gap = False
        self.energy = np.zeros(n_bands)
        self.heard = np.zeros(n_bands)

    def bands(self, rate_hz: int) -> Bands:
        power = self.energy / np.maximum(self.heard, 1.0)
        return Bands(
            sample_index=self.sample_index,
            end_index=self.sample_index + rate_hz,
            n_samples=self.n_samples,
            levels_dbfs=10.0 * np.log10(np.maximum(power, 10.0 ** (FLOOR_DBFS / 10.0))),
            gap=self.gap,
        )


class _Stage:
    """One rate of the cascade: its bands, the way to the next, and what waits to be worked on.

    Sample n of a stage sounds like the stream's sample `index(n)`: the delay of the
    decimating filters before it is taken out.
    """

    def __init__(
        self, number: int, bands: Sequence[Band], sos: Float64, taps: Float64, max_samples: int
    ) -> None:
        self._step = 1 << number
        self._delay = (taps.size // 2) * (self._step - 1)  # of all halvings before, in samples
        self._turn = _turn(number)
        self.places = [place for place, band in enumerate(bands) if band.stage == number]
        every, _ = self._turn
        capacity = every * (max_samples // self._step + 2)
        self._bank = FilterBank(sos[self.places], capacity) if self.places else None
        self._halver = Decimator(taps, 2, capacity)
        self._waiting = np.zeros(capacity, np.float32)
        self._n_waiting = 0
        self.n_done = 0
        self.origin = 0

    @property
    def passed_index(self) -> int:
        """Before which sample of the stream everything was heard."""
        return self.index(self.n_done) if self.places else 2**62

    def due(self, slot: int) -> bool:
        """Whether it is this stage's turn."""
        every, offset = self._turn
        return slot % every == offset

    def index(self, position: int) -> int:
        """Return the stream's sample index of the stage's sample `position`."""
        return self.origin + position * self._step - self._delay

    def position(self, index: int) -> int:
        """Return the first sample of the stage at or behind a sample index."""
        return -((self.origin - index - self._delay) // self._step)

    def take(self, samples: Float32) -> None:
        """Let samples wait."""
        self._waiting[self._n_waiting : self._n_waiting + samples.size] = samples
        self._n_waiting += samples.size

    def work(self) -> tuple[Float32, Float32]:
        """Return what waited, filtered, (n_bands, n), and at half the rate, (n / 2,)."""
        samples = self._waiting[: self._n_waiting]
        self.n_done += self._n_waiting
        self._n_waiting = 0
        filtered = self._bank.process(samples) if self._bank else samples[None, :0]
        return filtered, self._halver.process(samples)

    def restart(self, origin: int) -> None:
        """Begin anew at a sample index, from rest."""
        self.origin, self.n_done, self._n_waiting = origin, 0, 0
        self._halver.reset()
        if self._bank:
            self._bank.reset()


def _turn(number: int) -> tuple[int, int]:
    """Return in every which call a stage works, and at which of them.

    The second stage never meets the third, and the small ones share two calls of eight.
    """
    if number < 3:
        return ((1, 0), (2, 0), (4, 1))[number]
    return _SLOTS, 3 if number < 6 else 7
