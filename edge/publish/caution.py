# SPDX-License-Identifier: MIT
"""Topics for which a broker may throw a box out: others than its own, as Home Assistant's.

Some brokers end the connection at what an access list does not allow (EMQX's
`deny_action = disconnect`, AWS IoT); told at each connection, that would keep the box out for ever.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge.types import Message

log = logging.getLogger(__name__)

PROOF_S: Final = 5.0  # a connection that lasts so long behind such a message has borne it
MOST: Final = 3  # connections in a row that did not
AGAIN_S: Final = 3600.0


class _Trust(Enum):
    UNSURE = "unsure"
    TRUSTED = "trusted"
    SILENT = "silent"


class Caution:
    """Whether messages below `prefix` are said; a broker that has once borne them is trusted.

    Until then they go with QoS 0: the client repeats what was not acknowledged at each connection.
    `connected` and `lost` are called on the mqtt thread, `dressed` on the publish thread, `look`
    on the main one.

    Parameters
    ----------
    prefix : empty: there are no such topics.
    """

    def __init__(self, prefix: str) -> None:
        self._below = f"{prefix}/"
        self._trust = _Trust.UNSURE if prefix else _Trust.TRUSTED
        self._tried_s: float | None = None  # in this connection
        self._told = False
        self._short = 0
        self._since_s: float | None = None  # this connection's beginning
        self._early = 0  # connections in a row that lasted less than `PROOF_S`

    @property
    def put_out(self) -> bool:
        """Whether each connection ends at once, with and without what is doubtful."""
        return self._early > MOST

    @property
    def silent(self) -> bool:
        """Whether they are left out."""
        return self._trust is _Trust.SILENT

    def allows(self, topic: str) -> bool:
        """Return whether a topic may be spoken of now."""
        return not (self.silent and topic.startswith(self._below))

    def connected(self, now_s: float) -> None:
        """Note that the broker has accepted us."""
        self._told = False
        self._since_s = self._tried_s = now_s

    def dressed(self, message: Message, now_s: float) -> Message | None:
        """Return how a message is sent now; None: not at all."""
        if self._trust is _Trust.TRUSTED or not message.topic.startswith(self._below):
            return message
        if self.silent:
            return None
        self._told = True
        self._tried_s = now_s
        return replace(message, qos=0)

    def lost(self, now_s: float) -> None:
        """Note that the connection broke, for whatever reason but another client of our id."""
        since_s, self._since_s = self._since_s, None
        if since_s is not None:
            self._early = 0 if now_s - since_s >= PROOF_S else self._early + 1
        tried_s, self._tried_s = self._tried_s, None
        if tried_s is None or self._trust is _Trust.TRUSTED:
            return
        if now_s - tried_s >= PROOF_S:
            self._short = 0
        elif self.silent:  # that was not the cause, then
            self._trust, self._short = _Trust.UNSURE, 0
        else:
            self._short += 1
            if self._short >= MOST:
                self._trust = _Trust.SILENT
                if not self.put_out:
                    text = "the broker ends the connection, it seems at %s…: it is left out"
                    log.error(text, self._below)

    def look(self, now_s: float) -> bool:
        """Return whether all is to be told again: with trust now, or after an hour's silence."""
        if self.put_out and self._since_s is not None and now_s - self._since_s >= PROOF_S:
            self._early = 0
            log.warning("the broker keeps the connection again")
        tried_s = self._tried_s
        if tried_s is None or self._trust is _Trust.TRUSTED:
            return False
        if self.silent and now_s - tried_s >= AGAIN_S:
            self._trust, self._short = _Trust.UNSURE, 0
            return True
        if self._told and now_s - tried_s >= PROOF_S:
            self._trust = _Trust.TRUSTED
            return True
        return False
