# SPDX-License-Identifier: MIT
"""From settings to objects: what the units and the commands build alike."""

from __future__ import annotations

import math
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge import __version__
from edge.config.lean import digest
from edge.dsp.spec import CoreSpec
from edge.errors import ConfigError
from edge.model.classifier import OnnxClassifier
from edge.model.detector import Detector, Rule
from edge.model.grouping import grouped
from edge.model.registry import read_model
from edge.model.shelf import Shelf
from edge.pipeline import Pipeline, batch_samples
from edge.publish.broker import Broker, read_password
from edge.publish.payloads import Topics
from edge.service.cleaning import build_branches, build_cleaner, reference_channel, specs_for
from edge.service.designs import core_design
from edge.service.rules import build_rules, event_labels
from edge.types import FilterSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from edge.capture.source import Source
    from edge.config.schema import Capture, Settings
    from edge.model.registry import ModelInfo
    from edge.service.listening_in import ListeningIn
    from edge.service.metering import SoundMeter
    from edge.types import StreamFormat


MIN_RATE_HZ: Final = 8000  # as of capture.rate_hz: the weightings need that much


def build_source(capture: Capture, *, before: StreamFormat | None = None) -> Source:
    """Open what the settings name, to go on with a stream that had the format `before`.

    Each import is heavy enough to be made only when needed.
    """
    if capture.source == "alsa":
        from edge.capture.alsa import AlsaSource

        return AlsaSource(
            capture.device,
            rate_hz=capture.rate_hz,
            channels=capture.channels,
            period_size=capture.period_size,
            periods=capture.periods,
            sample_format=capture.sample_format,
            before=before,
        )
    if capture.source == "replay":
        from edge.capture.replay import ReplaySource

        if not capture.files:
            raise ConfigError("capture.files is empty", "name recordings or folders to replay")
        return ReplaySource(
            [Path(name) for name in capture.files],
            period_size=capture.period_size,
            pace=capture.pace,
            rate_hz=None,
        )
    from edge.capture.synth import SynthSource

    return SynthSource(
        capture.signal,
        rate_hz=capture.rate_hz,
        channels=capture.channels,
        period_size=capture.period_size,
        pace=capture.pace,
        seed=capture.seed,
        seconds=capture.seconds or None,
        gaps=(),
    )


def model_path(settings: Settings) -> Path:
    """Return the model that the settings name, else the one that was chosen, or the shipped one.

    Raises `ModelError` if the chosen one is not there.
    """
    if settings.model.path:
        return Path(settings.model.path)
    shelf = Shelf(settings.state.path)
    return shelf.find(shelf.chosen())


def open_model(settings: Settings) -> OnnxClassifier:
    """Open the model in use. Raises `ModelError`, and `ConfigError` for groups that do not fit."""
    return OnnxClassifier(model_path(settings), settings.model.groups)


def model_facts(model: ModelInfo) -> dict[str, str]:
    """Return what messages and sidecars say of a model."""
    return {"name": model.name, "version": model.version, "sha256": model.sha256}


def described_model(settings: Settings) -> ModelInfo:
    """Return what the model in use says of itself; raises as `open_model`, but runs nothing."""
    return grouped(read_model(model_path(settings)), settings.model.groups)


def build_pipeline(
    settings: Settings,
    stream: StreamFormat,
    model: ModelInfo,
    stream_id: str,
    correction: tuple[tuple[float, float], ...] = (),
) -> Pipeline:
    """Return the real-time path for a stream and a model.

    `correction` is the microphone's response, (Hz, dB): levels are measured without it.

    Raises `ConfigError` for a rate that is too low, a channel, a filter or a label that is
    not there.
    """
    if stream.rate_hz < MIN_RATE_HZ:
        raise ConfigError(
            f"the source has {stream.rate_hz} Hz; {MIN_RATE_HZ} or more are needed",
            "convert the recording, or choose another",
        )
    channel = heard_channel(settings.capture.channel, stream)
    filters = chain_filters(settings, stream.rate_hz)
    spec = CoreSpec(stream.rate_hz, model.front_end.rate_hz, filters, correction)
    return Pipeline(
        stream=stream,
        design=core_design(spec, settings.state.path),
        front_end=model.front_end,
        patch_frames=model.patch_frames,
        patch_hop=model.patch_hop,
        detector=Detector(model.scored, build_rules(settings, model), stream.rate_hz, stream_id),
        channel=channel,
        gain_db=settings.core.gain_db,
        bands=settings.level.bands,
        branches=build_branches(settings, stream, batch_samples(stream.rate_hz)),
        reference=reference_channel(settings, stream),
    )


def under_range_dbfs(settings: Settings, stream: StreamFormat) -> float:
    """Return the level at which a stream is no more than its converter's own noise.

    Rounding to steps of 1 has a power of 1/12; a float stream has none that matters.
    """
    bits = {"S16_LE": 16, "FLOAT_LE": 32, "S32_LE": 32}.get(stream.sample_format, 24)
    rounding_dbfs = -20.0 * math.log10(2.0 ** (bits - 1) * math.sqrt(12.0))
    return rounding_dbfs + settings.core.gain_db + settings.level.under_range_db


def build_broker(settings: Settings) -> Broker:
    """Return the broker with its secrets read from their files."""
    publish = settings.publish
    return Broker(
        url=publish.url,
        # A dot, which no name holds: two boxes of one client id would put each other out.
        client_id=build_topics(settings).root.replace("/", "."),
        user=publish.user,
        password=read_password(publish.password_file, os.environ),
        ca_file=publish.ca_file,
        cert_file=publish.cert_file,
        key_file=publish.key_file,
        keepalive_s=publish.keepalive_s,
    )


def build_topics(settings: Settings) -> Topics:
    """Return the topics of this box."""
    return Topics(settings.publish.base_topic, settings.node.id)


def alarm_names(settings: Settings) -> list[str]:
    """Return the labels of events that come from levels."""
    return [alarm.name for alarm in settings.level.alarms]


def describe_box(
    settings: Settings,
    source: Source,
    model: ModelInfo,
    rules: Mapping[str, Rule],
    *,
    weighting_class: int,
) -> Mapping[str, Any]:
    """Return what the `info` message says; `weighting_class` 0: levels are a guide only."""
    stream = source.format
    return {
        "name": settings.node.name,
        "version": __version__,
        "settings_digest": digest(settings),
        "source": source.name,
        "rate_hz": stream.rate_hz,
        "channels": stream.channels,
        "period_size": stream.period_size,
        "sample_format": stream.sample_format,
        "model": model_facts(model),
        "weighting_class": weighting_class,
        "alarms": alarm_names(settings),
        "labels": event_labels(settings, model),
        "thresholds": {label: round(rule.threshold, 3) for label, rule in rules.items()},
        "capabilities": ["level", "scores", "event", "health", "command"]
        + ["clip"] * settings.record.enabled,
    }


def build_playback(settings: Settings, stream: StreamFormat) -> ListeningIn | None:
    """Return the way to the loudspeaker; None: there is none. Raises as `build_pipeline`."""
    playback = settings.playback
    if not playback.device:
        return None
    from edge.service.listening_in import ListeningIn  # alsaaudio, of which a replay has none

    spec = CoreSpec(stream.rate_hz, stream.rate_hz, chain_filters(settings, stream.rate_hz))
    return ListeningIn(
        playback.device,
        stream=stream,
        chain_sos=core_design(spec, settings.state.path).chain_sos,
        channel=heard_channel(settings.capture.channel, stream),
        gain_db=settings.core.gain_db,
        buffer_ms=playback.buffer_ms,
        cleaner=build_cleaner(specs_for(settings, "playback"), stream, stream.period_size),
        reference=reference_channel(settings, stream),
    )


def new_run_id(settings: Settings) -> str:
    """Return what tells this run from any other: the box, and when it began."""
    return f"{settings.node.id}-{time.time_ns() // 1_000_000:x}"


def build_sound_meter(
    settings: Settings,
    stream: StreamFormat,
    *,
    updates_per_s: int = 1,
    response: tuple[tuple[float, float], ...] = (),
) -> SoundMeter:
    """Return what measures a stream as `listen` does, without a classifier.

    Parameters
    ----------
    updates_per_s : levels a second; bands come each second.
    response : of the microphone (Hz, dB), taken out.

    Raises `ConfigError` as `build_pipeline`.
    """
    from edge.service.metering import SoundMeter

    if stream.rate_hz < MIN_RATE_HZ:
        raise ConfigError(
            f"the source has {stream.rate_hz} Hz; {MIN_RATE_HZ} or more are needed",
            "choose another rate or recording",
        )
    # No model's rate: nothing is decimated.
    filters = chain_filters(settings, stream.rate_hz)
    spec = CoreSpec(stream.rate_hz, stream.rate_hz, filters, response)
    return SoundMeter(
        stream=stream,
        design=core_design(spec, settings.state.path),
        channel=heard_channel(settings.capture.channel, stream),
        gain_db=settings.core.gain_db,
        updates_per_s=updates_per_s,
    )


def heard_channel(channel: int | str, stream: StreamFormat) -> int | None:
    """Return the channel that is listened to; None: the mean. Raises `ConfigError`."""
    if isinstance(channel, str):
        return None
    if channel >= stream.channels:
        raise ConfigError(
            f"capture.channel = {channel}, but the source has {stream.channels} channel(s)",
            f'choose 0..{stream.channels - 1} or "mean"',
        )
    return channel


def chain_filters(settings: Settings, rate_hz: int) -> tuple[FilterSpec, ...]:
    """Return the filters of the core. Raises `ConfigError` for one beyond half the rate."""
    core = settings.core
    first = (FilterSpec("highpass", core.highpass_hz),) if core.highpass_hz else ()
    chain = tuple(FilterSpec(**asdict(one)) for one in core.filters)
    for number, one in enumerate(chain):
        if one.freq_hz >= rate_hz / 2:
            raise ConfigError(
                f"core.filters.{number}.freq_hz = {one.freq_hz:g}: the source has {rate_hz} Hz",
                f"choose less than {rate_hz / 2:g}",
            )
    return first + chain
