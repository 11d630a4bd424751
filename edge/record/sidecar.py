# SPDX-License-Identifier: MIT
"""The JSON beside a clip: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.dsp.convert import count_clipped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge.record.history import Stretch
    from edge.record.planner import Plan
    from edge.types import Event, StreamFormat, Utc

SCHEMA: Final = "edge-clip/1"
TOP_SCORES: Final = 5


@dataclass(frozen=True, slots=True)
class Origin:
    """What is the same in every sidecar of a stream. `model` is its name, version and sha256."""

    node: str
    stream_id: str
    device: str
    model: Mapping[str, str]
    software_version: str

    def clip_id(self, start: int) -> str:
        """Return the id of the clip that begins at `start`."""
        return f"{self.stream_id}-{start}"


@dataclass(frozen=True, slots=True)
class Speech:
    """Whether somebody speaks in a clip. `score` is what `judge` says, 0..1."""

    judge: str
    score: float
    spoken: bool

    def fields(self) -> dict[str, Any]:
        """Return it as a sidecar says it."""
        return {"judge": self.judge, "score": round(self.score, 3), "spoken": self.spoken}


def describe(
    plan: Plan,
    stretch: Stretch,
    stream: StreamFormat,
    origin: Origin,
    times: tuple[Utc, Utc] | None,
) -> dict[str, Any]:
    """Return the sidecar of a clip, but for levels, scores and speech.

    `times` are those of its first sample and of the one after its last; None: in a replay.
    """
    start, end = times or (None, None)
    return {
        "schema": SCHEMA,
        "clip_id": origin.clip_id(plan.start),
        "node": origin.node,
        "reason": "event" if plan.events else "command",
        "labels": list(dict.fromkeys(event.label for event in _best_first(plan))),
        "events": [_event(event) for event in plan.events],
        "commands": list(plan.commands),
        "rate_hz": stream.rate_hz,
        "channels": stream.channels,
        "sample_format": stream.sample_format,
        "start_sample": plan.start,
        "end_sample": plan.stop,
        "duration_s": round((plan.stop - plan.start) / stream.rate_hz, 3),
        "start_time": start.text if start else None,
        "end_time": end.text if end else None,
        "clock_synchronised": start.synchronised if start else False,
        "gaps": [
            {
                "start_sample": hole.start,
                "lost_samples": hole.stop - hole.start,
                "cause": hole.cause,
            }
            for hole in stretch.holes
        ],
        "clipped_samples": _clipped(stretch.samples, stream.rate_hz),
        "continues": None if plan.continues is None else origin.clip_id(plan.continues),
        "device": origin.device,
        "model": dict(origin.model),
        "software_version": origin.software_version,
    }


def _clipped(samples: NDArray[Any], piece: int) -> int:
    """Count in pieces: what is compared takes as much memory again."""
    return sum(count_clipped(samples[at : at + piece]) for at in range(0, len(samples), piece))


def _best_first(plan: Plan) -> list[Event]:
    """Sort what sounds in the clip before what has only its pre- or post-roll in it."""
    return sorted(plan.events, key=lambda event: (not _sounds_in(plan, event), -event.score))


def _sounds_in(plan: Plan, event: Event) -> bool:
    ended = event.offset_index is not None and event.offset_index <= plan.start
    return event.onset_index < plan.stop and not ended


def _event(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "label": event.label,
        "score": round(event.score, 3),
        "onset_sample": event.onset_index,
        "offset_sample": event.offset_index,
    }
