# SPDX-License-Identifier: MIT
"""The settings as frozen records; `default.toml` beside this file is their reference."""

from __future__ import annotations

import re
from pathlib import Path  # noqa: TC003 - pydantic reads annotations when the class is made
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Topic = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,3}$")
]
BROKER_URL: Final = re.compile(r"(mqtts?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?)?")
Ratio = Annotated[float, Field(ge=0.1, le=1.0)]
Threshold = Annotated[float, Field(ge=0.0, le=1.0)]
Hits = Annotated[int, Field(ge=1, le=50)]
Hold = Annotated[float, Field(ge=0.0, le=60.0)]
Cooldown = Annotated[float, Field(ge=0.0, le=3600.0)]
EventLength = Annotated[float, Field(ge=1.0, le=3600.0)]


class Section(BaseModel):
    """A table of the settings: frozen, no unknown key, no value turned into another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Node(Section):
    """Who this box is."""

    id: Name
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Capture(Section):
    """Where the samples come from."""

    source: Literal["alsa", "replay", "synth"]
    device: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    rate_hz: Annotated[int, Field(ge=8000, le=192000)]
    channels: Annotated[int, Field(ge=1, le=32)]
    channel: Literal["mean"] | Annotated[int, Field(ge=0, le=31)]
    period_size: Annotated[int, Field(ge=32, le=16384)]
    periods: Annotated[int, Field(ge=2, le=64)]
    sample_format: Literal["auto", "S16_LE", "S24_3LE", "S24_LE", "S32_LE", "FLOAT_LE"]
    files: list[str]
    pace: Literal["real", "fast"]
    signal: Literal["scene", "tone", "sweep", "white", "pink", "clicks", "silence"]
    seconds: Annotated[float, Field(ge=0.0, le=86400.0)]
    seed: Annotated[int, Field(ge=0, le=2**31)]


class Filter(Section):
    """One filter of the chain."""

    kind: Literal["highpass", "lowpass", "bandpass", "notch", "peaking", "lowshelf", "highshelf"]
    freq_hz: Annotated[float, Field(gt=0.0, lt=96000.0)]
    q: Annotated[float, Field(ge=0.05, le=200.0)] = 0.7071067811865476
    gain_db: Annotated[float, Field(ge=-60.0, le=60.0)] = 0.0
    order: Annotated[int, Field(ge=1, le=8)] = 2


class Core(Section):
    """What happens to the samples before anything listens."""

    gain_db: Annotated[float, Field(ge=-60.0, le=60.0)]
    highpass_hz: Annotated[float, Field(ge=0.0, le=1000.0)]
    filters: list[Filter]


class Model(Section):
    """The classifier."""

    path: str
    top_scores: Annotated[int, Field(ge=1, le=20)]


class LabelRule(Section):
    """What differs for one label; None: as in `[detector]`."""

    threshold: Threshold | None = None
    release_ratio: Ratio | None = None
    min_hits: Hits | None = None
    hold_s: Hold | None = None
    cooldown_s: Cooldown | None = None
    max_event_s: EventLength | None = None


class Detector(Section):
    """How scores become events."""

    threshold: Threshold
    release_ratio: Ratio
    min_hits: Hits
    hold_s: Hold
    cooldown_s: Cooldown
    max_event_s: EventLength
    ignore: list[str]
    labels: dict[str, LabelRule] = Field(default_factory=dict)


class Publish(Section):
    """The broker. Secrets live in files: none is ever a setting."""

    url: str
    base_topic: Topic
    user: str
    password_file: str
    ca_file: str
    cert_file: str
    key_file: str
    keepalive_s: Annotated[int, Field(ge=5, le=600)]
    live: bool
    outbox_max_mb: Annotated[int, Field(ge=1, le=4096)]

    @field_validator("url")
    @classmethod
    def _is_a_broker(cls, value: str) -> str:
        if not BROKER_URL.fullmatch(value):
            raise ValueError("write mqtt://HOST[:PORT] or mqtts://HOST[:PORT], or nothing")
        return value

    @field_validator("key_file")
    @classmethod
    def _key_needs_certificate(cls, value: str, info: object) -> str:
        certificate = getattr(info, "data", {}).get("cert_file", "")
        if bool(value) != bool(certificate):
            raise ValueError("cert_file and key_file belong together: give both or neither")
        return value


class Health(Section):
    """The figures of the box itself."""

    interval_s: Annotated[float, Field(ge=1.0, le=3600.0)]


class State(Section):
    """Where the box keeps what must survive a restart."""

    directory: Path = Field(strict=False)


class Log(Section):
    """What is written to the journal."""

    level: Literal["debug", "info", "warning", "error"]


class Settings(Section):
    """All settings of a box."""

    node: Node
    capture: Capture
    core: Core
    model: Model
    detector: Detector
    publish: Publish
    health: Health
    state: State
    log: Log
