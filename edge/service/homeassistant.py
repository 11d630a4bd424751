# SPDX-License-Identifier: MIT
"""How the box shows itself to Home Assistant, and that nothing it no longer has stays there.

==========  =====================================================================
thread      calls
==========  =====================================================================
measure     `tell` at the start, and when the box was calibrated
model       `tell` when another model hears
publish     `forgotten`: the broker has answered to what was to go
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
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Final

from edge import __version__
from edge.durable import replace_file
from edge.errors import EdgeError, StorageError
from edge.health import BoxHealth
from edge.publish import homeassistant, payloads
from edge.publish.broker import Refusal
from edge.publish.homeassistant import Shown, discovery_topic
from edge.publish.payloads import Topics
from edge.service import build
from edge.service.rules import state_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from edge.config.schema import Settings
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


def has_thermometer(settings: Settings) -> bool:
    """Return whether this machine has one."""
    return BoxHealth(settings.state.path).has_thermometer


def all_that_is_kept(settings: Settings) -> list[Message]:
    """Return what makes a broker forget a box: its device, and every state that it retains."""
    topics = build.build_topics(settings)
    told = _read(settings.state.path / FILE)
    devices = {discovery_topic(settings.homeassistant.prefix, topics), told.topic, *told.withdraw}
    states = _states_kept(settings, topics, told.entities)
    return [payloads.forgotten(topic) for topic in (*sorted(devices - {""}), *states)]


def forget_what_was_told(settings: Settings) -> None:
    """Note that the broker has forgotten the box. Raises `StorageError`."""
    file = settings.state.path / FILE
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{file} can't be removed: {error.strerror}", "ask as root") from error


def _states_kept(settings: Settings, topics: Topics, entities: Iterable[str]) -> list[str]:
    """Return the topics of all retained states; `entities` are keys of those that were told."""
    labels = build.alarm_names(settings)
    with contextlib.suppress(EdgeError):  # a model that is gone leaves what was told of it
        labels += state_labels(settings, build.described_model(settings))
    kept = {topics.detected(label) for label in labels}
    # What was told of other models; a topic's word is the end of the key.
    keys = (key.partition("_") for key in entities)
    kept |= {topics.detected(word) for kind, _, word in keys if kind == "detected"}
    own = (
        *(topics.info, topics.run, topics.calibration, topics.paused),
        *(topics.last_event, topics.picture),
    )
    return [*sorted(kept), *own, topics.status]


@dataclass(frozen=True, slots=True)
class _Told:
    """What brokers may still know of the box.

    topic : where it was described last; empty: it is not.
    root : of the topics of its states.
    entities : the platforms of its entities, by key.
    withdraw : topics of former names, until the broker has said that it forgot them.
    """

    topic: str = ""
    root: str = ""
    entities: Mapping[str, str] = field(default_factory=dict)
    withdraw: tuple[str, ...] = ()


class HomeAssistant:
    """Tells the description of the box, and tells it again when Home Assistant starts.

    Which entities were told, and where, stands in `<state>/homeassistant.json`: what is not there
    any more, after another model or other settings, is removed by name, after a restart too. Of a
    box that got another name the broker forgets device and states of the old one, of one that is
    not shown any more the device: that is asked for at each start until the broker answers.

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
        self._settings = settings
        self._prefix = settings.homeassistant.prefix
        self._topics = topics
        self._path = settings.state.path / FILE
        self._send = send
        self._again = again
        self._topic = discovery_topic(self._prefix, topics)
        self._told = _read(self._path)
        self._asked: set[str] = set()  # for in this run
        self._stays = ""  # what was said of what may not be taken away
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
            known = now if self.is_new else {**self._told.entities, **now}
            self._become(self._topic, known)
            self._send(homeassistant.discovery(self._prefix, self._topics, what, gone=known))
            # Behind it, and one alone: a broker may end the connection at what it does not allow.
            self._ask_for(self._told.withdraw[:1])

    def withdraw(self) -> None:
        """Take away the device of a box that is not shown any more; may wait for the disk."""
        with self._telling:
            self._become("", self._told.entities)
            self._ask_for(self._told.withdraw[:1])

    def forgotten(self, topic: str, refused: Refusal) -> None:
        """Note what the broker says to a topic that was to go, and ask for others.

        Called on the publish thread. Who may not say one of a former name may not say the others.
        What the link has left out waits for the next start: that it may not be said is a guess.
        """
        with self._telling:
            asked = self._told.withdraw
            if topic not in asked:
                return
            if refused is Refusal.LEFT_OUT:
                self._say_what_stays("for now", asked)
                return
            gone = [topic] if refused is Refusal.NOT else _of_one_name(topic, asked)
            if refused is not Refusal.NOT:
                self._say_what_stays(refused.value, gone)
            left = tuple(one for one in asked if one not in gone)
            self._remember(replace(self._told, withdraw=left))
            self._ask_for(left if refused is Refusal.NOT else left[:1])

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

    def _become(self, topic: str, entities: Mapping[str, str]) -> None:
        """Remember what is told from now on; let what was told elsewhere be forgotten."""
        before, root = self._told, self._topics.root
        gone = [*before.withdraw]
        if before.topic not in {"", topic}:
            gone.append(before.topic)
        if before.root not in {"", root}:
            former = Topics(*before.root.rsplit("/", 1))
            gone += _states_kept(self._settings, former, before.entities)
        # A box may get a former name back.
        others = (one for one in gone if one != topic and not one.startswith(f"{root}/"))
        self._remember(_Told(topic, root, entities, tuple(dict.fromkeys(others))))

    def _ask_for(self, topics: Iterable[str]) -> None:
        """Ask that topics be forgotten, once: it is repeated until the broker answers."""
        for topic in topics:
            if topic not in self._asked:
                self._asked.add(topic)
                self._send(payloads.forgotten(topic))

    def _say_what_stays(self, why: str, topics: Sequence[str]) -> None:
        text = f"what it told by a former name stays at the broker ({why}): {', '.join(topics)}"
        if text != self._stays:
            self._stays = text
            log.warning("%s", text)

    def _remember(self, told: _Told) -> None:
        if told == self._told:
            return
        self._told = told
        try:
            replace_file(self._path, json.dumps(asdict(told), indent=1).encode())
        except OSError as error:
            log.warning(
                "what Home Assistant was told can't be kept: %s; it may keep what goes", error
            )


def _of_one_name(topic: str, topics: Sequence[str]) -> list[str]:
    """Return those that are told below the same root as `topic`; the device is below none."""
    roots = [one.removesuffix("status") for one in topics if one.endswith("/status")]
    root = next((one for one in roots if topic.startswith(one)), topic)
    return [one for one in topics if one.startswith(root)]


def _read(path: Path) -> _Told:
    """Return what was told last; a damaged memory is none."""
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(_LONGEST_FILE))
        topic, root = told["topic"], told["root"]
        entities, withdraw = dict(told["entities"]), list(told["withdraw"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return _Told()
    texts = [topic, root, *withdraw, *entities.values()]
    if not all(isinstance(one, str) for one in texts) or not (root == "" or "/" in root):
        return _Told()
    return _Told(topic, root, entities, tuple(withdraw))
