# SPDX-License-Identifier: MIT
"""The whole core of a 48 kHz stream: what a period costs the capture thread."""

from __future__ import annotations

import gc
import statistics
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.dsp.bands import BandMeter
from edge.dsp.convert import to_mono
from edge.dsp.filters import BlockFilter
from edge.dsp.levels import LevelMeter
from edge.dsp.logmel import LogMelStream
from edge.dsp.resample import Decimator
from edge.dsp.spec import CoreSpec, LogMelSpec
from edge.model.detector import Detector
from edge.pipeline import BATCHES_PER_S, Pipeline
from edge.service.designs import design
from edge.types import FilterSpec, Period, StreamFormat
from tools.benchmark.stopwatch import cpu_s, percentile

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Int16 = NDArray[np.int16]

RATE_HZ: Final = 48000
PERIOD_SIZE: Final = 1024
BATCH: Final = RATE_HZ // BATCHES_PER_S
FRONT_END: Final = LogMelSpec()
PATCH_HOP: Final = 48
RUNS: Final = 5
CHAIN: Final = (FilterSpec("highpass", 20.0), FilterSpec("peaking", 2000.0, gain_db=3.0))


SPEC: Final = CoreSpec(RATE_HZ, FRONT_END.rate_hz, CHAIN)


def pipeline() -> Pipeline:
    """Return the product's own real-time path."""
    return Pipeline(
        stream=StreamFormat(RATE_HZ, 1, PERIOD_SIZE, "S16_LE"),
        design=design(SPEC),
        front_end=FRONT_END,
        patch_frames=96,
        patch_hop=PATCH_HOP,
        detector=Detector(["sound"], {}, RATE_HZ, "bench"),
    )


def sound(seconds: int) -> Int16:
    """Noise at -30 dBFS that swells, (n_samples, 1) int16."""
    rng = np.random.default_rng(2)
    swell = 1.0 + np.sin(np.arange(seconds * RATE_HZ) / RATE_HZ)
    return (500.0 * swell * rng.standard_normal(swell.size)).astype(np.int16)[:, None]


def periods(samples: Int16, first_index: int = 0) -> list[Period]:
    """Cut a sound into periods as the card would."""
    starts = range(0, len(samples) - PERIOD_SIZE + 1, PERIOD_SIZE)
    return [Period(first_index + s, samples[s : s + PERIOD_SIZE], 0.0) for s in starts]


def measure(seconds: int) -> dict[str, object]:
    """Return the core's share of one core, its period's CPU time, and what its parts cost.

    The same sound is heard several times; a period's time is the median of its runs. What a
    shared machine takes away in one of them (it counts as CPU time in a virtual machine) is
    no cost of the period; `raw_p999_us`, that of a single run (the median one), and `worst_us`,
    the dearest period of all runs, hold it all the same.
    """
    stream = periods(sound(seconds))
    runs_s = np.array([_run(stream) for _ in range(RUNS)])
    heard_s = len(stream) * PERIOD_SIZE / RATE_HZ
    period_us = sorted((1e6 * np.median(runs_s, axis=0)).tolist())
    return {
        "cpu_share": statistics.median(runs_s.sum(axis=1).tolist()) / heard_s,
        "p50_us": percentile(period_us, 0.5),
        "p999_us": percentile(period_us, 0.999),
        "max_us": period_us[-1],
        "raw_p999_us": statistics.median(
            percentile(sorted((1e6 * run).tolist()), 0.999) for run in runs_s
        ),
        "worst_us": float(1e6 * runs_s.max()),
        "periods": len(stream),
        "parts": parts(),
    }


def _run(stream: list[Period]) -> list[float]:
    """Return the CPU seconds of each period, from a fresh pipeline on."""
    path, spent_s = pipeline(), []
    gc.collect()
    gc.freeze()  # as the listener does
    for period in stream:
        start = time.thread_time()
        path.process(period)
        spent_s.append(time.thread_time() - start)
    return spent_s


def parts() -> dict[str, float]:
    """Return the CPU ms per second of sound of each step, on the batches that it gets."""
    raw = sound(1)[:BATCH]
    designed, mono = design(SPEC), np.zeros(BATCH, np.float32)
    samples = to_mono(raw, 0, 1.0, mono)[0].copy()
    chain = BlockFilter(designed.chain_sos, BATCH)
    meter = LevelMeter(RATE_HZ, designed.a_sos, designed.c_sos, BATCH)
    bands = BandMeter(RATE_HZ, designed.bands_sos, designed.halving_taps, BATCH)
    decimator = Decimator(designed.decimation_taps, RATE_HZ // FRONT_END.rate_hz, BATCH)
    patch = np.resize(samples, PATCH_HOP * FRONT_END.hop_length)
    log_mel = LogMelStream(FRONT_END, patch.size)
    patches_per_s = FRONT_END.rate_hz / patch.size
    steps: dict[str, tuple[float, Callable[[], object]]] = {
        "convert": (BATCHES_PER_S, lambda: to_mono(raw, 0, 1.0, mono)),
        "filters": (BATCHES_PER_S, lambda: chain.process(samples)),
        "levels": (BATCHES_PER_S, lambda: meter.process(samples)),
        "bands": (BATCHES_PER_S, lambda: bands.process(samples)),
        "decimate": (BATCHES_PER_S, lambda: decimator.process(samples)),
        "log_mel": (patches_per_s, lambda: log_mel.process(patch)),
    }
    return {
        f"{name}_ms_per_s": 1e3 * per_s * statistics.median(cpu_s(work) for _ in range(300))
        for name, (per_s, work) in steps.items()
    }
