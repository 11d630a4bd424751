# SPDX-License-Identifier: MIT
"""The settings as frozen records; `default.toml` beside this file is their reference.

Plain dataclasses: pydantic reads their annotations and checks values against
them (`load.py`), but who only uses settings need not carry it (`lean.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar, dataclass_transform

from annotated_types import Interval, Len

Text = Annotated[str, Len(1, 200)]
Ratio = Annotated[float, Interval(ge=0.1, le=1.0)]
Threshold = Annotated[float, Interval(ge=0.0, le=1.0)]
Hits = Annotated[int, Interval(ge=0, le=50)]
Hold = Annotated[float, Interval(ge=0.0, le=60.0)]
Cooldown = Annotated[float, Interval(ge=0.0, le=3600.0)]
EventLength = Annotated[float, Interval(ge=1.0, le=3600.0)]
Destination = Literal["levels", "classifier", "clips", "playback"]
Decibels = Annotated[float, Interval(ge=-60.0, le=60.0)]
Auto = Literal["auto"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def section(cls: type[T]) -> type[T]:
    """Make a frozen record in which no unknown key and no value of another type is taken."""
    cls.__pydantic_config__ = {  # type: ignore[attr-defined] # read by pydantic alone
        "extra": "forbid",
        "strict": True,
        "allow_inf_nan": False,
    }
    return dataclass(frozen=True, kw_only=True)(cls)


@section
class Node:
    """Who this box is."""

    id: str
    name: Text


@section
class Capture:
    """Where the samples come from."""

    source: Literal["alsa", "replay", "synth"]
    device: Text
    rate_hz: Annotated[int, Interval(ge=8000, le=192000)]
    channels: Annotated[int, Interval(ge=1, le=32)]
    channel: Literal["mean"] | Annotated[int, Interval(ge=0, le=31)]
    period_size: Annotated[int, Interval(ge=32, le=16384)]
    periods: Annotated[int, Interval(ge=2, le=64)]
    sample_format: Literal["auto", "S16_LE", "S24_3LE", "S24_LE", "S32_LE", "FLOAT_LE"]
    files: list[str]
    pace: Literal["real", "fast"]
    signal: Literal["scene", "tone", "sweep", "white", "pink", "clicks", "silence"]
    seconds: Annotated[float, Interval(ge=0.0, le=86400.0)]
    seed: Annotated[int, Interval(ge=0, le=2**31)]


@section
class Filter:
    """One filter of the chain."""

    kind: Literal["highpass", "lowpass", "bandpass", "notch", "peaking", "lowshelf", "highshelf"]
    freq_hz: Annotated[float, Interval(gt=0.0, lt=96000.0)]
    q: Annotated[float, Interval(ge=0.05, le=200.0)] = 0.7071067811865476
    gain_db: Decibels = 0.0
    order: Annotated[int, Interval(ge=1, le=8)] = 2


@section
class Core:
    """What happens to the samples before anything listens."""

    gain_db: Decibels
    highpass_hz: Annotated[float, Interval(ge=0.0, le=1000.0)]
    filters: list[Filter]


@section
class Adaptive:
    """What a reference foretells is taken out."""

    method: Literal["off", "frequency", "nlms", "line"]
    apply_to: list[Destination]
    reference_channel: Annotated[int, Interval(ge=0, le=31)]
    length_s: Auto | Annotated[float, Interval(ge=0.001, le=1.0)]
    step: Auto | Annotated[float, Interval(ge=1e-6, le=0.999)]
    leakage_per_s: Auto | Annotated[float, Interval(ge=0.0, le=0.999)]
    guard: Auto | Annotated[float, Interval(ge=1.0, le=1000.0)]
    block_s: Auto | Annotated[float, Interval(ge=0.001, le=0.1)]
    ahead_s: Auto | Annotated[float, Interval(ge=0.001, le=1.0)]


@section
class Denoise:
    """Steady noise is lowered."""

    method: Literal["off", "logmmse", "wiener", "subtract"]
    apply_to: list[Destination]
    over_subtraction: Auto | Annotated[float, Interval(ge=0.5, le=10.0)]
    floor_db: Annotated[float, Interval(ge=-60.0, le=0.0)]
    window_s: Annotated[float, Interval(ge=0.004, le=0.25)]
    memory_s: Annotated[float, Interval(ge=0.5, le=60.0)]


@section
class Alarm:
    """A level that is an event."""

    name: Annotated[str, Len(1, 40)]
    kind: Literal["level", "rise", "tonal"]
    limit_db: Annotated[float, Interval(ge=-200.0, le=200.0)]
    unit: Literal["db", "dbfs"] = "db"
    release_db: Annotated[float, Interval(ge=0.0, le=40.0)] = 2.0
    average_s: Annotated[int, Interval(ge=1, le=3600)] = 60
    background_s: Annotated[int, Interval(ge=10, le=3600)] = 600
    min_s: Annotated[int, Interval(ge=1, le=3600)] = 1
    hold_s: Annotated[int, Interval(ge=0, le=3600)] = 5
    cooldown_s: Annotated[int, Interval(ge=0, le=86400)] = 60
    hours: str = ""

    @property
    def in_db(self) -> bool:
        """Whether its limit means nothing until the box is calibrated."""
        return self.kind == "level" and self.unit == "db"


@section
class LevelSettings:
    """What is measured, how long it is kept, and when it is an alarm."""

    bands: bool
    under_range_db: Annotated[float, Interval(ge=0.0, le=60.0)]
    days: Annotated[int, Interval(ge=0, le=36500)]
    alarms: list[Alarm]


@section
class Model:
    """The classifier."""

    path: str
    top_scores: Annotated[int, Interval(ge=1, le=20)]
    groups: dict[str, list[str]] = field(default_factory=dict)


@section
class LabelRule:
    """What differs for one label; None: as in `[detector]`."""

    threshold: Threshold | None = None
    release_ratio: Ratio | None = None
    min_hits: Hits | None = None
    hold_s: Hold | None = None
    cooldown_s: Cooldown | None = None
    max_event_s: EventLength | None = None


@section
class Detector:
    """How scores become events."""

    threshold: Threshold
    release_ratio: Ratio
    min_hits: Hits
    hold_s: Hold
    cooldown_s: Cooldown
    max_event_s: EventLength
    ignore: list[str]
    labels: dict[str, LabelRule] = field(default_factory=dict)


@section
class Playback:
    """The filtered sound back out, and sounds on command."""

    device: str
    listen_in: bool
    buffer_ms: Annotated[float, Interval(ge=2.0, le=500.0)]


@section
class Publish:
    """The broker. Secrets live in files: none is ever a setting."""

    url: str
    base_topic: str
    user: str
    password_file: str
    ca_file: str
    cert_file: str
    key_file: str
    keepalive_s: Annotated[int, Interval(ge=5, le=600)]
    live: bool
    outbox_max_mb: Annotated[int, Interval(ge=1, le=4096)]
    outbox_max_days: Annotated[float, Interval(ge=0.0, le=36500.0)]


@section
class HomeAssistant:
    """How the box shows itself to Home Assistant."""

    enabled: bool
    prefix: str


@section
class Health:
    """The figures of the box itself."""

    interval_s: Annotated[float, Interval(ge=1.0, le=3600.0)]
    max_temperature_c: Annotated[float, Interval(ge=0.0, le=110.0)]
    prometheus: str
    led: str


@section
class State:
    """Where the box keeps what must survive a restart."""

    directory: Text

    @property
    def path(self) -> Path:
        """The directory as a path."""
        return Path(self.directory)


@section
class Record:
    """Clips of what was heard."""

    enabled: bool
    directory: str
    require_mount: bool
    format: Literal["flac", "wav"]
    pre_roll_s: Annotated[float, Interval(ge=0.0, le=30.0)]
    post_roll_s: Annotated[float, Interval(ge=0.0, le=30.0)]
    max_clip_s: Annotated[float, Interval(ge=2.0, le=300.0)]
    max_command_s: Annotated[float, Interval(ge=1.0, le=3600.0)]
    memory_mb: Annotated[int, Interval(ge=1, le=1024)]
    labels: list[str]
    public_key: str


@section
class Speech:
    """What becomes of a clip in which somebody speaks."""

    action: Literal["keep", "strip", "drop"]
    model: str
    threshold: Threshold
    min_s: Annotated[float, Interval(ge=0.03, le=10.0)]
    labels: list[str]


@section
class Retention:
    """Which clips are deleted, oldest first; 0: no such limit."""

    max_age_days: Annotated[float, Interval(ge=0.0, le=36500.0)]
    max_total_mb: Annotated[int, Interval(ge=0, le=100_000_000)]
    min_free_mb: Annotated[int, Interval(ge=0, le=100_000_000)]
    min_per_label: Annotated[int, Interval(ge=0, le=100_000)]


@section
class Analysis:
    """What is made of the clips while nothing is going on."""

    enabled: bool
    rate_hz: Annotated[int, Interval(ge=8000, le=192000)]
    picture: bool
    publish_picture: bool
    stems: bool
    max_load: Annotated[float, Interval(ge=0.05, le=100.0)]
    max_temperature_c: Annotated[float, Interval(ge=20.0, le=110.0)]
    memory_mb: Annotated[int, Interval(ge=300, le=16384)]


@section
class Log:
    """What is written to the journal."""

    level: Literal["debug", "info", "warning", "error"]


@section
class Settings:
    """All settings of a box."""

    node: Node
    capture: Capture
    core: Core
    adaptive: Adaptive
    denoise: Denoise
    level: LevelSettings
    model: Model
    detector: Detector
    playback: Playback
    publish: Publish
    homeassistant: HomeAssistant
    health: Health
    record: Record
    speech: Speech
    retention: Retention
    analysis: Analysis
    state: State
    log: Log

    @property
    def clips(self) -> Path:
        """Where the clips are."""
        return Path(self.record.directory) if self.record.directory else self.state.path / "clips"

    @property
    def spool(self) -> Path:
        """Where other processes of the box leave messages for the outbox."""
        return self.state.path / "spool"
