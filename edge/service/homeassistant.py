# SPDX-License-Identifier: MIT
"""How the box shows itself to Home Assistant, and that nothing it no longer has stays there.

==========  =====================================================================
thread      calls
==========  =====================================================================
measure     `tell` at the start, and when the box was calibrated
model       `tell` when another model hears
mqtt        `born`: Home Assistant has started
main        `look`: whether it is time to tell everything again
==========  =====================================================================
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from edge import __version__
from edge.durable import replace_file
from edge.errors import EdgeError
from edge.publish import homeassistant, payloads
from edge.publish.homeassistant import Shown, discovery_topic
from edge.service import build
from edge.service.rules import state_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from edge.config.schema import Settings
    from edge.publish.payloads import Topics
    from edge.types import Message

log = logging.getLogger(__name__)

FILE: Final = "homeassistant.json"
DELAY_S: Final = (0.5, 5.0)  # Home Assistant asks for it: not all devices at once
_LONGEST_FILE: Final = 1_000_000


def shown(
    settings: Settings,
    model_name: str,
    labels: Iterable[str],
    alarms: Sequence[str],
    *,
    calibrated: bool,
    thermometer: bool,
) -> Shown:
    """Return what there is to show of a box; `labels` have thresholds, `alarms` have none."""
    return Shown(
        name=settings.node.name,
        version=__version__,
        model=model_name,
        alarms=alarms,
        labels=tuple(labels),
        calibrated=calibrated,
        live=settings.publish.live,
        records=settings.record.enabled,
        health_s=settings.health.interval_s,
        thermometer=thermometer,
    )


def all_that_is_kept(settings: Settings) -> list[Message]:
    """Return what makes a broker forget a box: its device, and every state that it retains."""
    topics = build.build_topics(settings)
    labels = build.alarm_names(settings)
    with contextlib.suppress(EdgeError):  # a model that is gone leaves what was told of it
        labels += state_labels(settings, build.described_model(settings))
    kept = {topics.detected(label) for label in labels}
    # What was told of other models; a topic's word is the end of the key.
    told = _read(settings.state.path / FILE)
    keys = (key.partition("_") for key in told.entities)
    kept |= {topics.detected(word) for kind, _, word in keys if kind == "detected"}
    own = (
        *(topics.info, topics.run, topics.calibration, topics.paused),
        *(topics.last_event, topics.picture),
    )
    states = [payloads.forgotten(topic) for topic in (*sorted(kept), *own, topics.status)]
    devices = {discovery_topic(settings.homeassistant.prefix, topics), told.topic} - {""}
    return [*(payloads.forgotten(device) for device in sorted(devices)), *states]


def withdraw(settings: Settings, send: Callable[[Message], None]) -> None:
    """Take away the device of a box that is not shown any more; waits for the disk if it was."""
    path = settings.state.path / FILE
    told = _read(path)
    if told.topic:
        send(payloads.forgotten(told.topic))
        _keep(path, _Told("", told.entities))


@dataclass(frozen=True, slots=True)
class _Told:
    """Where the box was described last, and the platforms of its entities there, by key."""

    topic: str
    entities: dict[str, str]


class HomeAssistant:
    """Tells the description of the box, and tells it again when Home Assistant starts.

    Which entities were told, and where, stands in `<state>/homeassistant.json`: what is not there
    any more, after another model or other settings, is removed by name, after a restart too, and
    so is the device of a box that got another name.

    Parameters
    ----------
    send : takes a message and never blocks.
    again : makes the publisher tell every retained state once more; never blocks.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Topics,
        send: Callable[[Message], None],
        again: Callable[[], None],
    ) -> None:
        self._prefix = settings.homeassistant.prefix
        self._topics = topics
        self._path = settings.state.path / FILE
        self._send = send
        self._again = again
        self._topic = discovery_topic(self._prefix, topics)
        self._told = _read(self._path)
        self._telling = threading.Lock()
        self._due_s = float("inf")

    @property
    def is_new(self) -> bool:
        """Whether the box was never described by its name."""
        return self._told.topic != self._topic

    def tell(self, what: Shown) -> None:
        """Describe the box as it is now; waits for the disk where its entities have changed."""
        with self._telling:
            entities = homeassistant.components(self._topics, what)
            now = {key: str(entity["platform"]) for key, entity in entities.items()}
            before = self._told
            known = now if self.is_new else before.entities | now
            if before.topic and self.is_new:
                self._send(payloads.forgotten(before.topic))
            self._told = _Told(self._topic, known)
            if self._told != before:
                _keep(self._path, self._told)
            self._send(homeassistant.discovery(self._prefix, self._topics, what, gone=known))

    def born(self, payload: bytes) -> None:
        """Take what Home Assistant says of itself."""
        if payload == b"online":
            self._due_s = time.monotonic() + random.uniform(*DELAY_S)  # noqa: S311 - no secret

    def look(self, now_s: float) -> bool:
        """Tell all states again where that is due; return whether it was."""
        if now_s < self._due_s:
            return False
        self._due_s = float("inf")
        self._again()
        return True


def _keep(path: Path, told: _Told) -> None:
    try:
        replace_file(path, json.dumps(asdict(told), indent=1).encode())
    except OSError as error:
        log.warning("what Home Assistant was told can't be kept: %s; it may keep what goes", error)


def _read(path: Path) -> _Told:
    """Return what was told last; a damaged memory is none."""
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(_LONGEST_FILE))
        topic, entities = told["topic"], dict(told["entities"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return _Told("", {})
    if not isinstance(topic, str):
        return _Told("", {})
    return _Told(topic, {key: name for key, name in entities.items() if isinstance(name, str)})
