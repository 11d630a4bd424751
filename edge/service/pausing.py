# SPDX-License-Identifier: MIT
"""A pause: for a while the box makes no events and clips; levels go on.

==========  =====================================================================
thread      calls
==========  =====================================================================
mqtt        `pause`, `resume`, `refuse`
inference   `active`: nothing is classified meanwhile
measure     `active`: no alarm begins meanwhile
main        `look`: says when it has ended by itself
==========  =====================================================================

It ends with the process: a box that was forgotten in a pause hears again after a restart.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from edge.publish import payloads
from edge.service.commands import CommandError, only

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.publish.payloads import Topics
    from edge.service.commands import Body, Reply
    from edge.types import Message

DEFAULT_S: Final = 3600.0
LONGEST_S: Final = 86400.0


class Pausing:
    """Whether the box pauses now, and until when."""

    def __init__(self, topics: Topics, send: Callable[[Message], None]) -> None:
        self._topics = topics
        self._send = send
        self._until_s = 0.0
        self._told = False

    @property
    def active(self) -> bool:
        """Whether it pauses now."""
        return time.monotonic() < self._until_s

    def pause(self, body: Body, reply: Reply) -> None:
        """Obey {"seconds": 3600}, from now on; 0 ends a pause."""
        only(body, "seconds")
        seconds = body.get("seconds", DEFAULT_S)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise CommandError(f"seconds = {seconds!r:.40} is no number", 'send {"seconds": 3600}')
        if not 0.0 <= seconds <= LONGEST_S:
            raise CommandError(f"seconds = {seconds!r:.20}", f"send 0 to {LONGEST_S:g}")
        self._set(seconds)
        reply({"ok": True, "seconds": seconds})

    def resume(self, body: Body, reply: Reply) -> None:
        """End a pause, if there is one."""
        only(body)
        self._set(0.0)
        reply({"ok": True})

    def refuse(self) -> None:
        """Raise `CommandError` in a pause."""
        if self.active:
            raise CommandError("the box pauses", "send the command `resume` first")

    def look(self) -> bool:
        """Tell where it has begun or ended; return whether it has."""
        active = self.active
        if active == self._told:
            return False
        self._told = active
        self._send(payloads.paused(self._topics, on=active))
        return True

    def tell(self) -> None:
        """Tell how it is."""
        self._send(payloads.paused(self._topics, on=self.active))

    def _set(self, seconds: float) -> None:
        self._until_s = time.monotonic() + seconds if seconds else 0.0
