# SPDX-License-Identifier: MIT
"""Whether the listening process hears something now, told to other processes by a lock.

A lock writes nothing to the card, and it is gone with the process that holds it:
a listener that was killed hears nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config.schema import Settings

log = logging.getLogger(__name__)

_NAME = "hearing.lock"


class Hearing:
    """The listener's side: `tell` whether an event is open.

    Raises `OSError` if the file can't be made.
    """

    def __init__(self, state_directory: Path) -> None:
        state_directory.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(state_directory / _NAME, os.O_RDWR | os.O_CREAT, 0o644)
        self._told = False

    def tell(self, *, heard: bool) -> None:
        """Take or give back the lock; never waits (who looks holds it for microseconds)."""
        if heard == self._told:
            return
        with contextlib.suppress(BlockingIOError):  # a look in this very moment: tell again later
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB if heard else fcntl.LOCK_UN)
            self._told = heard

    def close(self) -> None:
        """Hear nothing any more."""
        os.close(self._handle)


def hearing_of(settings: Settings) -> Hearing | None:
    """Return the listener's side; None where the state directory can't be written."""
    try:
        return Hearing(settings.state.path)
    except OSError as error:
        log.warning("idle-time analysis can't see when something is heard: %s", error)
        return None


def is_hearing(state_directory: Path) -> bool:
    """Return whether a listener of this state directory has an open event."""
    try:
        handle = os.open(state_directory / _NAME, os.O_RDONLY)
    except OSError:
        return False  # no listener has ever run here
    try:
        # Shared: several who look do not take each other for a listener.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
