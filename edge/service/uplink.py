# SPDX-License-Identifier: MIT
"""Everything between the box and its broker, built and run as one."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from edge.clock import moment_now
from edge.errors import StorageError
from edge.publish import payloads
from edge.publish.mqtt import Handlers, Link
from edge.publish.outbox import Outbox, open_outbox
from edge.publish.publisher import Publisher
from edge.service import build

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config.schema import Settings
    from edge.publish.broker import Refusal
    from edge.service.supervisor import Supervisor
    from edge.types import Message

log = logging.getLogger(__name__)

DAY_S: Final = 86400.0
LEAVE_S: Final = 0.5  # of a stop: for the last words on the wire
SPARE_BYTES: Final = 4_000_000  # messages kept in memory while the disk fails


class Uplink:
    """Link, outbox and publisher of a box that reports.

    Raises `PublishError` where the secrets or certificates can't be read; a
    broker that is away is no error, and neither is a disk that can't be written.

    Parameters
    ----------
    received : called on the mqtt thread with topic and payload of each command.
    """

    def __init__(self, settings: Settings, received: Callable[[str, bytes], None]) -> None:
        self._topics = build.build_topics(settings)
        self._link = Link(
            build.build_broker(settings),
            will=payloads.status(self._topics, online=False),
            handlers=Handlers(
                connected=lambda: log.info("the broker is there"),
                lost=lambda why: log.warning("no broker: %s", why),
                acknowledged=self._acknowledged,
                received=received,
            ),
            subscribe=f"{self._topics.command}/+",
            retained=False,
        )
        self._boxes = (_open_outbox(settings), Outbox(None, max_bytes=SPARE_BYTES))
        self._publisher = Publisher(self._link, *self._boxes, settings.spool, moment_now)

    def start(self, supervisor: Supervisor) -> None:
        """Start the publish and mqtt threads."""
        self.send(payloads.status(self._topics, online=True))
        supervisor.start("publish", self._publisher.run)
        supervisor.start("mqtt", self._link.run)

    def send(self, message: Message) -> None:
        """Take a message from any thread; never blocks."""
        self._publisher.offer(message)

    def stop(self, supervisor: Supervisor, *, within_s: float) -> None:
        """Give the broker a moment for what still waits, then leave it our will: offline."""
        end_s = time.monotonic() + within_s
        self._publisher.stop()
        if supervisor.join("publish", max(within_s - LEAVE_S, 0.0)):
            for box in self._boxes:
                box.close()
        connected = self._link.connected
        self._link.stop()
        if connected:  # else there is nobody to say it to, and the thread waits to try again
            supervisor.join("mqtt", max(end_s - time.monotonic(), 0.0))

    def figures(self) -> dict[str, Any]:
        """Return what became of the messages, for `health`."""
        counters = self._publisher.counters
        return {
            "broker_connections": self._link.connections,
            "outbox_depth": self._publisher.depth,
            "outbox_dropped": self._publisher.dropped,
            "messages_sent": counters.sent,
            "live_dropped": counters.live_dropped,
            "inbox_dropped": counters.inbox_dropped,
            "refused": counters.refused,
            "unstored": counters.unstored,
        }

    def _acknowledged(self, mid: int, refused: Refusal) -> None:
        self._publisher.acknowledged(mid, refused)


def _open_outbox(settings: Settings) -> Outbox:
    directory = settings.state.path
    try:
        directory.mkdir(parents=True, exist_ok=True)
        size = settings.publish.outbox_max_mb * 1_000_000
        max_age_s = settings.publish.outbox_max_days * DAY_S
        return open_outbox(directory / "outbox.sqlite", max_bytes=size, max_age_s=max_age_s)
    except (OSError, StorageError) as error:
        log.error("messages won't survive a restart: %s", error)  # noqa: TRY400 - the disk's fault
        return Outbox(None, max_bytes=SPARE_BYTES)
