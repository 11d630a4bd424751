# SPDX-License-Identifier: MIT
"""Builds the recorder of a stream from the settings, for the unit and for a replay alike."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge import __version__
from edge.dsp.spec import CoreSpec
from edge.errors import ConfigError
from edge.model.voice import RATE_HZ
from edge.record.encode import FLAC_CHANNELS
from edge.record.history import History
from edge.record.logbook import Logbook
from edge.record.planner import ClipPlanner, Lengths
from edge.record.recorder import NewModel, Recorder
from edge.record.retention import Limits, Retention
from edge.record.sidecar import Origin
from edge.record.store import ClipStore
from edge.record.writer import ClipWriter, Privacy
from edge.service import build
from edge.service.cleaning import HIGHPASS, NOTHING, ClipCleaner, reference_channel, specs_for
from edge.service.designs import core_design
from edge.service.rules import build_rules, check_labels
from edge.service.speech import LabelJudge, VoiceJudge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.config.schema import Settings
    from edge.model.registry import ModelInfo
    from edge.types import StreamFormat, Utc

SLACK_S: Final = 10.0  # how long a disk may take before samples of a clip are overwritten
GROWING: Final = 1.125  # a file in memory grows in steps of an eighth
LEVEL_S: Final = 2.5  # a second, its batch, and up to 1.2 s for the bands
LATEST_S: Final = 10.0  # no event waits longer than this to be told


def build_recorder(
    settings: Settings,
    *,
    stream: StreamFormat,
    stream_id: str,
    device: str,
    model: ModelInfo,
    utc: Callable[[int], Utc] | None,
    saved: Callable[[Mapping[str, Any]], None],
    offset_db: Callable[[], float | None] = lambda: None,
) -> Recorder:
    """Return the recorder of a stream.

    Raises `ConfigError` for labels, formats, lengths and keys that do not fit.
    """
    record = settings.record
    check_model(settings, model)
    lengths = clip_lengths(settings, stream.rate_hz, model)
    logbook = Logbook(model.scored, lengths.memory + round(SLACK_S * stream.rate_hz))
    judge = _judge(settings, stream, logbook)
    context = min(judge.context_samples, lengths.settle) if judge else 0
    history = History(stream, _capacity(settings, stream, lengths, context))
    if record.format == "flac" and stream.channels > FLAC_CHANNELS:
        raise ConfigError(
            f"FLAC holds {FLAC_CHANNELS} channels, the source has {stream.channels}",
            'set record.format = "wav"',
        )
    cleaner = _clip_cleaner(settings, stream)
    store = ClipStore(settings.clips, require_mount=record.require_mount)
    writer = ClipWriter(
        stream=stream,
        origin=Origin(
            node=settings.node.id,
            stream_id=stream_id,
            device=device,
            model=build.model_facts(model),
            software_version=__version__,
        ),
        history=history,
        logbook=logbook,
        store=store,
        retention=Retention(store, _limits(settings)),
        container=record.format,
        privacy=Privacy(
            judge=judge,
            context_samples=context,
            drop=settings.speech.action == "drop",
            seal=_seal(record.public_key),
        ),
        utc=utc,
        saved=saved,
        offset_db=offset_db,
        process=cleaner,
        processed=cleaner.facts() if cleaner else None,
    )
    return Recorder(
        name=stream_id,
        rate_hz=stream.rate_hz,
        history=history,
        logbook=logbook,
        planner=ClipPlanner(lengths),
        writer=writer,
        labels=frozenset(record.labels) or None,
        speech=frozenset(settings.speech.labels),
    )


def new_model(settings: Settings, rate_hz: int, model: ModelInfo) -> NewModel:
    """Return what changes for the recorder with a model."""
    known_after = clip_lengths(settings, rate_hz, model).known_after
    return NewModel(model.scored, build.model_facts(model), known_after)


def recording_figures(recorder: Recorder | None) -> dict[str, Any]:
    """Return what became of the clips, for `health`."""
    if recorder is None:
        return {"recording": "off"}
    counters = recorder.counters
    return {
        "recording": recorder.trouble or "ok",
        "clips_saved": counters.saved,
        "clips_vetoed": counters.vetoed,
        "clips_lost": counters.lost,
        "clip_samples_overwritten": counters.overwritten_samples,
        "record_levels_dropped": recorder.dropped_levels,
        "record_scores_dropped": recorder.dropped_scores,
    }


def clip_lengths(settings: Settings, rate_hz: int, model: ModelInfo) -> Lengths:
    """Return how clips are cut at a rate, in samples."""
    record = settings.record
    front = model.front_end
    rules = build_rules(settings, model).values()
    hops = model.patch_frames + model.patch_hop * max((rule.min_hits for rule in rules), default=1)
    patches_s = hops * front.hop_length / front.rate_hz
    events_s = patches_s + max((rule.hold_s for rule in rules), default=0.0)
    alarms_s = [LEVEL_S + max(one.min_s, one.hold_s) for one in settings.level.alarms]
    known_after_s = min(max(events_s, *alarms_s, 0.0), LATEST_S)
    return Lengths(
        pre_roll=round(record.pre_roll_s * rate_hz),
        post_roll=round(record.post_roll_s * rate_hz),
        max_clip=round(record.max_clip_s * rate_hz),
        known_after=round(known_after_s * rate_hz),
    )


def _capacity(settings: Settings, stream: StreamFormat, lengths: Lengths, context: int) -> int:
    """Return how many samples are kept.

    Raises `ConfigError` if they take too much memory with the longest clip that is being
    made: its samples, its file, at worst as large, and that file encrypted.
    """
    record = settings.record
    capacity = lengths.memory + context + round(SLACK_S * stream.rate_hz)
    files = 2 if record.public_key else 1
    copies = 1 if specs_for(settings, "clips") == NOTHING else 2
    width = 2 if stream.sample_format == "S16_LE" else 4
    in_work = (lengths.max_clip + 2 * context) * (copies + GROWING * files)
    needed_mb = (capacity + in_work) * stream.channels * width / 1e6
    if needed_mb > record.memory_mb:
        raise ConfigError(
            f"record.memory_mb = {record.memory_mb}: the clips that are asked for"
            f" need {needed_mb:.1f} MB",
            "raise it, or shorten record.max_clip_s",
        )
    return capacity


def _clip_cleaner(settings: Settings, stream: StreamFormat) -> ClipCleaner | None:
    specs = specs_for(settings, "clips")
    if specs == NOTHING:
        return None
    spec = CoreSpec(stream.rate_hz, stream.rate_hz, (HIGHPASS,))
    sos = core_design(spec, settings.state.path).chain_sos
    return ClipCleaner(specs, stream, sos, reference_channel(settings, stream))


def check_model(settings: Settings, model: ModelInfo) -> None:
    """Raise `ConfigError` where clips or the speech veto ask for labels that the model lacks."""
    wanted, speech = settings.record.labels, settings.speech
    alarms = {alarm.name for alarm in settings.level.alarms}
    check_labels("record.labels", [label for label in wanted if label not in alarms], model)
    by_label = speech.action != "keep" and not speech.model
    if by_label and not set(speech.labels) & set(model.scored):
        raise ConfigError(
            f'speech.action = "{speech.action}", but nothing can tell speech: the model'
            f" {model.name} has none of the labels {', '.join(speech.labels)}",
            "set speech.model to a voice model (silero_vad.onnx), or speech.labels",
        )


def _limits(settings: Settings) -> Limits:
    retention = settings.retention
    return Limits(
        max_age_days=retention.max_age_days,
        max_total_mb=retention.max_total_mb,
        min_free_mb=retention.min_free_mb,
        min_per_label=retention.min_per_label,
    )


def _seal(key: str) -> Callable[[bytes], bytes] | None:
    if not key:
        return None
    from edge.record.sealing import check_recipient, seal  # 2 MB: only who encrypts carries it

    check_recipient(key)
    return partial(seal, recipient=key)


def _judge(
    settings: Settings, stream: StreamFormat, logbook: Logbook
) -> VoiceJudge | LabelJudge | None:
    speech = settings.speech
    if speech.action == "keep":
        return None
    if not speech.model:
        return LabelJudge(logbook, speech.labels, speech.threshold)
    design = core_design(CoreSpec(stream.rate_hz, RATE_HZ, ()), settings.state.path)
    return VoiceJudge(
        Path(speech.model),
        rate_hz=stream.rate_hz,
        taps=design.decimation_taps,
        threshold=speech.threshold,
        min_s=speech.min_s,
    )
