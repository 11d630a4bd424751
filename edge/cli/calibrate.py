# SPDX-License-Identifier: MIT
"""`edge calibrate`: from dBFS to dB SPL."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from edge.cli.options import settings_options
from edge.config.load import load_settings
from edge.errors import EXIT_OK, ConfigError, DeviceError, EdgeError
from edge.measure.calibration import REFERENCE_DB, Calibration
from edge.measure.calibrator import CalibratorFinder, KnownLevel
from edge.measure.correction import read_correction
from edge.types import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.capture.source import Source
    from edge.config.schema import Settings
    from edge.measure.calibration import Method
    from edge.measure.calibrator import Heard
    from edge.measure.correction import Correction
    from edge.service.metering import SoundMeter

MOST_OFF_DB: Final = 1.0  # of a correction: more is no class 1 of any microphone

METHODS: Final = {
    "calibrator": "by a calibrator of {level:g} dB",
    "level": "by a known level of {level:g} dB",
    "sensitivity": "by the microphone's sensitivity",
}


class Way(NamedTuple):
    """How to calibrate: what is there, and how long to wait for it."""

    method: Method
    reference_db: float
    freq_hz: float
    seconds: float

    @property
    def awaited(self) -> str:
        """What is listened for."""
        return "steady sound" if self.method == "level" else "calibrator"

    def finder(self, meter: SoundMeter) -> CalibratorFinder | KnownLevel:
        """Return what finds it. Raises `ConfigError` for a rate without that tone."""
        if self.method == "level":
            return KnownLevel(self.reference_db)
        try:
            return CalibratorFinder(meter.grid, self.reference_db, self.freq_hz)
        except ValueError as error:
            raise ConfigError(str(error), "choose a higher rate") from error


class CalibrationError(EdgeError):
    """Nothing was heard that calibrates."""


@click.command()
@click.option(
    "--level",
    type=click.Choice(["94", "114"]),
    default="94",
    show_default=True,
    help="What the calibrator gives, dB.",
)
@click.option(
    "--frequency",
    type=click.Choice(["1000", "250"]),
    default="1000",
    show_default=True,
    help="Of its tone, Hz; 250: a pistonphone.",
)
@click.option(
    "--known-level",
    type=click.FloatRange(20, 160),
    metavar="DB",
    help="Instead of a calibrator: another meter's LAeq of a sound that is steady for 10 s.",
)
@click.option(
    "--sensitivity",
    type=click.FloatRange(-120, 40),
    metavar="DBFS",
    help="Instead: what 94 dB at 1 kHz gives. Nothing is listened to.",
)
@click.option(
    "--correction",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The microphone's frequency response, two columns.  [default: the one it has]",
)
@click.option("--no-correction", is_flag=True, help="Forget the one it has.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    help="Give up after this time.",
)
@click.option("--show", is_flag=True, help="Print all calibrations with their drift.")
@settings_options
def calibrate(  # noqa: PLR0917 - click names them
    level: str,
    frequency: str,
    known_level: float | None,
    sensitivity: float | None,
    correction: Path | None,
    no_correction: bool,  # noqa: FBT001 - click's way of a flag
    seconds: float,
    show: bool,  # noqa: FBT001 - as above
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Make the box read dB SPL: put a calibrator on the microphone, and wait.

    A 94 or 114 dB calibrator is recognised by its tone; five steady seconds are taken.
    """
    from edge.service.calibrated import Calibrated, calibration_store

    settings = load_settings(config_file, overrides)
    if show:
        _show(calibration_store(settings).all())
        return EXIT_OK
    if known_level is not None and sensitivity is not None:
        raise click.UsageError("--known-level and --sensitivity are two ways: choose one")
    if correction and no_correction:
        raise click.UsageError("--correction gives one, --no-correction takes it: choose one")
    read = read_correction(correction) if correction else None
    with _open(settings) as source:
        calibrated = Calibrated(settings, source.name)
        before = calibrated.current
        if read or no_correction:
            calibrated.correction = read
        way = Way("calibrator", float(level), float(frequency), seconds)
        if known_level is not None:
            way = way._replace(method="level", reference_db=known_level)
        if sensitivity is None:
            sensitivity = _listen(settings, source, way, calibrated.correction)
        else:
            way = way._replace(method="sensitivity", reference_db=REFERENCE_DB)
    drift_db = calibrated.adopt(sensitivity, way.method, way.reference_db)
    if made := calibrated.current:
        click.echo("\n".join(_result(made, before, drift_db)))
    return EXIT_OK


def _open(settings: Settings) -> Source:
    from edge.service.build import build_source, build_topics

    try:
        return build_source(settings.capture)
    except DeviceError as error:
        if "busy" not in error.message:
            raise
        topic = f"{build_topics(settings).command}/calibrate"
        raise DeviceError(
            f"{error.message}: the unit is running and holds the microphone",
            f"publish to {topic} and the unit calibrates, or stop it: systemctl stop edge-listen",
        ) from error


def _listen(settings: Settings, source: Source, way: Way, correction: Correction | None) -> float:
    """Return the sensitivity that is found; says each second what is heard."""
    from edge.service.build import build_sound_meter

    response = correction.points if correction else ()
    meter = build_sound_meter(settings, source.format, response=response)
    finder = way.finder(meter)
    click.echo(f"listening to {source.name}, channel {settings.capture.channel}")
    if correction:
        click.echo(f"correction {correction.file}: taken out within {meter.off_db:.2f} dB")
        if meter.off_db > MOST_OFF_DB:
            click.echo(
                f"warning: it changes too fast with frequency for {MOST_OFF_DB:g} dB; is it this"
                " microphone's response, and not a room's?",
                err=True,
            )
    end_s = time.monotonic() + way.seconds
    heard: Heard | None = None
    n_heard = 0
    while time.monotonic() < end_s and (item := source.read()):
        for measured in meter.process(item):
            one = finder.level(measured) if isinstance(measured, Level) else finder.bands(measured)
            if one is None:
                continue
            heard, n_heard = one, n_heard + 1
            click.echo(f"{n_heard:4} s  {heard.level_dbfs:7.1f} dBFS  {heard.text}")
            if heard.sensitivity_dbfs is not None:
                return heard.sensitivity_dbfs
    last = f"; the last was: {heard.text}" if heard else ""
    raise CalibrationError(
        f"no {way.awaited} was heard in {n_heard} s{last}",
        "nothing has changed; see what each second said, and try again",
    )


def _result(made: Calibration, before: Calibration | None, drift_db: float | None) -> list[str]:
    method = METHODS[made.method].format(level=made.reference_db)
    offset_db = made.offset_db(made.gain_db)
    lines = [
        f"calibrated   {made.device}, channel {made.channel}, {method}",
        f"sensitivity  {made.sensitivity_dbfs:.2f} dBFS at 94 dB SPL",
        f"offset       dBFS {offset_db:+.2f} dB = dB SPL, while core.gain_db is {made.gain_db:g}",
        f"date         {_date(made)}",
    ]
    if made.correction:
        lines.append(f"correction   {made.correction.file}")
    if before and drift_db is not None:
        lines.append(f"drift        {drift_db:+.2f} dB since {_date(before)}")
    return lines


def _show(calibrations: Sequence[Calibration]) -> None:
    if not calibrations:
        click.echo("not calibrated: levels are in dBFS")
    newest = {(one.device, one.channel): one for one in calibrations}
    last: dict[tuple[str, str], Calibration] = {}
    for one in calibrations:
        whose = (one.device, one.channel)
        drift = f"{one.drift_db(last[whose]):+.2f} dB" if whose in last else "first"
        last[whose] = one
        mark = "*" if newest[whose] is one else " "
        method = METHODS[one.method].format(level=one.reference_db)
        correction = f", correction {one.correction.file}" if one.correction else ""
        click.echo(
            f"{mark} {_date(one)}  {one.device}, channel {one.channel}:"
            f" {one.sensitivity_dbfs:.2f} dBFS, gain {one.gain_db:g} dB, drift {drift},"
            f" {method}{correction}"
        )


def _date(one: Calibration) -> str:
    doubt = "" if one.clock_synchronised else " (clock not synchronised)"
    return f"{one.time[:10]} {one.time[11:16]} UTC{doubt}"
