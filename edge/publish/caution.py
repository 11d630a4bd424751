# SPDX-License-Identifier: MIT
"""Topics for which a broker may throw a box out: all but its own, as Home Assistant's.

Some brokers end the connection at what an access list does not allow (EMQX's
`deny_action = disconnect`, AWS IoT); told at each connection, that would keep the box out for ever.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge.types import Message

log = logging.getLogger(__name__)

BEHIND_S: Final = 1.0  # what is asked so long after a message was handed over is behind it
PROOF_S: Final = 5.0  # a connection that lasts so long behind such a message has borne it
MOST: Final = 3  # connections in a row that did not
AGAIN_S: Final = 3600.0


class Caution:
    """Whether messages outside the box's own topics are said.

    They go with QoS 0, since the client repeats what was not acknowledged at each connection. Once
    a connection has borne one, and the broker has answered to what came behind it, it is told again
    with the QoS that it has, so that a refusal is known. An access list may change at any time:
    what is said later is tried first, too.
    What only takes away, as what a box told by a former name, is left out first.
    Called on the mqtt, publish and main threads.

    Parameters
    ----------
    own : root of the topics that are surely the box's; empty: all are.
    """

    def __init__(self, own: str) -> None:
        self._own = f"{own}/" if own else ""
        self._lock = threading.Lock()
        # Of this connection, by topic:
        self._tried_s: dict[str, float] = {}  # when, of what is not borne yet
        self._borne: set[str] = set()  # to be said again
        self._said: set[str] = set()  # again
        self._read_s = float("-inf")  # what was said before that the broker has read
        self._short = 0  # connections in a row that ended soon after it
        self._silent_s: float | None = None  # since when it is left out
        self._relieved = False  # of something that may have been all that is not borne
        self._since_s: float | None = None  # this connection's beginning
        self._early = 0  # connections in a row that lasted less than `PROOF_S`

    @property
    def put_out(self) -> bool:
        """Whether each connection ends at once, with and without what is doubtful."""
        return self._early > MOST

    @property
    def silent(self) -> bool:
        """Whether they are left out."""
        return self._silent_s is not None

    def connected(self, now_s: float) -> None:
        """Note that the broker has accepted us."""
        with self._lock:
            self._forget_connection()
            self._since_s = now_s

    def allow(self, topic: str, now_s: float) -> bool:
        """Return whether a topic may be asked for now, and take it as asked for."""
        if not self.concerns(topic):
            return True
        with self._lock:
            if not self.silent:
                self._try(topic, now_s)
            return not self.silent

    def dressed(self, message: Message, now_s: float) -> Message | None:
        """Return how a message is sent now; None: not at all.

        What takes away is given up then, and the rest has its tries again.
        """
        if message.durable or not self.concerns(message.topic):
            return message
        with self._lock:
            if self.silent:
                self._relieved |= not message.payload
                return None
            self._said.discard(message.topic)
            if message.topic in self._borne:
                self._borne.discard(message.topic)
                self._said.add(message.topic)
                return message
            self._try(message.topic, now_s)
            return replace(message, qos=0)

    def lost(self, now_s: float, *, taken_over: bool = False) -> None:
        """Note that the connection broke, or that another client of our id has taken it over."""
        with self._lock:
            since_s, tried_s = self._since_s, self._tried_s
            self._forget_connection()
            if since_s is None or taken_over:
                return
            early = now_s - since_s < PROOF_S
            self._early = self._early + 1 if early else 0
            if self.silent and early:  # that was not the cause, then
                self._end_silence()
            elif tried_s:
                self._short = self._short + 1 if now_s - max(tried_s.values()) < PROOF_S else 0
                if self._short >= MOST:
                    self._fall_silent(now_s)

    def look(self, now_s: float) -> bool:
        """Return whether some are to be told again: borne, or when silence ends."""
        with self._lock:
            if self.put_out and self._since_s is not None and now_s - self._since_s >= PROOF_S:
                self._early = 0
                log.warning("the broker keeps the connection again")
            if self._silent_s is not None and (self._relieved or now_s - self._silent_s >= AGAIN_S):
                self._early = 0
                self._end_silence()
                return True
            until_s = min(self._read_s - BEHIND_S, now_s - PROOF_S)
            borne = {one for one, at_s in self._tried_s.items() if at_s <= until_s}
            self._borne |= borne
            for topic in borne:
                del self._tried_s[topic]
            if borne and not self._tried_s:
                self._short = 0
            return bool(borne)

    def wants_answer(self, now_s: float) -> bool:
        """Return whether something was said that the broker may not have read yet."""
        with self._lock:
            tried_s = self._tried_s.values()
            return any(self._read_s < at_s + BEHIND_S <= now_s for at_s in tried_s)

    def answered(self, asked_s: float) -> None:
        """Note that the broker has answered to what was asked then: it reads in order."""
        with self._lock:
            self._read_s = max(self._read_s, asked_s)

    def due(self, topic: str) -> bool:
        """Return whether it is one that `look` has asked for."""
        with self._lock:
            known = topic in self._tried_s or topic in self._said
            return self.concerns(topic) and not known

    def concerns(self, topic: str) -> bool:
        """Return whether it is one of those."""
        return not topic.startswith(self._own)

    def _try(self, topic: str, now_s: float) -> None:
        if self._since_s is not None:
            self._tried_s.setdefault(topic, now_s)

    def _forget_connection(self) -> None:
        self._since_s, self._tried_s = None, {}
        self._borne, self._said, self._read_s = set(), set(), float("-inf")

    def _fall_silent(self, now_s: float) -> None:
        self._silent_s = now_s
        if not self.put_out:
            text = "the broker ends the connection, it seems at what is not below %s"
            log.error("%s: it is left out", text % self._own)

    def _end_silence(self) -> None:
        self._silent_s, self._short, self._relieved = None, 0, False
