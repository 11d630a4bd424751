# SPDX-License-Identifier: MIT
"""The idle-time analysis against the plain librosa calls that give the same figures."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tracemalloc
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.analysis.components import factorise
from edge.analysis.constantq import Halvings, plan
from edge.analysis.segment import Options, analyse_segment
from edge.analysis.separation import hpss, medians
from edge.analysis.spectrum import geometry, stft
from tools.benchmark.stopwatch import interleave, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Side = Callable[[], object]

RATE_HZ: Final = 22050
HOP_LENGTH: Final = 512
SECONDS: Final = 10
RANK: Final = 4
ROUNDS: Final = 11
PARTS: Final = ("hpss", "medians", "cqt", "vqt", "nmf", "report", "report_with_stems")

# What a process pays that makes its first report: run in one of its own, for each side.
FIRST: Final = """
import json, time
start_s = time.perf_counter()
from tools.benchmark import analysis
samples = analysis.clip()
sides = {"ours": analysis.report, "theirs": analysis.plain_report}
sides["SIDE"](samples, stems=True)
first_s = time.perf_counter() - start_s
sides["SIDE"](samples, stems=True)
again_s = time.perf_counter() - start_s - first_s
print(json.dumps({"first_s": first_s, "again_s": again_s, "peak_mb": analysis.peak_rss_mb()}))
"""


def clip() -> Float32:
    """Ten seconds at 22.05 kHz: a chord that glides, ticks, and noise that comes and goes."""
    time_s = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    noise = np.random.default_rng(1).standard_normal(time_s.size)
    samples = 0.02 * (1.0 + np.sin(time_s)) * noise
    for partial_hz in (220.0, 277.2, 329.6, 1760.0):
        samples += 0.05 * np.sin(2.0 * np.pi * partial_hz * (time_s + 0.002 * time_s**2))
    samples[:: RATE_HZ // 2] += 0.8
    return samples.astype(np.float32)


def compare() -> dict[str, dict[str, float]]:
    """Return for each part our CPU milliseconds, theirs, and our ratio to theirs.

    Raises `RuntimeError` when the two sides don't agree about the clip.
    """
    samples = clip()
    check(samples)
    ours, theirs = _ours(samples), _theirs(samples)
    sides = {f"{part} ours": ours[part] for part in PARTS}
    sides |= {f"{part} theirs": theirs[part] for part in PARTS}
    spent = interleave(sides, ROUNDS)
    return {
        part: {
            "ours_ms": 1e3 * statistics.median(spent[f"{part} ours"]),
            "theirs_ms": 1e3 * statistics.median(spent[f"{part} theirs"]),
            "ratio": ratio(spent[f"{part} ours"], spent[f"{part} theirs"]),
        }
        for part in PARTS
    }


def check(samples: Float32) -> None:
    """Compare what both sides compute."""
    ours, theirs = _ours(samples), _theirs(samples)
    for part, tolerance in (("hpss", 1e-5), ("medians", 0.0), ("cqt", 1e-5), ("vqt", 1e-5)):
        pairs = zip(_arrays(ours[part]()), _arrays(theirs[part]()), strict=True)
        off = max(float(np.abs(a - b).max()) for a, b in pairs)
        if not off <= tolerance:
            raise RuntimeError(f"{part}: {off:g} apart")


def first() -> dict[str, dict[str, float]]:
    """Return, per side, wall seconds of a first report with all imports and of another; memory."""
    return {side: _in_a_process(FIRST.replace("SIDE", side)) for side in ("ours", "theirs")}


def memory() -> dict[str, float]:
    """Return the peak of what a warm report allocates (tracemalloc), in MB, by length."""
    peaks = {}
    for seconds in (SECONDS, 6 * SECONDS):
        samples = np.tile(clip(), seconds // SECONDS)
        report(samples, stems=True)
        tracemalloc.start()
        report(samples, stems=True)
        peaks[f"{seconds}_s_mb"] = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
    return peaks


def peak_rss_mb() -> float:
    """Return the most memory that this process has held, in MB."""
    # Not `getrusage`: its figure begins with that of the process that started this one.
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024.0
    raise RuntimeError("/proc/self/status has no VmHWM")


def report(samples: Float32, *, stems: bool) -> object:
    """Make a whole report, ours."""
    return analyse_segment(samples, RATE_HZ, Options(n_components=RANK, stems=stems))


def plain_report(samples: Float32, *, stems: bool) -> object:
    """Call librosa as its documentation shows for what a report holds.

    The spectrum is shared where librosa takes one, and only what we also give is asked
    for. The tones (`piptrack` gives less than ours) are left out: that is to their favour.
    """
    import librosa

    spectrum = librosa.stft(samples)
    magnitude = np.abs(spectrum)
    power = magnitude**2
    log_mel = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=RATE_HZ))
    strength = librosa.onset.onset_strength(S=log_mel, sr=RATE_HZ)
    feature = librosa.feature
    return (
        librosa.effects.hpss(samples) if stems else None,
        librosa.decompose.hpss(magnitude, mask=True, margin=2.0),
        np.abs(librosa.cqt(samples, sr=RATE_HZ)),
        np.abs(librosa.vqt(samples, sr=RATE_HZ)),
        librosa.onset.onset_detect(onset_envelope=strength, sr=RATE_HZ),
        librosa.autocorrelate(strength),
        _peer_factors(magnitude),
        feature.spectral_centroid(S=magnitude, sr=RATE_HZ),
        feature.spectral_bandwidth(S=magnitude, sr=RATE_HZ),
        feature.spectral_rolloff(S=magnitude, sr=RATE_HZ),
        feature.spectral_flatness(S=magnitude),
        feature.rms(S=magnitude),
    )


def _ours(samples: Float32) -> dict[str, Side]:
    magnitude = np.abs(stft(samples, geometry(RATE_HZ)))
    return {
        "hpss": partial(hpss, samples, RATE_HZ),
        "medians": partial(medians, magnitude),
        "cqt": lambda: plan(RATE_HZ, HOP_LENGTH, "constant").transform(Halvings(samples)),
        "vqt": lambda: plan(RATE_HZ, HOP_LENGTH, "variable").transform(Halvings(samples)),
        "nmf": partial(factorise, magnitude, RANK),
        "report": partial(report, samples, stems=False),
        "report_with_stems": partial(report, samples, stems=True),
    }


def _theirs(samples: Float32) -> dict[str, Side]:
    import librosa
    from scipy import ndimage

    # Of the same spectrum, in their order of axes: the medians must be equal to the bit.
    magnitude = np.ascontiguousarray(np.abs(stft(samples, geometry(RATE_HZ))).T)
    return {
        "hpss": partial(librosa.effects.hpss, samples),
        "medians": lambda: tuple(
            ndimage.median_filter(magnitude, size=size).T for size in ((1, 31), (31, 1))
        ),
        "cqt": lambda: librosa.cqt(samples, sr=RATE_HZ).T,
        "vqt": lambda: librosa.vqt(samples, sr=RATE_HZ).T,
        "nmf": partial(_peer_factors, magnitude),
        "report": partial(plain_report, samples, stems=False),
        "report_with_stems": partial(plain_report, samples, stems=True),
    }


def _peer_factors(magnitude: Float32) -> object:
    import librosa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 200 iterations may not be enough, it says
        return librosa.decompose.decompose(magnitude, n_components=RANK)


def _arrays(value: Any) -> tuple[NDArray[Any], ...]:  # noqa: ANN401 - of either library
    return value if isinstance(value, tuple) else (value,)


def _in_a_process(program: str) -> dict[str, float]:
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    figures: dict[str, float] = json.loads(run.stdout)
    return figures
