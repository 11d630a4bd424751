# SPDX-License-Identifier: MIT
"""What makes a file outlive a power cut: its content on the disk, then its name."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file, its folder made: after a power cut it is the old one or the new one, whole.

    Raises OSError; then the old one is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            os.fchmod(file.fileno(), mode)
            write_through(file, data)
        unfinished.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_through(file: BinaryIO, data: bytes) -> None:
    """Write what is on the disk when this returns. Raises OSError."""
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def sync(directory: Path) -> None:
    """Put the names in a folder on the disk: syncing a file is for its content alone."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
