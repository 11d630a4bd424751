# SPDX-License-Identifier: MIT
"""Topics for which a broker may throw a box out: others than its own, as Home Assistant's.

Some brokers end the connection at what an access list does not allow (EMQX's
`deny_action = disconnect`, AWS IoT); told at each connection, that would keep the box out for ever.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge.types import Message

log = logging.getLogger(__name__)

PROOF_S: Final = 5.0  # a connection that lasts so long behind such a message has borne it
MOST: Final = 3  # connections in a row that did not
AGAIN_S: Final = 3600.0


class Caution:
    """Whether messages below `prefix` are said.

    They go with QoS 0, since the client repeats what was not acknowledged at each connection. Once
    a connection has borne them they are told again with the QoS they have, so that a refusal is
    known. An access list may change at any time: what is said later is tried first, too.
    `connected` and `lost` are called on the mqtt thread, `dressed` on the publish thread, `look`
    on the main one, `allow` on both that and the mqtt thread.

    Parameters
    ----------
    prefix : empty: there are no such topics.
    """

    def __init__(self, prefix: str) -> None:
        self._below = f"{prefix}/" if prefix else ""
        self._tried_s: float | None = None  # in this connection, and not borne yet
        self._borne_until_s = float("-inf")
        self._short = 0  # connections in a row that ended soon after it
        self._silent_s: float | None = None  # since when it is left out
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
        self._since_s = now_s

    def allow(self, topic: str, now_s: float) -> bool:
        """Return whether a topic may be asked for now, and take it as asked for."""
        if not self.concerns(topic):
            return True
        if not self.silent:
            self._tried_s = now_s
        return not self.silent

    def dressed(self, message: Message, now_s: float) -> Message | None:
        """Return how a message is sent now; None: not at all."""
        if not self.concerns(message.topic):
            return message
        if self.silent:
            return None
        if now_s < self._borne_until_s:
            return message
        self._tried_s = now_s
        return replace(message, qos=0)

    def lost(self, now_s: float) -> None:
        """Note that the connection broke, for whatever reason but another client of our id."""
        since_s, self._since_s = self._since_s, None
        tried_s, self._tried_s = self._tried_s, None
        self._borne_until_s = float("-inf")
        if since_s is None:
            return
        early = now_s - since_s < PROOF_S
        self._early = self._early + 1 if early else 0
        if self.silent and early:  # that was not the cause, then
            self._end_silence()
        elif tried_s is not None:
            self._short = self._short + 1 if now_s - tried_s < PROOF_S else 0
            if self._short >= MOST:
                self._silent_s = now_s
                if not self.put_out:
                    text = "the broker ends the connection, it seems at %s…: it is left out"
                    log.error(text, self._below)

    def look(self, now_s: float) -> bool:
        """Return whether they are to be told again: borne, or after an hour's silence."""
        if self.put_out and self._since_s is not None and now_s - self._since_s >= PROOF_S:
            self._early = 0
            log.warning("the broker keeps the connection again")
        if self._silent_s is not None and now_s - self._silent_s >= AGAIN_S:
            self._end_silence()
            return True
        if self._tried_s is not None and now_s - self._tried_s >= PROOF_S:
            self._tried_s, self._short = None, 0
            self._borne_until_s = now_s + PROOF_S
            return True
        return False

    def concerns(self, topic: str) -> bool:
        """Return whether it is one of those."""
        return bool(self._below) and topic.startswith(self._below)

    def _end_silence(self) -> None:
        self._silent_s, self._short = None, 0
