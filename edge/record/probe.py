# SPDX-License-Identifier: MIT
"""Whether a folder takes data: only writing tells."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Final

from edge.errors import StorageError
from edge.record.durable import OWNER_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

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
