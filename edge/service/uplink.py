# SPDX-License-Identifier: MIT
"""Everything between the box and its broker, built and run as one."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from edge.clock import moment_now
from edge.errors import PublishError
from edge.publish import payloads
from edge.publish.homeassistant import birth_topic
from edge.publish.mqtt import Handlers, Link
from edge.publish.outbox import Outbox
from edge.publish.publisher import Publisher
from edge.service import build

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config.schema import Settings
    from edge.publish.broker import Broker, Refusal
    from edge.service.supervisor import Supervisor
    from edge.types import Message

log = logging.getLogger(__name__)

DAY_S: Final = 86400.0
REMEMBERED_S: Final = 3600.0  # another box of our name: it will be back
STORE_S: Final = 1.0  # of a stop, however late it is: to write down what was heard last
LEAVE_S: Final = 0.5  # and for the last words on the wire
SPARE_BYTES: Final = 4_000_000  # messages kept in memory while the disk fails


class Uplink:
    """Link, outbox and publisher of a box that reports.

    Raises `PublishError` where certificates can't be used; a broker that is away is no
    error, nor is a password that can't be read, nor a disk that can't be written.

    Parameters
    ----------
    received : called on the mqtt thread with topic and payload of each command.
    born : likewise, with what Home Assistant says of itself; None: nobody asks.
    forgotten : as the publisher's.
    """

    def __init__(
        self,
        settings: Settings,
        received: Callable[[str, bytes], None],
        born: Callable[[bytes], None] | None = None,
        *,
        forgotten: Callable[[str, Refusal], None],
    ) -> None:
        self._topics = build.build_topics(settings)
        broker = _broker(settings)
        self._received = received
        self._born = born
        self._birth = birth_topic(settings.homeassistant.prefix)
        self._run = uuid4().hex
        self._claimed = False  # it has been at the broker
        self._strange_s = float("-inf")  # another run was seen there behind ours
        self._twin_s = float("-inf")  # and again within an hour
        self._trouble_told = ""
        # A command that a broker has kept would be obeyed again at every connection.
        subscribe = {f"{self._topics.command}/+": False, self._topics.run: True}
        self._link = Link(
            broker,
            will=payloads.status(self._topics, online=False),
            handlers=Handlers(
                connected=lambda: log.info("the broker is there"),
                lost=lambda why: log.warning("no broker: %s", why),
                acknowledged=self._acknowledged,
                received=self._hear,
            ),
            subscribe=subscribe | ({self._birth: False} if born else {}),
            own=self._topics.root,
        )
        self._boxes = (_outbox(settings), Outbox(None, max_bytes=SPARE_BYTES))
        self._publisher = Publisher(
            self._link,
            *self._boxes,
            settings.spool,
            moment_now,
            own=self._topics.own,
            forgotten=forgotten,
        )

    def start(self, supervisor: Supervisor) -> None:
        """Start the publish and mqtt threads."""
        self.send(payloads.status(self._topics, online=True))
        self.send(payloads.run(self._topics, self._run))
        supervisor.start("publish", self._publisher.run)
        supervisor.start("mqtt", self._link.run)

    def send(self, message: Message) -> None:
        """Take a message from any thread; never blocks."""
        self._publisher.offer(message)

    def tell_again(self) -> None:
        """Tell all retained states once more, from any thread; never blocks."""
        self._publisher.tell_again()

    @property
    def trouble(self) -> str:
        """What is wrong between box and broker, though they are connected; empty: nothing."""
        if self._has_twin():
            return f"another box tells as {self._topics.root} too: one needs another node.id"
        if self._link.caution.put_out:
            return self._link.trouble
        if refused := self._publisher.refused_topics:
            more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
            return f"it refuses {refused[0]}{more}"
        if self._link.caution.silent:
            return f"it ends the connection at what is not below {self._topics.root}/"
        if unheard := self._link.unheard:
            return f"it does not let us hear {', '.join(unheard)}"
        return ""

    def changed(self) -> bool:
        """Return whether there is other trouble than before, and a broker to tell it to."""
        if self._link.look(time.monotonic()):
            self._publisher.tell_again(self._link.caution.due)
        if not self._link.connected or self.trouble == self._trouble_told:
            return False
        self._trouble_told = self.trouble
        self._link.be_patient(patient=self._has_twin())
        return True

    def stop(self, supervisor: Supervisor, *, within_s: float) -> None:
        """Give the broker a moment for what still waits, then leave it our will: offline.

        `STORE_S` and `LEAVE_S` are taken where `within_s` is less.
        """
        end_s = time.monotonic() + within_s
        self._publisher.stop()
        stored = supervisor.join("publish", max(within_s - LEAVE_S, STORE_S))
        if stored:
            for box in self._boxes:
                box.close()
        connected = self._link.connected
        self._link.stop()
        # Else there is nobody to say it to, and the thread waits to try again.
        left = connected and supervisor.join("mqtt", max(end_s - time.monotonic(), LEAVE_S))
        if stored and left:
            self._link.close()

    def figures(self) -> dict[str, Any]:
        """Return what became of the messages, for `health`."""
        counters = self._publisher.counters
        return {
            "broker": self._link.trouble or self.trouble or "ok",
            "broker_connected": self._link.connected,
            "broker_connections": self._link.connections,
            "outbox_depth": self._publisher.depth,
            "outbox_dropped": self._publisher.dropped,
            "messages_sent": counters.sent,
            "live_dropped": counters.live_dropped,
            "inbox_dropped": counters.inbox_dropped,
            "refused": counters.refused,
            "unstored": counters.unstored,
        }

    def _hear(self, topic: str, payload: bytes) -> None:
        if topic == self._topics.run:
            self._see_run(payload)
        elif self._born and topic == self._birth:
            self._born(payload)
        else:
            self._received(topic, payload)

    def _see_run(self, payload: bytes) -> None:
        """Notice another box of our name: the broker lets one in and puts the other out.

        Each claims the name anew at each of its connections. What was there before our first
        one is of the run before; what comes after ours, twice, is of another that runs now. Once
        may be a broker that has died and remembers an older run.
        """
        if payload == self._run.encode():
            self._claimed = True
        elif self._claimed and payload:
            known, now_s = self._has_twin(), time.monotonic()
            if now_s - self._strange_s < REMEMBERED_S:
                self._twin_s = now_s
            self._strange_s = now_s
            if self._has_twin() and not known:
                self._link.be_patient(patient=True)
                log.error("%s", self.trouble)

    def _has_twin(self) -> bool:
        return time.monotonic() - self._twin_s < REMEMBERED_S

    def _acknowledged(self, mid: int, refused: Refusal) -> None:
        self._publisher.acknowledged(mid, refused)


def _broker(settings: Settings) -> Broker:
    """Return the broker, without a password that can't be read: the box hears all the same."""
    try:
        return build.build_broker(settings)
    except PublishError as error:
        log.error("%s; until the next start it waits in the outbox", error)  # noqa: TRY400 - told
        publish = replace(settings.publish, password_file="")
        return build.build_broker(replace(settings, publish=publish))


def _outbox(settings: Settings) -> Outbox:
    return Outbox(
        settings.state.path / "outbox.sqlite",
        max_bytes=settings.publish.outbox_max_mb * 1_000_000,
        max_age_s=settings.publish.outbox_max_days * DAY_S,
    )
