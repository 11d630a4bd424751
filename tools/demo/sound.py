# SPDX-License-Identifier: MIT
"""Where the sound comes from: a card, a named device, or a virtual one that plays something."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from edge.capture import scene
from edge.capture.alsa import pcm_names, probe
from edge.capture.card import read_cards
from edge.capture.devices import list_devices
from edge.capture.replay import ReplaySource
from edge.capture.selection import resolve
from edge.cli.quiet import quiet_stderr
from edge.errors import DeviceError
from edge.types import Gap
from tools.demo.place import CACHE
from tools.lab.microphone import VirtualMicrophone

RATE_HZ: Final = 48000
SCENE_S: Final = 90.0
TAIL_S: Final = 3.0  # a recording's last sounds still need a patch and a hold
BYTES_PER_SAMPLE: Final = 2


@dataclass(frozen=True, slots=True)
class Sound:
    """A microphone as the listener is told of it.

    `device` is the setting, nothing to leave the settings as they are; `seconds` is given
    where the sound ends by itself.
    """

    text: str
    device: str = ""
    seconds: float | None = None
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))


def find_sound(source: str, place: Path, *, configured: bool, repeat: bool) -> Sound:
    """Return the sound that was asked for by `--source`, or the best there is.

    Parameters
    ----------
    configured : the user's settings name a source; it is taken when nothing else was asked for.
    repeat : play recordings for ever.

    Raises `DeviceError` for a device or recording that isn't there or can't be decoded.
    """
    if not source and configured:
        return Sound("as the settings say")
    if not source and (card := _card()):
        return card
    if source in {"", "synth"}:
        why = "" if source else "no sound card here; "
        text = f"{why}a virtual ALSA device plays a synthesised scene"
        return _virtual(text, _scene(), place, repeat=True)
    path = Path(source)
    if path.exists():
        raw = _decode(path, place / "source.raw", 0.0 if repeat else TAIL_S)
        return _virtual(f"a virtual ALSA device plays {path}", raw, place, repeat=repeat)
    if "/" in source or path.suffix:
        raise DeviceError(f"there is no recording {source}", "check the name")
    # The unit would wait for it: who watches wants to know at once.
    with quiet_stderr():
        probe(resolve(source, read_cards(), pcm_names()))
    return Sound(f"ALSA device {source}", source)


def _card() -> Sound | None:
    with quiet_stderr():
        cards = [one for one in list_devices() if one.card_index >= 0]
    return Sound(cards[0].name, cards[0].setting) if cards else None


def _virtual(text: str, raw: Path, place: Path, *, repeat: bool) -> Sound:
    microphone = VirtualMicrophone(place / "microphone", raw, rate_hz=RATE_HZ, loop=repeat)
    seconds = None if repeat else raw.stat().st_size / (BYTES_PER_SAMPLE * RATE_HZ)
    return Sound(text, microphone.name, seconds, microphone.environment())


def _decode(path: Path, raw: Path, tail_s: float) -> Path:
    """Write a recording (or a folder of them) as mono S16_LE at the microphone's rate.

    With a last bit that moves, as that of any microphone does: one that gives zeros is dead.
    """
    noise = np.random.default_rng(0)
    with (
        ReplaySource([path], period_size=4800, pace="fast", rate_hz=RATE_HZ) as source,
        raw.open("wb") as out,
    ):
        while item := source.read():
            if not isinstance(item, Gap):
                mono, dtype = item.samples.mean(axis=1), item.samples.dtype
                out.write(_int16(mono, dtype, noise.integers(-1, 2, len(mono))))
        out.write(noise.integers(-1, 2, round(tail_s * RATE_HZ), np.int16).tobytes())
    return raw


def _int16(mono: np.ndarray, dtype: np.dtype, steps: np.ndarray | int = 0) -> bytes:
    full_scale = 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
    return np.clip(mono * (32767.0 / full_scale) + steps, -32768, 32767).astype("<i2").tobytes()


def _scene() -> Path:
    """Return the scene as a raw file, synthesised once per version of its source."""
    sources = sorted(Path(scene.__file__).parent.glob("**/*.py"))
    version = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:12]
    raw = CACHE / f"scene-{version}.raw"
    if not raw.exists():
        samples, _ = scene.synthesise_scene(SCENE_S, RATE_HZ, seed=0)
        unfinished = raw.with_suffix(f".{os.getpid()}.tmp")
        unfinished.write_bytes(_int16(samples, samples.dtype))
        unfinished.replace(raw)
    return raw
