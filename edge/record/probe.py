# SPDX-License-Identifier: MIT
"""Whether a folder takes data: only writing tells. Whether it is on the disk that is meant."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

from edge.errors import StorageError
from edge.record.durable import OWNER_FOLDER

PROBE_BYTES: Final = 65536


def probe(directory: Path, key: str) -> None:
    """Write and sync a file without a name; raises `StorageError` that names the setting `key`.

    Root may write everywhere, but not on a full or read-only disk.
    """
    try:
        directory.mkdir(OWNER_FOLDER, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(
            f"{directory} can't be written: {error.strerror}",
            f"change {key}, its owner, or make room",
        ) from error


def require_mount(directory: Path) -> None:
    """Refuse a folder, there or not, that is on the system's disk: its own is not mounted.

    Where a disk is missing its mount point is a plain folder that takes data. Raises
    `StorageError`; its `__cause__` is an OSError.
    """
    folder = directory.absolute()
    try:
        there = next(each for each in (folder, *folder.parents) if each.exists())
        if there.stat().st_dev == Path("/").stat().st_dev:
            raise OSError(errno.ENODEV, "only the system's own disk is there")  # noqa: TRY301 - one message for both
    except OSError as error:
        raise StorageError(
            f"the disk of {directory} is not mounted: {error.strerror}",
            "mount it, or set record.require_mount = false",
        ) from error
