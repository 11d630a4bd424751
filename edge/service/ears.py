# SPDX-License-Identifier: MIT
"""A model with what leads to it and from it: patches, and events of its scores."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.dsp.spec import CoreSpec
from edge.model.detector import Detector
from edge.patches import PatchCutter, patch_cutter
from edge.service import build
from edge.service.designs import core_design
from edge.service.rules import build_rules

if TYPE_CHECKING:
    from edge.config.schema import Settings
    from edge.model.classifier import OnnxClassifier
    from edge.types import StreamFormat


@dataclass(frozen=True, slots=True)
class Ears:
    """Another model with what cuts its patches and makes events of its scores.

    `number` is that of its patches; `taken` is set once it has taken over.
    """

    number: int
    classifier: OnnxClassifier
    cutter: PatchCutter
    detector: Detector
    taken: threading.Event


@dataclass(frozen=True, slots=True)
class Place:
    """What any model hears here.

    response : of the microphone, as the stream's filters were designed for.
    most_samples : as of `patch_cutter`.
    """

    stream: StreamFormat
    stream_id: str
    response: tuple[tuple[float, float], ...]
    most_samples: int


def ears_of(settings: Settings, place: Place, classifier: OnnxClassifier, number: int) -> Ears:
    """Return a model with all that it needs here. Raises `EdgeError` as `core_design`."""
    info = classifier.info
    rate_hz = place.stream.rate_hz
    filters = build.chain_filters(settings, rate_hz)
    spec = CoreSpec(rate_hz, info.front_end.rate_hz, filters, place.response)
    taps = core_design(spec, settings.state.path).decimation_taps
    geometry = (info.front_end, info.patch_frames, info.patch_hop)
    rules = build_rules(settings, info)
    # The same label may begin anew where it just ended: ids must not repeat.
    stream_id = f"{place.stream_id}.{number}"
    return Ears(
        number=number,
        classifier=classifier,
        cutter=patch_cutter(place.stream, taps, *geometry, place.most_samples, model=number),
        detector=Detector(info.scored, rules, rate_hz, stream_id),
        taken=threading.Event(),
    )
