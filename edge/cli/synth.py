# SPDX-License-Identifier: MIT
"""`edge synth`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from edge.errors import StorageError

if TYPE_CHECKING:
    from edge.capture.sound.texture import Signal

CONTAINERS: Final = {".wav": "WAV", ".flac": "FLAC", ".raw": "RAW"}


@click.group()
def synth() -> None:
    """Synthesise test sounds into a file."""


@synth.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--seconds", default=60.0, type=click.FloatRange(5, 3600), show_default=True)
@click.option(
    "--rate", "rate_hz", default=48000, type=click.IntRange(8000, 192000), show_default=True
)
@click.option("--seed", default=0, type=click.IntRange(min=0), show_default=True)
def scene(file: Path, seconds: float, rate_hz: int, seed: int) -> None:
    """Write a scene of rain, clock ticks, helicopter, fire, surf… to FILE (.wav, .flac, .raw).

    A .raw file is S16_LE, mono. What sounds when is printed.
    """
    from edge.capture.scene import synthesise_scene

    if file.suffix not in CONTAINERS:
        raise StorageError(f"{file} has no suffix that is known", "name a .wav, .flac or .raw")
    samples, sounds = synthesise_scene(seconds, rate_hz, seed)
    try:
        file.write_bytes(_encoded(samples, rate_hz, CONTAINERS[file.suffix]))
    except OSError as error:
        raise StorageError(
            f"{file} can't be written: {error.strerror}", "name a file in a folder of yours"
        ) from error
    for sound in sounds:
        click.echo(f"{sound.onset_s:7.2f} .. {sound.offset_s:7.2f} s  {sound.label}")


def _encoded(samples: Signal, rate_hz: int, container: str) -> bytes:
    import numpy as np
    import soundfile

    out = io.BytesIO()
    integers = np.round(samples * 32767).astype("<i2")
    endian = "LITTLE" if container == "RAW" else "FILE"
    soundfile.write(out, integers, rate_hz, "PCM_16", endian, container)
    return out.getvalue()
