# SPDX-License-Identifier: MIT
"""Wanted sounds in noise: recordings and synthesised noises, mixed at known ratios."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import soundfile
import soxr
from scipy import signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

DATA: Final = Path(__file__).parents[3] / "shared/data"
RATE_HZ: Final = 16000
LEAD_S: Final = 4.0  # of noise alone, before the sound
TAIL_S: Final = 2.0  # ... and after it
SETTLED_S: Final = 2.0  # of the lead, in which a noise may be learnt
MARGIN_S: Final = 0.1  # of a pause, on the side of the sound
SPEECH_S: Final = 12.0
EVENTS: Final = (
    *("dog_bark", "baby_cry", "rooster", "person_sneeze", "clock_tick", "fire_crackling"),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """A sound and a noise at their ratio, float64, as long as each other."""

    sound: Float64
    noise: Float64
    sounding: slice

    def mixed(self) -> Float32:
        """Return both together."""
        return (self.sound + self.noise).astype(np.float32)

    def pauses(self) -> Float64:
        """Return which samples hold noise alone, (n,) bool."""
        margin = int(MARGIN_S * RATE_HZ)
        alone = np.zeros(self.noise.size, bool)
        alone[int(SETTLED_S * RATE_HZ) : self.sounding.start - margin] = True
        alone[self.sounding.stop + margin :] = True
        return alone


def scene(sound: Float32, noise: Float64, snr_db: float, lead_s: float = LEAD_S) -> Scene:
    """Mix: the ratio is that of the powers while the sound lasts, its own pauses too."""
    lead = int(lead_s * RATE_HZ)
    sounding = slice(lead, lead + sound.size)
    wanted = np.zeros(lead + sound.size + int(TAIL_S * RATE_HZ))
    wanted[sounding] = sound
    unwanted = noise[: wanted.size]
    ratio = np.mean(wanted[sounding] ** 2) / np.mean(unwanted[sounding] ** 2)
    unwanted = unwanted * np.sqrt(ratio) * 10.0 ** (-snr_db / 20.0)
    scale = 0.5 / np.abs(wanted + unwanted).max()
    return Scene(wanted * scale, unwanted * scale, sounding)


def wanted_sounds() -> dict[str, Float32]:
    """Return 12 s of three speakers, and two clips of each event, a second apart."""
    n = int(SPEECH_S * RATE_HZ)
    voices = {name: voice[:n] for name, voice in _voices().items()}
    return voices | {event: _events(event, slice(0, 2)) for event in EVENTS}


def unseen_sounds() -> dict[str, Float32]:
    """Return other words of the speakers and other clips, which no constant was chosen by."""
    n = int(SPEECH_S * RATE_HZ)
    voices = {name: voice[-n // 3 :] for name, voice in _voices().items()}
    return voices | {event: _events(event, slice(6, 8)) for event in EVENTS}


def _voices() -> dict[str, Float32]:
    speakers = sorted((DATA / "field").glob("*-0000.ogg"))
    return {f"speech_{number}": read(path) for number, path in enumerate(speakers, start=1)}


def _events(label: str, which: slice) -> Float32:
    pause = np.zeros(RATE_HZ, np.float32)
    clips = [read(path) for path in esc10(label)[which]]
    evened = [0.5 * clip / np.abs(clip).max() for clip in clips]
    return np.concatenate([part for clip in evened for part in (clip, pause)])


def noises(seconds: float) -> dict[str, Float64]:
    """Return rain and an engine as recorded (repeated), a fan, a hum and pink noise."""
    n = int(seconds * RATE_HZ)
    random = np.random.default_rng(0)
    return {
        "rain": _repeated(read(esc10("rain")[3]), n),
        "engine": _repeated(read(DATA / "field-dev/audio/engine-fs345558_7f6e7.flac"), n),
        "fan": _fan(n, random),
        "hum": _hum(n, random),
        "pink": _pink(n, random),
    }


def unseen_noises(seconds: float) -> dict[str, Float64]:
    """Return other recordings of rain and engines, which no constant was chosen by."""
    n = int(seconds * RATE_HZ)
    field = DATA / "field-dev/audio"
    recordings = {
        "drops": esc10("rain")[11],
        "rain with drops": esc10("rain")[17],
        "motor": field / "engine-fs370189_e3479.flac",
        "compressor": field / "machine_hum-fs376927_cd0d3.flac",
        "helicopter": esc10("helicopter")[5],
    }
    return {name: _repeated(read(path), n) for name, path in recordings.items()}


def esc10(label: str) -> list[Path]:
    """Return the recordings of a class, in the order of the list."""
    return [DATA / "esc10-dev/audio" / row["flac"] for row in esc10_rows() if row["class"] == label]


def esc10_rows() -> Iterator[dict[str, str]]:
    """Give each line of ESC-10's list."""
    with (DATA / "esc10-dev/meta.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def read(path: Path) -> Float32:
    """Return a recording, mono, at 16 kHz."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ), np.float32)


def _repeated(x: Float32, n: int) -> Float64:
    """Repeat a recording with crossfades of 0.1 s that keep the power."""
    fade = RATE_HZ // 10
    up = np.sqrt(np.linspace(0.0, 1.0, fade))
    out = x.astype(np.float64)
    while out.size < n:
        crossed = out[-fade:] * up[::-1] + x[:fade] * up
        out = np.concatenate([out[:-fade], crossed, x[fade:]])
    return out[:n]


def _fan(n: int, random: np.random.Generator) -> Float64:
    """Air (falling by 6 dB per octave over 400 Hz) that beats at 29 Hz, and blades at 203 Hz."""
    t = np.arange(n) / RATE_HZ
    b, a = signal.butter(1, 400, fs=RATE_HZ)
    air = signal.lfilter(b, a, random.standard_normal(n))
    air *= (1.0 + 0.1 * np.sin(2 * np.pi * 29 * t)) / air.std()
    blades = ((29, 0.3), (203, 0.4), (406, 0.25), (609, 0.1))
    tones = [
        gain * np.sin(2 * np.pi * freq_hz * t + random.uniform(0, 6)) for freq_hz, gain in blades
    ]
    return np.asarray(air + sum(tones), np.float64)


def _hum(n: int, random: np.random.Generator) -> Float64:
    """Mains at 50 Hz with harmonics up to 600 Hz, over faint hiss."""
    t = np.arange(n) / RATE_HZ
    parts = ((1, 0.5), (2, 1), (3, 0.35), (4, 0.4), (6, 0.25), (8, 0.12), (10, 0.1), (12, 0.06))
    lines = [gain * np.sin(2 * np.pi * 50 * k * t + random.uniform(0, 6)) for k, gain in parts]
    return np.asarray(sum(lines) + 0.03 * random.standard_normal(n), np.float64)


def _pink(n: int, random: np.random.Generator) -> Float64:
    spectrum = np.fft.rfft(random.standard_normal(n))
    freqs_hz = np.maximum(np.fft.rfftfreq(n, 1 / RATE_HZ), 20.0)
    return np.fft.irfft(spectrum / np.sqrt(freqs_hz), n)
