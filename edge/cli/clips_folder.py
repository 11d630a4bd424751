# SPDX-License-Identifier: MIT
"""The folder that clips are in, and folders that they go to."""

from __future__ import annotations

import io
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from edge.config.load import load_settings
from edge.errors import StorageError
from edge.record.durable import OWNER_FOLDER, create
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

    It is for its owner alone. Raises `StorageError`.
    """
    unfinished = target.with_name(f".{target.name}{UNFINISHED}")
    try:
        target.parent.mkdir(OWNER_FOLDER, parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        with create(unfinished) as out, _opened(content) as source:
            shutil.copyfileobj(source, out)
        unfinished.replace(target)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise StorageError(
            f"{target} can't be written: {error.strerror}", "name a folder of yours with room in it"
        ) from error


def _opened(content: Path | bytes) -> BinaryIO:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
