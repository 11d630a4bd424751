# SPDX-License-Identifier: MIT
"""`edge synth`."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import click

from edge.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.capture.generator import Signal

F = TypeVar("F", bound="Callable[..., object]")

CONTAINERS: Final = {".wav": "WAV", ".flac": "FLAC", ".raw": "RAW"}
SINE_DB: Final = 20 * math.log10(math.sqrt(2))  # of a sine: peak over RMS
FADE_S: Final = 0.01

rate_option = click.option(
    "--rate", "rate_hz", default=48000, type=click.IntRange(8000, 192000), show_default=True
)
frequency = click.FloatRange(1, 96000)


def signal_options(command: F) -> F:
    """Add what all signals have: where to, how long, how loud."""
    options = (
        click.argument("file", required=False, type=click.Path(path_type=Path)),
        click.option(
            "--play",
            "device",
            is_flag=False,
            flag_value="default",
            metavar="[DEVICE]",
            help="Play it.  [DEVICE: as ALSA names it; default]",
        ),
        click.option(
            "--seconds", default=10.0, type=click.FloatRange(0.01, 3600), show_default=True
        ),
        rate_option,
        click.option(
            "--level",
            "level_dbfs",
            default=-20.0,
            type=click.FloatRange(-120, 0),
            show_default=True,
            help="RMS in dBFS; of bursts and alarms that of the steady tone. A sine: -3 at most.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def synth() -> None:
    """Synthesise test sounds into a file, or play them."""


@synth.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--seconds", default=60.0, type=click.FloatRange(5, 3600), show_default=True)
@rate_option
@click.option("--seed", default=0, type=click.IntRange(min=0), show_default=True)
def scene(file: Path, seconds: float, rate_hz: int, seed: int) -> None:
    """Write a scene of rain, clock ticks, helicopter, fire, surf… to FILE (.wav, .flac, .raw).

    A .raw file is S16_LE, mono. What sounds when is printed.
    """
    from edge.capture.scene import synthesise_scene

    _check(file)
    samples, sounds = synthesise_scene(seconds, rate_hz, seed)
    _write(file, samples, rate_hz, "PCM_16")
    for sound in sounds:
        click.echo(f"{sound.onset_s:7.2f} .. {sound.offset_s:7.2f} s  {sound.label}")


@synth.command()
@signal_options
@click.option("--freq", "freq_hz", default=1000.0, type=frequency, show_default=True)
def tone(
    *,
    file: Path | None,
    device: str | None,
    seconds: float,
    rate_hz: int,
    level_dbfs: float,
    freq_hz: float,
) -> None:
    """Make a sine; as it is, 1 kHz, a calibrator's.

    Into FILE (.wav and .flac 24 bit, .raw S16_LE, mono), or to be heard: `--play`.
    """
    from edge.capture import generator

    _below_half(freq_hz, rate_hz)
    sine = generator.tone(
        _n(seconds, rate_hz), rate_hz, freq_hz=freq_hz, level_dbfs=level_dbfs + SINE_DB
    )
    _deliver(generator.faded(sine, rate_hz, FADE_S), rate_hz, file, device)


@synth.command()
@signal_options
@click.option("--from", "low_hz", default=20.0, type=frequency, show_default=True)
@click.option("--to", "high_hz", type=frequency, help="[default: 0.45 of the rate]")
def sweep(
    *,
    file: Path | None,
    device: str | None,
    seconds: float,
    rate_hz: int,
    level_dbfs: float,
    low_hz: float,
    high_hz: float | None,
) -> None:
    """Make an exponential sine sweep: each octave takes as long as any other."""
    from edge.capture import generator

    high_hz = high_hz or 0.45 * rate_hz
    _below_half(high_hz, rate_hz)
    if low_hz >= high_hz:
        raise click.UsageError(f"--from {low_hz:g} is not below --to {high_hz:g}")
    made = generator.sweep(
        _n(seconds, rate_hz),
        rate_hz,
        low_hz=low_hz,
        high_hz=high_hz,
        level_dbfs=level_dbfs + SINE_DB,
    )
    _deliver(generator.faded(made, rate_hz, FADE_S), rate_hz, file, device)


@synth.command()
@signal_options
@click.option("--colour", default="pink", type=click.Choice(["white", "pink"]), show_default=True)
@click.option("--seed", default=0, type=click.IntRange(min=0), show_default=True)
def noise(
    *,
    file: Path | None,
    device: str | None,
    seconds: float,
    rate_hz: int,
    level_dbfs: float,
    colour: Literal["white", "pink"],
    seed: int,
) -> None:
    """Make Gaussian noise; its peaks are 13 dB over its RMS."""
    import numpy as np

    from edge.capture import generator

    n_samples, rng = _n(seconds, rate_hz), np.random.default_rng(seed)
    if colour == "pink":
        made = generator.pink_noise(n_samples, rate_hz, rng, level_dbfs=level_dbfs)
    else:
        made = generator.white_noise(n_samples, rng, level_dbfs=level_dbfs)
    _deliver(generator.faded(made, rate_hz, FADE_S), rate_hz, file, device)


@synth.command()
@signal_options
@click.option("--freq", "freq_hz", default=4000.0, type=frequency, show_default=True)
@click.option("--burst-ms", default=200.0, type=click.FloatRange(0.1, 60000), show_default=True)
@click.option(
    "--spacing-ms",
    default=1000.0,
    type=click.FloatRange(0.2, 600_000),
    show_default=True,
    help="From the start of one to the start of the next.",
)
def bursts(
    *,
    file: Path | None,
    device: str | None,
    seconds: float,
    rate_hz: int,
    level_dbfs: float,
    freq_hz: float,
    burst_ms: float,
    spacing_ms: float,
) -> None:
    """Make tonebursts of whole cycles, as the standard of sound level meters has them."""
    from edge.capture import generator

    _below_half(freq_hz, rate_hz)
    if burst_ms >= spacing_ms:
        raise click.UsageError(f"--burst-ms {burst_ms:g} is not below --spacing-ms {spacing_ms:g}")
    made = generator.bursts(
        _n(seconds, rate_hz),
        rate_hz,
        freq_hz=freq_hz,
        burst_s=burst_ms / 1000,
        spacing_s=spacing_ms / 1000,
        level_dbfs=level_dbfs + SINE_DB,
    )
    _deliver(made, rate_hz, file, device)


@synth.command()
@signal_options
@click.option(
    "--pattern",
    default="two-tone",
    type=click.Choice(["two-tone", "temporal-three"]),
    show_default=True,
    help="800 and 1000 Hz, half a second each; or ISO 8201's: three of 520 Hz every 4 s.",
)
def alarm(
    *,
    file: Path | None,
    device: str | None,
    seconds: float,
    rate_hz: int,
    level_dbfs: float,
    pattern: Literal["two-tone", "temporal-three"],
) -> None:
    """Make an alarm sound."""
    from edge.capture import generator

    make = generator.two_tone if pattern == "two-tone" else generator.temporal_three
    made = make(_n(seconds, rate_hz), rate_hz, level_dbfs=level_dbfs + SINE_DB)
    _deliver(generator.faded(made, rate_hz, FADE_S), rate_hz, file, device)


def _n(seconds: float, rate_hz: int) -> int:
    return round(seconds * rate_hz)


def _below_half(freq_hz: float, rate_hz: int) -> None:
    if freq_hz >= rate_hz / 2:
        raise click.UsageError(f"{freq_hz:g} Hz is not below half the rate, {rate_hz / 2:g} Hz")


def _deliver(samples: Signal, rate_hz: int, file: Path | None, device: str | None) -> None:
    """Write it, play it, or both."""
    import numpy as np

    if file is None and device is None:
        raise click.UsageError("name a FILE, or --play it")
    if file:
        _check(file)
    peak = float(np.abs(samples).max())
    if peak > 1.0:
        raise click.UsageError(f"that loud it is clipped: take {20 * math.log10(peak):.1f} dB off")
    if file:
        _write(file, samples, rate_hz, "PCM_16" if file.suffix == ".raw" else "PCM_24")
    if device:
        from edge.playback.alsa import play

        integers = np.round(samples.astype(np.float64) * (2**31 - 1)).astype("<i4")
        play(integers[:, None], rate_hz, device)


def _check(file: Path) -> None:
    if file.suffix not in CONTAINERS:
        raise StorageError(f"{file} has no suffix that is known", "name a .wav, .flac or .raw")


def _write(file: Path, samples: Signal, rate_hz: int, subtype: Literal["PCM_16", "PCM_24"]) -> None:
    try:
        file.write_bytes(_encoded(samples, rate_hz, CONTAINERS[file.suffix], subtype))
    except OSError as error:
        raise StorageError(
            f"{file} can't be written: {error.strerror}", "name a file in a folder of yours"
        ) from error


def _encoded(samples: Signal, rate_hz: int, container: str, subtype: str) -> bytes:
    import numpy as np
    import soundfile

    out = io.BytesIO()
    if subtype == "PCM_16":
        integers = np.round(samples * 32767).astype("<i2")
    else:  # libsndfile keeps the upper 24 bits
        integers = (np.round(samples.astype(np.float64) * (2**23 - 1)) * 256).astype("<i4")
    endian = "LITTLE" if container == "RAW" else "FILE"
    soundfile.write(out, integers, rate_hz, subtype, endian, container)
    return out.getvalue()
