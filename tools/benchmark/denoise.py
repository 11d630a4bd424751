# SPDX-License-Identifier: MIT
"""What noise reduction does to noise and to sound, beside others, and what it costs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.dsp.clean_spec import LINE, AdaptiveSpec, NoiseSpec
from tools.benchmark.denoisers import PEERS, SIDES, stream
from tools.benchmark.scenes import (
    RATE_HZ,
    Scene,
    noises,
    scene,
    unseen_noises,
    unseen_sounds,
    wanted_sounds,
)
from tools.benchmark.stopwatch import interleave

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

SNR_DB: Final = (-5, 0, 5, 10, 20)
PEER_SNR_DB: Final = (0, 20)
VOICES: Final = ("speech_1", "speech_2", "speech_3")
LINE_LEAD_S: Final = 12.0
PATH_TAPS: Final = 800  # 50 ms of a room
LONGEST_LAG: Final = 2000
ADAPTIVE: Final = {
    "frequency": AdaptiveSpec(),
    "nlms": AdaptiveSpec(method="nlms"),
}


def si_sdr_db(wanted: Float64, heard: Float64) -> float:
    """Return the scale-invariant ratio of signal to distortion.

    Source: J. Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.
    """
    wanted = wanted - wanted.mean()
    heard = heard - heard.mean()
    part = wanted * (np.dot(heard, wanted) / np.dot(wanted, wanted))
    return float(10.0 * np.log10(np.sum(part**2) / np.sum((heard - part) ** 2)))


def spectral() -> dict[str, Any]:
    """Return each side's figures by noise and ratio, over all wanted sounds."""
    sounds, unwanted = wanted_sounds(), noises(25.0)
    rows: dict[str, Any] = {}
    for side in SIDES:
        rows |= _rows(side, sounds, unwanted, SNR_DB if side == "ours" else PEER_SNR_DB)
    return rows


def unseen() -> dict[str, Any]:
    """Return our figures for sounds and noises that no constant was chosen by."""
    return _rows("ours", unseen_sounds(), unseen_noises(25.0), PEER_SNR_DB)


def _rows(
    side: str, sounds: dict[str, Float32], unwanted: dict[str, Float64], ratios: tuple[int, ...]
) -> dict[str, Any]:
    rows = {}
    for name, noise in unwanted.items():
        for snr_db in ratios:
            outcomes = {
                sound: _outcome(scene(samples, noise, snr_db), SIDES[side], late=side in PEERS)
                for sound, samples in sounds.items()
            }
            rows[f"{side}/{name}/{snr_db}"] = _summary(outcomes)
    return rows


def _outcome(
    mixture: Scene, reduce: Callable[[Float32], Float32], *, late: bool = False
) -> tuple[float, float]:
    """Return the change of SI-SDR, and by how much noise alone is lowered, both in dB.

    Output k of ours must be input k; a peer may be `late`, and is not blamed for it.
    """
    mixed = mixture.mixed()
    heard = reduce(mixed)
    if late:
        heard = _aligned(mixed, heard)
    at, alone = mixture.sounding, mixture.pauses()
    change = si_sdr_db(mixture.sound[at], heard[at].astype(np.float64)) - si_sdr_db(
        mixture.sound[at], mixed[at].astype(np.float64)
    )
    lowered = np.mean(mixed[alone] ** 2.0) / max(np.mean(heard[alone] ** 2.0), 1e-12)
    return change, float(10.0 * np.log10(lowered))


def _aligned(mixed: Float32, heard: Float32) -> Float32:
    """Take a peer's delay out: where its output resembles the input most."""
    n = 1 << (2 * mixed.size).bit_length()
    resemblance = np.fft.irfft(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(mixed, n)), n)
    lag = int(np.argmax(resemblance[:LONGEST_LAG]))
    out = np.zeros_like(mixed)
    out[: mixed.size - lag] = heard[lag:]
    return out


def _summary(outcomes: dict[str, tuple[float, float]]) -> dict[str, Any]:
    changes = {sound: change for sound, (change, _) in outcomes.items()}
    worst = min(changes, key=lambda sound: changes[sound])
    return {
        "si_sdr_change_db": statistics.mean(changes.values()),
        "worst_db": changes[worst],
        "worst": worst,
        "pauses_lowered_db": statistics.mean(lowered for _, lowered in outcomes.values()),
        "by_sound_db": changes,
    }


def adaptive() -> dict[str, dict[str, float]]:
    """Return how much of a reference through a room is gone in the third second.

    With "talk": the same with speech at 0 dB over it, of which nothing may be taken; there
    the residue is what the output differs from the speech by, from the third second on.
    """
    random = np.random.default_rng(1)
    path = random.standard_normal(PATH_TAPS) * np.exp(-6.0 * np.arange(PATH_TAPS) / PATH_TAPS)
    voice = wanted_sounds()["speech_1"]
    rows: dict[str, dict[str, float]] = defaultdict(dict)
    for name, noise in noises(10.0).items():
        source = (0.1 * noise / noise.std()).astype(np.float32)
        arrived = np.convolve(source, path / np.linalg.norm(path))[: source.size]
        arrived = arrived.astype(np.float32)
        talk = voice[: source.size] * np.float32(arrived.std() / voice.std())
        after = slice(2 * RATE_HZ, None)
        for method, spec in ADAPTIVE.items():
            residue = stream(arrived, source, RATE_HZ, spec, None)
            third = slice(2 * RATE_HZ, 3 * RATE_HZ)
            rows[method][name] = _lowered_db(arrived[third], residue[third])
            heard = stream(arrived + talk, source, RATE_HZ, spec, None)
            rows[f"{method}, talk"][name] = _lowered_db(arrived[after], (heard - talk)[after])
    return rows


def line() -> dict[str, dict[str, float]]:
    """Return what the line enhancer does to a hum in speech after 12 s, by ratio."""
    hum = noises(LINE_LEAD_S + 15.0)["hum"]
    rows: dict[str, dict[str, float]] = {}
    sounds = wanted_sounds()
    for snr_db in SNR_DB:
        outcomes = {}
        for sound in VOICES:
            mixture = scene(sounds[sound], hum, snr_db, LINE_LEAD_S)
            outcomes[sound] = _outcome(mixture, lambda x: stream(x, None, RATE_HZ, LINE, None))
        changes = [change for change, _ in outcomes.values()]
        rows[str(snr_db)] = {
            "si_sdr_change_db": statistics.mean(changes),
            "worst_db": min(changes),
        }
    return rows


def cost(seconds: int = 5, rounds: int = 7) -> dict[str, float]:
    """Return CPU ms per second of sound; ours in the pipeline's batches."""
    sides: dict[str, Callable[[], object]] = {}
    random = np.random.default_rng(2)
    at_16k = (0.1 * random.standard_normal(seconds * RATE_HZ)).astype(np.float32)
    at_48k = (0.1 * random.standard_normal(seconds * 48000)).astype(np.float32)
    for name, reduce in SIDES.items():
        sides[f"{name}, 16 kHz"] = lambda reduce=reduce: reduce(at_16k)  # type: ignore[misc]
    short = AdaptiveSpec(method="nlms", length_s=256 / RATE_HZ)
    for rate_hz, x in ((RATE_HZ, at_16k), (48000, at_48k)):
        for name, spec, noise in (
            ("frequency 64 ms", AdaptiveSpec(), None),
            ("nlms 16 ms", short, None),
            ("line", LINE, None),
            ("spectral", None, NoiseSpec()),
        ):
            reference = x if spec and spec.method != "line" else None
            sides[f"{name}, {rate_hz // 1000} kHz"] = (
                lambda x=x, r=reference, rate=rate_hz, spec=spec, noise=noise: stream(  # type: ignore[misc]
                    x, r, rate, spec, noise
                )
            )
    spent = interleave(sides, rounds)
    return {name: 1e3 * statistics.median(took) / seconds for name, took in spent.items()}


def _lowered_db(before: Float32, after: Float32) -> float:
    return float(10.0 * np.log10(np.mean(before**2.0) / np.mean(after**2.0)))
