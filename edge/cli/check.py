# SPDX-License-Identifier: MIT
"""`edge check`: opens everything that the listening unit will need, says what to mend."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.options import settings_options
from edge.config.load import load_settings
from edge.errors import EXIT_OK, EdgeError, ModelError
from edge.record.probe import probe, require_mount

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config.schema import Settings
    from edge.types import StreamFormat


@click.command()
@click.option("--no-broker", is_flag=True, help="Leave the broker to the listener.")
@settings_options
def check(*, no_broker: bool, config_file: Path | None, overrides: tuple[str, ...]) -> int:
    """Open state directory, clips, model, device and broker; exit with the first failure's code.

    A directory that can't be written, a broker or a loudspeaker that is away are warnings
    only: the box listens without them. Filters are designed here, so that the unit starts in
    less than a second.
    """
    # Who ends it, as the unit does after a while, does not leave the designer of filters behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    settings = load_settings(config_file, overrides)
    click.echo("ok       settings")
    _report("state", _state, settings, "warning")
    if settings.record.enabled and (settings.record.directory or settings.record.require_mount):
        _report("clips", _clips, settings, "warning")
    steps = [("model", _model), ("device", _device), ("secrets", _secrets)]
    if settings.record.enabled and settings.speech.action != "keep" and settings.speech.model:
        steps.insert(1, ("voice model", _voice))
    codes = [_report(name, step, settings, "FAILED ") for name, step in steps]
    if settings.playback.device:
        _report("playback", _playback, settings, "warning")
    if not no_broker:
        _report("broker", _broker, settings, "warning")
    return next((code for code in codes if code), EXIT_OK)


def _report(name: str, step: Callable[[Settings], str], settings: Settings, trouble: str) -> int:
    try:
        click.echo(f"ok       {name}: {step(settings)}")
    except EdgeError as error:
        click.echo(f"{trouble}  {name}: {error.message}")
        if error.help:
            click.echo(f"         {error.help}")
        return error.exit_code
    return EXIT_OK


def _state(settings: Settings) -> str:
    probe(settings.state.path, "state.directory")
    return str(settings.state.path)


def _clips(settings: Settings) -> str:
    if settings.record.require_mount:
        require_mount(settings.clips)
    probe(settings.clips, "record.directory")
    return str(settings.clips)


def _model(settings: Settings) -> str:
    from edge.service.build import model_path
    from edge.service.fitting import fitting_model

    info = fitting_model(settings, model_path(settings)).info
    return f"{info.name} {info.version}, {len(info.labels)} labels"


def _voice(settings: Settings) -> str:
    from edge.model.voice import VoiceModel

    VoiceModel(Path(settings.speech.model))
    return settings.speech.model


def _device(settings: Settings) -> str:
    from edge.service.build import build_source

    with build_source(settings.capture) as source:
        source.read()
        stream = source.format
    _design(settings, stream)
    return (
        f"{source.name}, {stream.rate_hz} Hz, {stream.channels} ch, {stream.sample_format};"
        f" {_calibration(settings, source.name)}"
    )


def _calibration(settings: Settings, device: str) -> str:
    from edge.service.calibrated import Calibrated

    made = Calibrated(settings, device).current
    if made is None:
        resting = [alarm.name for alarm in settings.level.alarms if alarm.in_db]
        rest = f"; level.alarms in dB rest until `edge calibrate`: {', '.join(resting)}"
        return "not calibrated, levels are dBFS" + (rest if resting else "")
    return f"calibrated {made.time[:10]}: {made.sensitivity_dbfs:.1f} dBFS at 94 dB"


def _playback(settings: Settings) -> str:
    from edge.playback.alsa import OutputCard

    device = settings.playback.device
    card = OutputCard(device, rate_hz=48000, period_size=240, buffer_size=960)
    card.close()
    return f"{device}, {card.rate_hz} Hz, {card.channels} ch, {card.sample_format}"


def _design(settings: Settings, stream: StreamFormat) -> None:
    """Design the filters, so that the unit finds them kept; a bad model was reported before.

    What can't be recorded as the settings say is found here too.
    """
    from edge.service.build import build_pipeline, build_playback, described_model
    from edge.service.recording import build_recorder

    try:
        model = described_model(settings)
    except ModelError:
        return
    build_pipeline(settings, stream, model, "check")
    build_playback(settings, stream)
    if settings.record.enabled:
        with suppress(ModelError):  # of the voice model, reported before, too
            build_recorder(
                settings,
                stream=stream,
                stream_id="check",
                device="",
                model=model,
                utc=None,
                saved=lambda _: None,
            )


def _secrets(settings: Settings) -> str:
    from edge.publish.broker import tls_context
    from edge.service.build import build_broker

    if not settings.publish.url:
        return "none needed"
    broker = build_broker(settings)
    if broker.url.startswith("mqtts:"):
        tls_context(broker)
    return "password and certificates can be read"


def _broker(settings: Settings) -> str:
    from edge.publish.mqtt import probe
    from edge.service.build import build_broker

    if not settings.publish.url:
        return "none: nothing is sent"
    probe(build_broker(settings))
    return settings.publish.url
