# SPDX-License-Identifier: MIT
"""The way out: live values while there is a broker, durable ones through the outbox."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from edge.errors import StorageError
from edge.publish.broker import Refusal
from edge.publish.correct import corrected
from edge.publish.outbox import DamagedError
from edge.publish.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.publish.outbox import Outbox
    from edge.types import Message, Moment

log = logging.getLogger(__name__)

IN_FLIGHT: Final = 20  # durable messages sent and not yet acknowledged
INBOX: Final = 1000  # messages between the threads; more is a bug or a dead publisher
DRAIN_S: Final = 0.25
GOODBYE_S: Final = 2.0
LOOK_S: Final = 1.0  # between two looks into the spool
MOST_REFUSED: Final = 100  # topics that are named
AGAIN_S: Final = 60.0  # of silence once the broker could not take a message
HELD_S: Final = 3600.0  # until what the broker did not allow is tried again
LOOK_DISK_S: Final = 60.0  # between two looks after it


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


def _any(_topic: str) -> bool:
    return True


class _Acknowledged(NamedTuple):
    mid: int
    refused: Refusal


@dataclass(slots=True)
class Counters:
    """What became of the messages."""

    sent: int = 0
    live_dropped: int = 0  # no broker: live values are not stored
    inbox_dropped: int = 0  # the publisher was too slow
    refused: int = 0  # by the broker: its access list, or its quota
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
    spool : a folder in which other processes leave messages; None: there is none.
    now : the moment, by both clocks; None: nobody knows.
    own : gives the topic of what another run, or another process, has left.
    forgotten : called on the publish thread with each topic that was to be forgotten, once the
        broker has answered: that it is, or that it is none of ours.
    """

    def __init__(
        self,
        sender: Sender,
        outbox: Outbox,
        spare: Outbox,
        spool: Path | None = None,
        now: Callable[[], Moment | None] = lambda: None,
        *,
        own: Callable[[str], str] = lambda topic: topic,
        forgotten: Callable[[str, Refusal], None] = lambda _topic, _refused: None,
    ) -> None:
        self._sender = sender
        self._outbox = outbox
        self._spare = spare
        self._spool = Spool(spool) if spool else None
        self._now = now
        self._own = own
        self._forgotten = forgotten
        self._look_s = 0.0
        self._inbox: queue.Queue[Message | None] = queue.Queue(INBOX)
        self._acknowledged: deque[_Acknowledged] = deque()
        self._nudged = False  # one nudge waits in the inbox: another would only make it longer
        self._stopping = threading.Event()
        self._states: dict[str, Message] = {}  # retained messages by topic: the newest of each
        self._again: deque[Callable[[str], bool]] = deque()  # which topics are to be told again
        self._topics: dict[int, str] = {}  # by the broker's number: of what it has not answered
        self._refused: dict[str, None] = {}  # topics, in order
        self._in_flight: dict[int, tuple[Outbox, int]] = {}  # by the broker's number: row ids
        self._settled: deque[tuple[Outbox, int]] = deque()  # the broker has them: to forget
        self._pause_until_s = 0.0  # refused for now
        self._one_by_one = False  # and since then more may be
        self._held_until_s = float("inf")  # what is not allowed, and durable, waits until then
        self._look_disk_s = 0.0
        self._last_sent = {outbox: 0, spare: 0}
        self._connections_seen = 0
        self._disk_failed = False
        self._written = False  # since the disk failed last
        self.counters = Counters()

    def offer(self, message: Message) -> None:
        """Hand over a message from any thread; never blocks."""
        try:
            self._inbox.put_nowait(message)
        except queue.Full:
            self.counters.inbox_dropped += 1

    def acknowledged(self, mid: int, refused: Refusal) -> None:
        """Note an acknowledgement, from the network thread; never blocks."""
        # It may arrive before `publish` has returned its number: the publish thread sorts it out.
        self._acknowledged.append(_Acknowledged(mid, refused))
        self._nudge()

    def tell_again(self, wanted: Callable[[str], bool] = _any) -> None:
        """Tell retained states of wanted topics again, from any thread; never blocks."""
        self._again.append(wanted)
        self._nudge()

    @property
    def refused_topics(self) -> tuple[str, ...]:
        """What the broker did not take when it was told last."""
        return tuple(self._refused)

    @property
    def depth(self) -> int:
        """Durable messages that the broker does not have yet."""
        return self._outbox.depth + self._spare.depth

    @property
    def dropped(self) -> int:
        """Durable messages that went because the outbox was full."""
        return self._outbox.dropped + self._spare.dropped

    @property
    def in_flight(self) -> tuple[int, ...]:
        """Numbers of the durable messages that the broker has not acknowledged yet."""
        return tuple(self._in_flight)

    def stop(self) -> None:
        """Make `run` return once everything offered before has been taken; never blocks."""
        self._stopping.set()
        self._nudge()

    def run(self) -> None:
        """Take messages until `stop`, then give the broker a moment to acknowledge."""
        while not self._stopping.is_set() or not self._inbox.empty():
            self._step()
        end_s = time.monotonic() + GOODBYE_S
        while self._sender.connected and (self._in_flight or self._unsent()):
            if time.monotonic() > end_s:
                break
            self._step()

    def _nudge(self) -> None:
        if self._nudged:
            return
        self._nudged = True
        with contextlib.suppress(queue.Full):  # then the thread has no need of it
            self._inbox.put_nowait(None)

    def _step(self) -> None:
        """Take what has come, and do whatever else is due."""
        with contextlib.suppress(queue.Empty):
            # All of it: what is sent meanwhile must not make a live value wait for its turn.
            for number in range(INBOX):
                message = self._inbox.get(block=number == 0, timeout=DRAIN_S)
                if message:
                    self._take(message)
        self._nudged = False
        while self._acknowledged:
            self._settle(self._acknowledged.popleft())
        # Each by itself: a disk that can't be written keeps nobody from sending what is in memory.
        works = (self._forget_settled, self._look_after_disk, self._collect, self._drain)
        for work in works:
            try:
                work()
            except StorageError as error:
                self._disk_fails(error)
        if self._disk_failed and self._written:
            log.warning("the outbox is written again")
            self._disk_failed = False

    def _look_after_disk(self) -> None:
        """Now and then: see whether it can be used again, and forget what is too old."""
        now_s = time.monotonic()
        if now_s >= self._look_disk_s:
            self._look_disk_s = now_s + LOOK_DISK_S
            self._outbox.open()
            self._return_from_spare()
            self._outbox.forget_old(self._now(), now_s)

    def _collect(self) -> None:
        """Take what other processes have left; on a bad disk what is durable stays there, too."""
        if self._spool and time.monotonic() >= self._look_s:
            self._look_s = time.monotonic() + LOOK_S
            # It may tell why nothing can be written: then from memory.
            self._spool.collect(
                self._take_over, copy=lambda message: self._spare.put(message, self._now())
            )

    def _take_over(self, message: Message) -> None:
        if message.durable:
            self._outbox.put(message, self._now())
        else:
            self._take(replace(message, topic=self._own(message.topic)))

    def _take(self, message: Message) -> None:
        if message.durable:
            self._store(message)
            return
        if message.retain:
            self._states[message.topic] = message
            if self._connections_seen != self._sender.connections:
                return  # all states are told at the start of a connection, this one too
        if self._sender.connected:
            self._publish(message)
            self.counters.sent += 1
        elif not message.retain:
            self.counters.live_dropped += 1

    def _store(self, message: Message) -> None:
        try:
            self._return_from_spare()  # first, so that the order stays
            self._outbox.put(message, self._now())
        except StorageError as error:
            self._disk_fails(error)
            self.counters.unstored += 1
            self._spare.put(message, self._now())
        else:
            self._written = True

    def _return_from_spare(self) -> None:
        """Write down what waits in memory and was not sent yet."""
        if not self._spare.depth:
            return
        for row in self._spare.waiting(after=self._last_sent[self._spare], limit=self._spare.depth):
            if not self._is_sent(self._spare, row.row_id):
                self._outbox.put(row.message, row.moment)
                self._spare.done(row.row_id)
                self._written = True

    def _disk_fails(self, error: StorageError) -> None:
        if not self._disk_failed:
            log.error("%s; messages are kept in memory meanwhile", error)
        self._disk_failed = True
        self._written = False
        if isinstance(error, DamagedError):
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Begin another outbox; what was in flight is repeated by the client alone."""
        # Before all else: numbers of the old file mean other messages in the new one.
        self._last_sent[self._outbox] = 0
        self._in_flight = {
            mid: one for mid, one in self._in_flight.items() if one[0] is self._spare
        }
        self._settled = deque(one for one in self._settled if one[0] is self._spare)
        with contextlib.suppress(StorageError):  # the next use tries again
            self._outbox.begin_anew()

    def _drain(self) -> None:
        if not self._sender.connected:
            return
        if self._connections_seen != self._sender.connections or self._again:
            self._tell_states()
        if time.monotonic() < self._pause_until_s:
            return
        if time.monotonic() >= self._held_until_s:
            self._held_until_s = float("inf")
            self._last_sent = dict.fromkeys(self._last_sent, 0)
        for box in (self._outbox, self._spare):
            try:
                self._send_waiting(box)
            except StorageError as error:
                self._disk_fails(error)
        if self._one_by_one and not self._in_flight:
            self._one_by_one = self._unsent()

    def _tell_states(self) -> None:
        """Tell the retained states: all to a new connection, which may have forgotten them."""
        again = tuple(self._again.popleft() for _ in range(len(self._again)))
        if self._connections_seen != self._sender.connections:
            self._connections_seen, again = self._sender.connections, (_any,)
        if self._held_until_s < float("inf"):
            self._held_until_s = 0.0
        for topic, state in self._states.items():
            if any(wanted(topic) for wanted in again):
                self._publish(state)

    def _send_waiting(self, box: Outbox) -> None:
        room = (1 if self._one_by_one else IN_FLIGHT) - len(self._in_flight)
        if room <= 0 or not box.depth:
            return
        for row in box.waiting(after=self._last_sent[box], limit=room):
            self._last_sent[box] = row.row_id
            # After a refusal the reading goes back, over some that are sent already.
            if not self._is_sent(box, row.row_id):
                message = corrected(row, self._now())
                message = replace(message, topic=self._own(message.topic))
                self._in_flight[self._publish(message)] = (box, row.row_id)
                self.counters.sent += 1

    def _publish(self, message: Message) -> int:
        mid = self._sender.publish(message)
        if mid < 0 or (message.qos and mid):
            self._topics[mid] = message.topic
        return mid

    def _is_sent(self, box: Outbox, row_id: int) -> bool:
        return (box, row_id) in self._in_flight.values() or (box, row_id) in self._settled

    def _settle(self, item: _Acknowledged) -> None:
        waiting = self._in_flight.pop(item.mid, None)
        topic = self._topics.pop(item.mid, "")
        state = self._states.get(topic)
        if state and not state.payload and item.refused is not Refusal.FOR_NOW:
            del self._states[topic]  # what comes there later is another box's
            self._refused.pop(topic, None)
            self._forgotten(topic, item.refused)
        elif topic:  # what goes with QoS 0 is answered by the client alone
            self._note_refusal(topic, item.refused)
        if item.refused is Refusal.FOR_NOW:
            self._pause_until_s = time.monotonic() + AGAIN_S
            # A message that is refused is overtaken by those sent behind it. What is on its way
            # already can't be held back; from now on nothing more is sent before an answer.
            self._one_by_one = True
        if waiting and item.refused is Refusal.FOR_NOW:
            box, row_id = waiting
            self._last_sent[box] = min(self._last_sent[box], row_id - 1)
        elif waiting and item.refused in {Refusal.NOT_ALLOWED, Refusal.TOO_LARGE}:
            # Somebody may mend the access list, or the limit: nothing is lost by it until the
            # outbox is full.
            self._held_until_s = min(self._held_until_s, time.monotonic() + HELD_S)
        elif waiting:
            self._settled.append(waiting)

    def _note_refusal(self, topic: str, refused: Refusal) -> None:
        if refused is Refusal.NOT:
            if topic in self._refused:
                del self._refused[topic]
                log.warning("the broker takes %s again", topic)
            return
        self.counters.refused += 1
        if topic not in self._refused and len(self._refused) < MOST_REFUSED:
            self._refused[topic] = None
            log.error("the broker refuses %s (%s)", topic, refused.value)

    def _forget_settled(self) -> None:
        for box in (self._outbox, self._spare):
            if rows := [row_id for one, row_id in self._settled if one is box]:
                box.done(*rows)  # what fails here is tried again at the next step
                self._settled = deque(item for item in self._settled if item[0] is not box)

    def _unsent(self) -> bool:
        try:
            return time.monotonic() >= self._pause_until_s and any(
                box.depth and box.waiting(after=last, limit=1)
                for box, last in self._last_sent.items()
            )
        except StorageError:  # said where it is read to be sent
            return False
