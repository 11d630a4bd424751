# SPDX-License-Identifier: MIT
"""One process analyses the clips of a box."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from edge.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path


def take_lock(state_directory: Path) -> int:
    """Return the lock of the one process that analyses this box's clips, held until closed.

    Raises `StorageError` where there is one already.
    """
    path = state_directory / "analyze.lock"
    try:
        state_directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(
            f"{path} can't be used: {error.strerror}", "make it writable for this user"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StorageError(
            f"the clips of {state_directory} are being analysed by another process",
            "there can be one; `systemctl status edge-analyze` shows it",
        ) from None
    return lock
