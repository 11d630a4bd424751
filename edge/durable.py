# SPDX-License-Identifier: MIT
"""What makes a file outlive a power cut: its content on the disk, then its name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO


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
