# SPDX-License-Identifier: MIT
"""What lies in a folder of clips, told by names alone; strangers' files are not seen.

A clip is whole when its sidecar and its audio are there. A sidecar that says `"file": null`
is whole without: the sound was left out on purpose.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.errors import StorageError
from edge.record.name import (
    AUDIO,
    DERIVED,
    KEEP,
    SEALED,
    SIDECAR,
    UNFINISHED,
    ClipName,
    is_folder,
    read_stem,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_SIDECAR_BYTES: Final = 4 << 20
"""Ours have some kilobytes; who finds a larger one does not read it into memory."""

_OWN_UNFINISHED: Final = frozenset(f"{ending}{UNFINISHED}" for ending in (SIDECAR, *AUDIO))
_MADE: Final = frozenset((*DERIVED, *(f"{ending}{UNFINISHED}" for ending in DERIVED)))


@dataclass(frozen=True, slots=True)
class Entry:
    """A clip in the store, as its file names tell it.

    `time` is the stem's part: with Z or U behind it, or "untimed". `size_bytes` is that of
    all its `files`; `kept` says that it is never deleted by itself.
    """

    number: int
    stem: str
    bucket: Path
    time: str
    label: str
    size_bytes: int
    kept: bool
    files: tuple[str, ...]

    @property
    def sidecar(self) -> Path:
        """The path of its sidecar."""
        return self.bucket / f"{self.stem}{SIDECAR}"

    @property
    def audio(self) -> Path | None:
        """The path of its sound; None where that was left out."""
        for ending in AUDIO:
            if (name := f"{self.stem}{ending}") in self.files:
                return self.bucket / name
        return None

    @property
    def sealed(self) -> bool:
        """Whether its sound is encrypted."""
        return self.audio is not None and self.audio.name.endswith(SEALED)


Files = dict[str, os.DirEntry[str]]
"""The files of one stem by their endings."""


def buckets(directory: Path, *, newest_first: bool = False) -> list[Path]:
    """Return the folders of a store in order; none where there is no store yet.

    Links are not followed. Raises OSError.
    """
    names: list[str] = []
    with suppress(FileNotFoundError), os.scandir(directory) as found:
        names = [
            each.name
            for each in found
            if is_folder(each.name) and each.is_dir(follow_symlinks=False)
        ]
    return [directory / name for name in sorted(names, key=int, reverse=newest_first)]


def list_files(bucket: Path) -> dict[ClipName, Files]:
    """Return all that is ours in a folder; nothing where it is gone. Raises OSError."""
    stems: dict[str, Files] = {}
    with suppress(FileNotFoundError), os.scandir(bucket) as found:
        for each in found:
            if (parts := split(each.name)) is not None:
                stems.setdefault(parts[0], {})[parts[1]] = each
    named = ((read_stem(stem), files) for stem, files in stems.items())
    return {name: files for name, files in named if name and name.folder == bucket.name}


def read_clips(
    bucket: Path, *, newest_first: bool = False, number: int | None = None
) -> Iterator[Entry]:
    """Give the whole clips of a folder in order, or those of one number. Raises OSError.

    Each costs one look at each of its files, and a read of the sidecar where it has no audio.
    """
    listed = list_files(bucket)
    wanted = [name for name in listed if number in {None, name.number}]
    for name in sorted(wanted, reverse=newest_first):
        if entry := _entry(bucket, name, listed[name]):
            yield entry


def find_leftovers(bucket: Path, name: ClipName, files: Files) -> list[str]:
    """Return the endings of what a power cut left of a clip: nothing of a whole one.

    Only for who holds the writer's lock: what it is just writing looks the same. A clip
    that somebody has marked was whole; whatever happened to it, the rest of it stays.
    """
    if KEEP in files or _is_whole(bucket, name, files):
        return [ending for ending in files if ending in _OWN_UNFINISHED]
    return [ending for ending, file in files.items() if file.is_file(follow_symlinks=False)]


def find_orphans(bucket: Path) -> list[ClipName]:
    """Return the clips that are gone but for what was made of them. Raises OSError.

    An analysis may end after its clip was deleted. Only for who writes the clips: to others
    a clip may come in between two looks.
    """
    return [name for name, files in list_files(bucket).items() if files.keys() <= _MADE]


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return what a sidecar says. Raises `StorageError` with the reason."""
    try:
        if path.stat().st_size > MAX_SIDECAR_BYTES:
            raise StorageError(f"{path} is damaged: too large for a sidecar")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise StorageError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise StorageError(f"{path} is damaged: not an object")
    return content


def _entry(bucket: Path, name: ClipName, files: Files) -> Entry | None:
    regular: Files = {}
    size_bytes = 0
    try:
        for ending, file in files.items():
            if not ending.endswith(UNFINISHED) and file.is_file(follow_symlinks=False):
                size_bytes += file.stat(follow_symlinks=False).st_size
                regular[ending] = file
    except FileNotFoundError:  # deleted meanwhile
        return None
    if not _is_whole(bucket, name, regular):
        return None
    return Entry(
        number=name.number,
        stem=name.stem,
        bucket=bucket,
        time=name.time,
        label=name.label,
        size_bytes=size_bytes,
        kept=KEEP in regular,
        files=tuple(sorted(file.name for file in regular.values())),
    )


def _is_whole(bucket: Path, name: ClipName, files: Files) -> bool:
    if SIDECAR not in files:
        return False
    return not files.keys().isdisjoint(AUDIO) or _is_stripped(bucket / f"{name.stem}{SIDECAR}")


def _is_stripped(sidecar: Path) -> bool:
    try:
        content = read_sidecar(sidecar)
    except StorageError as error:
        # What can't be read now may be readable tomorrow: only a damaged one is no clip.
        cause = error.__cause__
        return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
    return "file" in content and content["file"] is None
