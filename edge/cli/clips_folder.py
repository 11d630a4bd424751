# SPDX-License-Identifier: MIT
"""The folder that clips are in, and folders that they go to."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from edge.config.load import load_settings
from edge.errors import StorageError
from edge.record.name import UNFINISHED
from edge.record.store import ClipStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def open_store(config_file: Path | None, overrides: tuple[str, ...]) -> ClipStore:
    """Return the clips of the box that the settings name, for reading, deleting and marking."""
    return ClipStore(load_settings(config_file, overrides).clips)


def refuse_existing(targets: Iterable[Path]) -> None:
    """Raise `StorageError` where one of `targets` is there already."""
    there = next((target for target in targets if target.exists()), None)
    if there is not None:
        raise StorageError(f"{there} is there already", "add --force to overwrite it")


def put(target: Path, content: Path | bytes) -> None:
    """Write a file, or a copy of one, whole or not at all; folders are made.

    Raises `StorageError`.
    """
    unfinished = target.with_name(f".{target.name}{UNFINISHED}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            unfinished.write_bytes(content)
        else:
            shutil.copyfile(content, unfinished)
        unfinished.replace(target)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise StorageError(
            f"{target} can't be written: {error.strerror}", "name a folder of yours with room in it"
        ) from error
