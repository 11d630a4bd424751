# SPDX-License-Identifier: MIT
"""`edge meter`: a sound level meter in the terminal, and the levels of a day."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.options import settings_options
from edge.config.load import load_settings
from edge.errors import EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.capture.source import Source
    from edge.cli.meterreading import Reading
    from edge.config.schema import Settings
    from edge.measure.calibration import Calibration
    from edge.service.calibrated import Calibrated
    from edge.service.metering import SoundMeter
    from edge.types import Bands, Level

TODAY = "today"


@click.command()
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after this time.")
@click.option("--plain", is_flag=True, help="One line a second, for pipes.")
@click.option(
    "--day",
    is_flag=False,
    flag_value=TODAY,
    metavar="[DATE]",
    help="Show the levels of a day (2026-11-25; today) that `edge listen` has kept.",
)
@click.option(
    "--png",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --day: draw them into FILE.",
)
@settings_options
def meter(  # noqa: PLR0917 - click names them
    seconds: float | None,
    plain: bool,  # noqa: FBT001 - click's way of a flag
    day: str | None,
    png: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Measure the source of the settings: LAF, LAeq, LCpeak, third octaves, live.

    Levels are dB SPL where `edge calibrate` has calibrated that source, else dBFS.
    """
    if png and not day:
        raise click.UsageError("--png draws a day: add --day")
    settings = load_settings(config_file, overrides)
    if day:
        from edge.cli.levelday import show_day

        show_day(settings, None if day == TODAY else day, png)
        return EXIT_OK
    from edge.service.build import build_source

    source = build_source(settings.capture)
    with source:
        _measure(settings, source, seconds, plain=plain or not sys.stdout.isatty())
    return EXIT_OK


def _measure(settings: Settings, source: Source, seconds: float | None, *, plain: bool) -> None:
    from edge.cli.meterreading import UPDATES_PER_S
    from edge.cli.watch import Interrupt
    from edge.service.build import build_sound_meter
    from edge.service.calibrated import Calibrated

    calibrated = Calibrated(settings, source.name)
    sound_meter = build_sound_meter(
        settings, source.format, updates_per_s=UPDATES_PER_S, response=calibrated.response
    )
    reading = _reading(settings, source, sound_meter, calibrated)
    interrupt = Interrupt()
    end_s = time.monotonic() + seconds if seconds is not None else float("inf")

    def more() -> bool:
        return not interrupt.came and time.monotonic() < end_s

    (_print_lines if plain else _draw)(source, sound_meter, reading, more)


def _reading(
    settings: Settings, source: Source, sound_meter: SoundMeter, calibrated: Calibrated
) -> Reading:
    from edge.cli.meterreading import Reading
    from edge.service.build import under_range_dbfs

    stream = source.format
    grade = sound_meter.weighting_class
    kept = f"A, C within class {grade}" if grade else "A, C within no class at this rate"
    return Reading(
        rate_hz=stream.rate_hz,
        third_octaves=[
            (place, band.nominal_hz)
            for place, band in enumerate(sound_meter.grid)
            if band.per_octave == 3
        ],
        offset_db=calibrated.offset_db(),
        under_range_dbfs=under_range_dbfs(settings, stream),
        heading=f"{source.name}, {stream.rate_hz} Hz, channel {settings.capture.channel}; {kept}",
        calibrated=_calibrated(calibrated.current),
    )


def _calibrated(calibration: Calibration | None) -> str:
    if calibration is None:
        return "NOT CALIBRATED: dBFS, no sound pressure level (`edge calibrate`)"
    doubt = "" if calibration.clock_synchronised else "?"
    date = f"{calibration.time[:10]}{doubt}"
    correction = f", {calibration.correction.file}" if calibration.correction else ""
    sensitivity = f"{calibration.sensitivity_dbfs:.2f} dBFS at 94 dB"
    return f"calibrated {date} by {calibration.method}: {sensitivity}{correction}"


def _updates(
    source: Source, sound_meter: SoundMeter, more: Callable[[], bool]
) -> Iterator[list[Level | Bands]]:
    """Give what was measured, as it comes, to the end of the source."""
    while more() and (item := source.read()):
        yield sound_meter.process(item)
    yield sound_meter.flush()


def _print_lines(
    source: Source, sound_meter: SoundMeter, reading: Reading, more: Callable[[], bool]
) -> None:
    from edge.cli.meterreading import UPDATES_PER_S

    click.echo(reading.heading)
    click.echo(reading.calibrated)
    n_updates = 0
    for update in _updates(source, sound_meter, more):
        for measured in update:
            if reading.take(measured):
                n_updates += 1
                if n_updates % UPDATES_PER_S == 0:
                    click.echo(reading.line())


def _draw(
    source: Source, sound_meter: SoundMeter, reading: Reading, more: Callable[[], bool]
) -> None:
    from rich.console import Console
    from rich.live import Live

    from edge.cli.meterface import MeterFace

    # Drawn when there is something new, eight times a second: no thread draws besides.
    with Live(MeterFace(reading), console=Console(), screen=True, auto_refresh=False) as live:
        for update in _updates(source, sound_meter, more):
            if sum(reading.take(measured) for measured in update):
                live.refresh()
    click.echo(reading.heading)
    click.echo(reading.calibrated)
    click.echo(reading.line())
