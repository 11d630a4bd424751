# SPDX-License-Identifier: MIT
"""Files that a power cut leaves whole or not at all, and a lock that it opens."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final

from edge.durable import sync, write_through
from edge.record.name import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OWNER_FILE: Final = 0o600
OWNER_FOLDER: Final = 0o700
"""What was heard in a home is nobody else's: not that of other users of the box either."""


def take_lock(path: Path) -> int:
    """Lock a file, which is made; return its handle: closing it, or dying, unlocks it.

    Raises BlockingIOError where another process holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_FILE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def commit(bucket: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made, so that names appear in order and last.

    Who sees the last name finds all files whole, after a power cut too. They are for their
    owner alone. Raises OSError with
    none of them left behind.
    """
    if not bucket.is_dir():
        bucket.mkdir(OWNER_FOLDER)
        sync(bucket.parent)
    unfinished = {name: bucket / f".{name}{UNFINISHED}" for name in files}
    try:
        for name, data in files.items():
            write_new(unfinished[name], data)
        for name, path in unfinished.items():
            path.replace(bucket / name)
        sync(bucket)
    except OSError:
        _forget([*unfinished.values(), *(bucket / name for name in files)])
        raise


def write_new(path: Path, data: bytes) -> None:
    """Write a file for its owner alone and sync it. Raises OSError with nothing left behind.

    Raises FileExistsError where a file, or a link, is there already.
    """
    with create(path) as file:
        try:
            write_through(file, data)
        except OSError:
            _forget([path])
            raise


def create(path: Path) -> BinaryIO:
    """Open a new file for its owner alone, whatever the umask says. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, OWNER_FILE), "wb")


def _forget(paths: Sequence[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
