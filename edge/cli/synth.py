# SPDX-License-Identifier: MIT
"""`edge synth`."""

from __future__ import annotations

from pathlib import Path

import click

from edge.errors import StorageError


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
    import numpy as np
    import soundfile

    from edge.capture.scene import synthesise_scene

    samples, sounds = synthesise_scene(seconds, rate_hz, seed)
    integers = np.round(samples * 32767).astype("<i2")
    try:
        if file.suffix == ".raw":
            file.write_bytes(integers.tobytes())
        else:
            soundfile.write(file, integers, rate_hz, subtype="PCM_16")
    except (OSError, soundfile.LibsndfileError, TypeError, ValueError) as error:
        raise StorageError(
            f"{file} can't be written: {error}", "name a .wav, .flac or .raw"
        ) from error
    for sound in sounds:
        click.echo(f"{sound.onset_s:7.2f} .. {sound.offset_s:7.2f} s  {sound.label}")
