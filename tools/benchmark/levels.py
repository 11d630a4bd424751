# SPDX-License-Identifier: MIT
"""Sound levels of a 48 kHz stream: the product's meters beside straightforward SciPy.

Straightforward is one `sosfilt` with a kept state for each weighting and band, all at the
captured rate, on the same batches. Before anything is timed both are compared.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import signal

from edge.dsp.bands import BandMeter, bands_of
from edge.dsp.levels import LevelMeter, time_weighting_sos
from edge.dsp.standard import band_bank, band_sos, halving_taps, weighting_sos
from edge.pipeline import BATCHES_PER_S
from tools.benchmark.stopwatch import interleave, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

RATE_HZ: Final = 48000
BATCH: Final = RATE_HZ // BATCHES_PER_S
A: Final = weighting_sos("A", RATE_HZ)
C: Final = weighting_sos("C", RATE_HZ)
AGREE_DB: Final = {"levels": 0.01, "bands": 0.3}  # bands lean a little at lower rates


def batches(seconds: int) -> list[Float32]:
    """Return pink-like noise at -20 dBFS in the batches of the pipeline."""
    noise = np.random.default_rng(4).standard_normal(seconds * RATE_HZ)
    pink = signal.lfilter([0.05], [1.0, -0.95], noise) + 0.02 * noise
    return list((0.1 * pink / pink.std()).astype(np.float32).reshape(-1, BATCH))


def our_levels() -> Callable[[Float32], object]:
    """Return the product's level meter."""
    return LevelMeter(RATE_HZ, A, C, BATCH).process


def our_bands() -> Callable[[Float32], object]:
    """Return the product's band meter."""
    return BandMeter(RATE_HZ, band_bank(RATE_HZ), halving_taps(), BATCH).process


class Plain:
    """`sosfilt` for each filter; the mean square of each since the start."""

    def __init__(self, filters: list[Float64]) -> None:
        self._filters = filters
        self._states = [np.zeros((len(sos), 2)) for sos in filters]
        self._energy = np.zeros(len(filters))
        self._n = 0

    def process(self, x: Float32) -> None:
        """Filter one batch and add its energies."""
        for place, sos in enumerate(self._filters):
            y, self._states[place] = signal.sosfilt(sos, x, zi=self._states[place])
            self._energy[place] += float(np.dot(y, y))
        self._n += x.size

    def levels_db(self) -> Float64:
        """Return the levels since the start."""
        db: Float64 = 10.0 * np.log10(self._energy / self._n)
        return db


class PlainLevels(Plain):
    """A, C and Z, the extremes of Fast and Slow, the peak of C."""

    def __init__(self) -> None:
        super().__init__([A, C])
        self._time = list(time_weighting_sos(RATE_HZ))
        self._time_states = [np.zeros((1, 2)) for _ in self._time]
        self.extremes = np.zeros(4)

    def process(self, x: Float32) -> None:
        """Measure one batch."""
        a, self._states[0] = signal.sosfilt(A, x, zi=self._states[0])
        c, self._states[1] = signal.sosfilt(C, x, zi=self._states[1])
        squared = a * a
        self._energy += [float(squared.sum()), float(np.dot(c, c))]
        self._n += x.size
        for place, sos in enumerate(self._time):
            y, self._time_states[place] = signal.sosfilt(sos, squared, zi=self._time_states[place])
            self.extremes[place] = max(self.extremes[place], y.max())
        self.extremes[2] = max(self.extremes[2], np.abs(c).max())
        self.extremes[3] += float(np.dot(x, x))


def plain_bands() -> Plain:
    """Return every band filtered at the captured rate."""
    bands = bands_of(RATE_HZ)
    sections = [band_sos(band.centre_hz, band.per_octave, RATE_HZ) for band in bands]
    return Plain([one[one.any(axis=1)] for one in sections])


def compare(seconds: int, rounds: int = 11) -> dict[str, Any]:
    """Return CPU ms per second of sound of both sides, and how far they agree."""
    sound = batches(seconds)
    agreement = _agree(sound)
    makers: dict[str, Callable[[], Callable[[Float32], object]]] = {
        "ours_levels": our_levels,
        "ours_bands": our_bands,
        "scipy_levels": lambda: PlainLevels().process,
        "scipy_bands": lambda: plain_bands().process,
    }
    hearers = {name: make() for name, make in makers.items()}

    def hear(name: str) -> Callable[[], object]:
        return lambda: [hearers[name](batch) for batch in sound]

    spent = interleave({name: hear(name) for name in hearers}, rounds)
    ours = [sum(pair) for pair in zip(spent["ours_levels"], spent["ours_bands"], strict=True)]
    theirs = [sum(pair) for pair in zip(spent["scipy_levels"], spent["scipy_bands"], strict=True)]
    return {
        f"{name}_ms_per_s": 1e3 * statistics.median(took) / seconds for name, took in spent.items()
    } | {
        "ours_share_of_a_core": statistics.median(ours) / seconds,
        "scipy_share_of_a_core": statistics.median(theirs) / seconds,
        "ratio": ratio(ours, theirs),
        **agreement,
    }


def _agree(sound: list[Float32]) -> dict[str, float]:
    """Compare both sides; raises ValueError if they differ by more than `AGREE_DB`."""
    meter, plain = LevelMeter(RATE_HZ, A, C, BATCH), PlainLevels()
    bands = BandMeter(RATE_HZ, band_bank(RATE_HZ), halving_taps(), BATCH)
    every = plain_bands()
    seconds, measured = [], []
    for batch in sound:
        seconds += meter.process(batch)
        measured += bands.process(batch)
        plain.process(batch)
        every.process(batch)
    measured += bands.flush()
    laeq = 10.0 * np.log10(np.mean([10.0 ** (one.laeq_dbfs / 10.0) for one in seconds]))
    powers = np.mean([10.0 ** (one.levels_dbfs / 10.0) for one in measured], axis=0)
    off = {
        "levels": abs(laeq - plain.levels_db()[0]),
        "bands": float(np.abs(10.0 * np.log10(powers) - every.levels_db()).max()),
    }
    for name, off_db in off.items():
        if off_db > AGREE_DB[name]:
            raise ValueError(f"{name} differ by {off_db:.3f} dB")
    return {f"{name}_differ_db": off_db for name, off_db in off.items()}
