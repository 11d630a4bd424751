# SPDX-License-Identifier: MIT
"""Log-Mel, ours against the others, and the check that all compute the same thing."""

from __future__ import annotations

import statistics
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.dsp.logmel import log_mel
from tools.benchmark.sides import SPEC, CFloor, Kaldi, Librosa, Naive, Ours
from tools.benchmark.stopwatch import interleave, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

PERIODS: Final = (160, 512, 1024)
ROUNDS: Final = 21
# The naive reference is so slow that a part of the minute must do.
NAIVE_SHARE: Final = 30
# Kaldi is measured in all four ways; the fastest of them is what `vs_kaldi` compares with.
KALDI_FEEDS: Final = ("list", "array")
KALDI_READS: Final = ("patch", "frame")


def minute(seconds: int) -> Float32:
    """Noise of changing loudness under a sweep, 16 kHz."""
    n_samples = seconds * SPEC.rate_hz
    time_s = np.arange(n_samples) / SPEC.rate_hz
    loudness = 10.0 ** (np.sin(0.7 * time_s) - 2.0)
    white = np.random.default_rng(1).standard_normal(n_samples)
    return (loudness * white + 0.05 * np.sin(2000.0 * time_s**1.2)).astype(np.float32)


def compare(seconds: int) -> dict[str, dict[str, float]]:
    """Return, per period size, CPU ms per second of each side and our ratio to it.

    Raises `RuntimeError` when two sides don't agree about the sound.
    """
    samples = minute(seconds)
    return {str(period): _compare(samples, period) for period in PERIODS}


def _compare(samples: Float32, period: int) -> dict[str, float]:
    part = samples[: len(samples) // NAIVE_SHARE]
    floor, ours = CFloor(period), Ours(period)
    kaldi = {
        f"kaldi_{feed}_{read}": Kaldi(period, by_list=feed == "list", batched=read == "patch")
        for feed in KALDI_FEEDS
        for read in KALDI_READS
    }
    naive, librosa = Naive(period), Librosa()
    check(samples[: 2 * SPEC.rate_hz], floor, ours, kaldi["kaldi_list_patch"])
    spent = interleave(
        {
            "c_floor": lambda: floor.run(samples),
            "ours": lambda: ours.run(samples),
            **{way: partial(side.run, samples) for way, side in kaldi.items()},
            "librosa_minute": lambda: librosa.run(samples),
            "naive": lambda: naive.run(part),
        },
        ROUNDS,
    )
    spent["naive"] = [s * len(samples) / len(part) for s in spent["naive"]]
    for feed in KALDI_FEEDS:
        ways = [spent.pop(f"kaldi_{feed}_{read}") for read in KALDI_READS]
        spent[f"kaldi_{feed}"] = min(ways, key=statistics.median)
    spent["kaldi"] = min((spent[f"kaldi_{feed}"] for feed in KALDI_FEEDS), key=statistics.median)
    seconds = len(samples) / SPEC.rate_hz
    row = {f"{side}_ms_per_s": 1e3 * statistics.median(s) / seconds for side, s in spent.items()}
    for side, theirs in spent.items():
        if side != "ours":
            row[f"vs_{side}"] = ratio(spent["ours"], theirs)
    return row


def check(samples: Float32, floor: CFloor, ours: Ours, kaldi: Kaldi) -> None:
    """Compare the frames of all that compute the same thing."""
    got = np.concatenate(ours.run(samples))
    _agree("the C loop", got, floor.frames(samples), 1e-3)
    # Kaldi's Hann window is symmetric and its logarithm has no offset.
    symmetric = log_mel(samples, replace(SPEC, window="hann_symmetric", offset=1e-12))
    _agree("kaldi-native-fbank", symmetric, np.concatenate(kaldi.run(samples)), 1e-2)


def _agree(who: str, got: Float32, theirs: Float32, tolerance: float) -> None:
    n_frames = min(len(got), len(theirs))
    off = float(np.abs(got[:n_frames] - theirs[:n_frames]).max())
    if n_frames == 0 or not off < tolerance:
        raise RuntimeError(f"{who} computes something else: {off:g} apart in {n_frames} frames")
