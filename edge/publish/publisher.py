# SPDX-License-Identifier: MIT
"""The way out: live values while there is a broker, durable ones through the outbox."""

from __future__ import annotations

import logging
import queue
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from edge.errors import StorageError

if TYPE_CHECKING:
    from edge.publish.outbox import Outbox
    from edge.types import Message

log = logging.getLogger(__name__)

IN_FLIGHT: Final = 20  # durable messages sent and not yet acknowledged
INBOX: Final = 1000  # messages between the threads; more is a bug or a dead publisher
DRAIN_S: Final = 0.25
GOODBYE_S: Final = 2.0


class Sender(Protocol):
    """What a publisher needs of a link."""

    @property
    def connected(self) -> bool:
        """Whether a publish reaches the broker now."""

    @property
    def connections(self) -> int:
        """How often the broker has accepted us."""

    def publish(self, message: Message) -> int:
        """Send; return the number that the acknowledgement carries."""


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    mid: int
    refused: str


@dataclass(slots=True)
class Counters:
    """What became of the messages."""

    sent: int = 0
    live_dropped: int = 0  # no broker: live values are not stored
    inbox_dropped: int = 0  # the publisher was too slow
    refused: int = 0  # by the broker's access list
    unstored: int = 0  # the disk failed: kept in memory only


class Publisher:
    """Drains what the other threads `offer`, never making them wait.

    `run` is the loop of the publish thread, which alone touches the outbox. A
    durable message is written down, then sent, then forgotten when the broker
    has acknowledged it. After a lost connection the client itself repeats what
    was in flight; after a restart the outbox does.

    Parameters
    ----------
    sender : the link to the broker.
    outbox : where durable messages wait.
    spare : an outbox in memory, used while the disk fails.
    """

    def __init__(self, sender: Sender, outbox: Outbox, spare: Outbox) -> None:
        self._sender = sender
        self._boxes = (outbox, spare)
        self._inbox: queue.Queue[Message | _Acknowledged | None] = queue.Queue(INBOX)
        self._states: dict[str, Message] = {}  # retained messages by topic: the newest of each
        self._in_flight: dict[int, tuple[Outbox, int]] = {}
        self._last_sent = [0, 0]
        self._connections_seen = 0
        self._disk_failed = False
        self.counters = Counters()

    def offer(self, message: Message) -> None:
        """Hand over a message from any thread; never blocks."""
        try:
            self._inbox.put_nowait(message)
        except queue.Full:
            self.counters.inbox_dropped += 1

    def acknowledged(self, mid: int, refused: str) -> None:
        """Note an acknowledgement, from the network thread."""
        # Through the inbox, because it may arrive before `publish` has returned its number.
        self._inbox.put(_Acknowledged(mid, refused))

    @property
    def depth(self) -> int:
        """Durable messages that the broker does not have yet."""
        return sum(box.depth for box in self._boxes)

    @property
    def dropped(self) -> int:
        """Durable messages that went because the outbox was full."""
        return sum(box.dropped for box in self._boxes)

    def stop(self) -> None:
        """Make `run` return once everything offered before has been taken."""
        self._inbox.put(None)

    def run(self) -> None:
        """Take messages until `stop`, then give the broker a moment to acknowledge."""
        while self._step(DRAIN_S):
            pass
        end_s = time.monotonic() + GOODBYE_S
        while self._sender.connected and (self._in_flight or self._unsent()):
            if time.monotonic() > end_s:
                break
            self._step(DRAIN_S)

    def _step(self, timeout_s: float) -> bool:
        """Take one item and whatever else waits; return False after `stop`."""
        try:
            item = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            self._drain()
            return True
        if isinstance(item, _Acknowledged):
            self._forget(item)
        elif item is not None:
            self._take(item)
        self._drain()
        return item is not None

    def _take(self, message: Message) -> None:
        if message.durable:
            self._store(message)
            return
        if message.retain:
            self._states[message.topic] = message
        if self._sender.connected:
            self._sender.publish(message)
            self.counters.sent += 1
        elif not message.retain:
            self.counters.live_dropped += 1

    def _store(self, message: Message) -> None:
        outbox, spare = self._boxes
        try:
            outbox.put(message)
        except StorageError as error:
            if not self._disk_failed:
                log.error("%s; messages are kept in memory meanwhile", error)  # noqa: TRY400 - no stack: the disk's fault
            self._disk_failed = True
            self.counters.unstored += 1
            spare.put(message)
            return
        if self._disk_failed:
            log.warning("the outbox is written again")
            self._disk_failed = False

    def _drain(self) -> None:
        if not self._sender.connected:
            return
        if self._connections_seen != self._sender.connections:
            self._connections_seen = self._sender.connections
            for state in self._states.values():  # the broker may have forgotten them
                self._sender.publish(state)
        for number, box in enumerate(self._boxes):
            self._send_waiting(number, box)

    def _send_waiting(self, number: int, box: Outbox) -> None:
        room = IN_FLIGHT - len(self._in_flight)
        if room <= 0 or not box.depth:
            return
        for row_id, message in box.waiting(after=self._last_sent[number], limit=room):
            self._in_flight[self._sender.publish(message)] = (box, row_id)
            self._last_sent[number] = row_id
            self.counters.sent += 1

    def _forget(self, item: _Acknowledged) -> None:
        waiting = self._in_flight.pop(item.mid, None)
        if item.refused:
            self.counters.refused += 1
            if self.counters.refused == 1:
                log.error("the broker refuses a message: %s", item.refused)
        if waiting:
            box, row_id = waiting
            try:
                box.done(row_id)
            except StorageError as error:
                # It stays on disk and is sent again after a restart: twice, never lost.
                log.warning("%s", error)

    def _unsent(self) -> bool:
        return any(
            box.depth and box.waiting(after=last, limit=1)
            for box, last in zip(self._boxes, self._last_sent, strict=True)
        )
