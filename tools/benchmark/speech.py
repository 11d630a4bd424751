# SPDX-License-Identifier: MIT
"""How well the speech veto works: voices under and over other sounds, and those sounds alone."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import soundfile
import soxr

from edge.config.load import load_defaults
from edge.model.voice import RATE_HZ
from edge.record.history import Stretch
from edge.service.speech import VoiceJudge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

DATA: Final = Path(__file__).parents[3] / "shared/data"
MODEL: Final = DATA / "models/silero_vad.onnx"
SNR_DB: Final = (-10, -5, 0, 5, 10, 20)
VOICES: Final = "field/*-0000.ogg"
SOUNDS: Final = DATA / "esc10-dev"
PEAK: Final = 0.98


def measure(clips: int) -> dict[str, Any]:
    """Return the share of clips that are stopped: with speech by level, without it by class.

    Each of `clips` recordings is heard alone, and with a stretch of another voice mixed in at
    each ratio: power of the whole stretch of speech, its pauses too, to that of the sound.
    """
    random = np.random.default_rng(0)
    judge = _judge()
    voices = [_read(path) for path in sorted(DATA.glob(VOICES))]
    stopped: dict[int, list[bool]] = defaultdict(list)
    lost: dict[str, list[bool]] = defaultdict(list)
    for number, (label, sound) in enumerate(_sounds(clips, random)):
        lost[label].append(judge(_stretch(sound)).spoken)
        voice = _part(voices[number % len(voices)], len(sound), random)
        for snr_db in SNR_DB:
            stopped[snr_db].append(judge(_stretch(_mix(sound, voice, snr_db))).spoken)
    shares = {label: float(np.mean(outcomes)) for label, outcomes in sorted(lost.items())}
    return {
        "clips": sum(map(len, lost.values())),
        "voices": len(voices),
        "speech_stopped": {str(snr_db): float(np.mean(all_)) for snr_db, all_ in stopped.items()},
        "others_lost": float(np.mean([one for outcomes in lost.values() for one in outcomes])),
        "others_lost_by_class": {label: share for label, share in shares.items() if share},
    }


def _judge() -> VoiceJudge:
    """Return the judge as the settings make it."""
    speech = load_defaults().speech
    return VoiceJudge(
        MODEL,
        rate_hz=RATE_HZ,
        taps=np.zeros(0),
        threshold=speech.threshold,
        min_s=speech.min_s,
    )


def _sounds(clips: int, random: np.random.Generator) -> list[tuple[str, Sound]]:
    """Return recordings of all classes alike, chosen by chance."""
    by_label = defaultdict(list)
    with (SOUNDS / "meta.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            by_label[row["class"]].append(row["flac"])
    each = max(clips // len(by_label), 1)
    return [
        (label, _read(SOUNDS / "audio" / name))
        for label, names in sorted(by_label.items())
        for name in random.permutation(names)[:each]
    ]


def _read(path: Path) -> Sound:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ), np.float32)


def _part(voice: Sound, n: int, random: np.random.Generator) -> Sound:
    at = random.integers(0, max(len(voice) - n, 1))
    return voice[at : at + n]


def _mix(sound: Sound, voice: Sound, snr_db: float) -> Sound:
    gain = np.sqrt(np.mean(sound**2) / np.mean(voice**2)) * 10 ** (snr_db / 20)
    mixed = sound.copy()
    mixed[: len(voice)] += np.float32(gain) * voice
    return mixed * np.float32(min(PEAK / np.abs(mixed).max(), 1.0))


def _stretch(sound: Sound) -> Stretch:
    return Stretch(0, np.round(sound * 32767).astype(np.int16)[:, None], ())
