# SPDX-License-Identifier: MIT
"""Clips on disk: each is there whole, or nothing is that anybody takes for one."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from edge.durable import sync
from edge.errors import StorageError
from edge.record.durable import OWNER_FILE, OWNER_FOLDER, commit, take_lock
from edge.record.folder import (
    Entry,
    buckets,
    find_leftovers,
    list_files,
    read_clips,
    read_sidecar,
)
from edge.record.name import (
    AUDIO,
    CLIPS_PER_FOLDER,
    DERIVED,
    ENDINGS,
    KEEP,
    SIDECAR,
    UNFINISHED,
    folder_of,
    name_clip,
    read_stem,
    split,
)
from edge.record.probe import require_mount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge.record.name import ClipName

__all__ = ["ClipStore", "Entry"]

log = logging.getLogger(__name__)

_WRITER: Final = ".writer"
_NUMBER: Final = ".number"
_MOST_DIGITS: Final = 18

# The mark first, so that a power cut leaves an unmarked clip; then the audio: what has
# none is a leftover, not a clip.
_CLIP: Final = (KEEP, *AUDIO, SIDECAR)
_DELETED: Final = (*_CLIP, *DERIVED, *(f"{ending}{UNFINISHED}" for ending in sorted(ENDINGS)))


class ClipStore:
    """The clips of a box, in folders of a thousand.

    One process writes (`open`, `save`); any number may list, delete and mark at the same
    time. Keeps the writer's lock and the next number, nothing else: what it says is what
    is on disk. Used by one thread.

    Parameters
    ----------
    directory : holds the folders; made by `open`.
    require_mount : nothing is written while it is on the system's own disk.

    Raises
    ------
    StorageError
        from every method, when the disk refuses; `__cause__` is the OSError.
    """

    def __init__(self, directory: Path, *, require_mount: bool = False) -> None:
        self.directory = directory
        self._require_mount = require_mount
        self._writer: int | None = None
        self._next = 0

    def open(self) -> int:
        """Become the one writer; return how many files of unfinished clips were removed.

        Raises `StorageError` where another process is the writer.
        """
        self._look_for_disk()
        try:
            self.directory.mkdir(OWNER_FOLDER, parents=True, exist_ok=True)
            self._writer = take_lock(self.directory / _WRITER)
            return self._tidy()
        except BlockingIOError as error:
            raise StorageError(
                f"another process writes clips into {self.directory}",
                "stop the other `edge listen`, or give this one a folder of its own",
            ) from error
        except OSError as error:
            self.close()
            raise self._unusable(error) from error

    def close(self) -> None:
        """Let another process write; a second call does nothing."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def __enter__(self) -> Self:
        """Open and return itself."""
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def save(self, sidecar: Mapping[str, Any], audio: bytes | None, extension: str) -> Path:
        """Write a clip down, synced to the disk; return the path of its sidecar.

        Parameters
        ----------
        sidecar : gets `number` and `file` beside its own keys. Its first label, `start_time`
            and `clock_synchronised` name the clip.
        audio : a whole file; None: a clip without its sound.
        extension : "flac", "wav", "flac.age" or "wav.age".

        Raises `StorageError` with nothing left behind; `__cause__.errno` is ENOSPC on a full
        disk. Raises ValueError for another extension and for what JSON can't say.
        """
        if self._writer is None:
            message = "save() needs open()"
            raise RuntimeError(message)
        if f".{extension}" not in AUDIO:
            message = f"{extension!r} is none of {', '.join(AUDIO)}"
            raise ValueError(message)
        name = name_clip(self._next, sidecar)
        file = f"{name.stem}.{extension}" if audio is not None else None
        content = {**sidecar, "number": name.number, "file": file}
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
        files = {f"{name.stem}{SIDECAR}": text.encode()}
        if file is not None and audio is not None:
            files[file] = audio
        bucket = self.directory / name.folder
        self._look_for_disk()
        try:
            commit(bucket, files)
        except OSError as error:
            raise StorageError(
                f"a clip can't be written into {bucket}: {error.strerror}",
                "free some space, or make the folder writable for this user",
            ) from error
        self._next += 1
        return bucket / f"{name.stem}{SIDECAR}"

    def entries(self, *, newest_first: bool = False) -> Iterator[Entry]:
        """Give the whole clips in the order of their numbers, folder by folder.

        What vanishes meanwhile is left out; where there is no store there is no clip.
        """
        try:
            for bucket in buckets(self.directory, newest_first=newest_first):
                yield from read_clips(bucket, newest_first=newest_first)
        except OSError as error:
            raise self._unusable(error) from error

    def find(self, wanted: str, *, by_id: bool = True) -> Entry:
        """Return the clip that a number, a stem, a file's name or path, or a clip_id names.

        A clip_id is looked for in all sidecars, newest first. Without `by_id` it is none, nor is
        a path: then no more is looked at than the names in one folder. Raises `StorageError`
        where no clip or more than one is meant.
        """
        try:
            found = self._named(self._without_folder(wanted) if by_id else wanted)
            if found is None:
                found = list(self._identified(wanted)) if by_id else []
        except OSError as error:
            raise self._unusable(error) from error
        if not found:
            raise StorageError(
                f"there is no clip {wanted[:80]!r} in {self.directory}", "see `edge clips list`"
            )
        if len(found) > 1:
            raise StorageError(
                f"{wanted!r} names {len(found)} clips: {', '.join(each.stem for each in found)}",
                "name one of them in full",
            )
        return found[0]

    def sidecar(self, entry: Entry) -> dict[str, Any]:
        """Return what the sidecar of a clip says. Raises `StorageError` where it is damaged."""
        return read_sidecar(entry.sidecar)

    def delete(self, entry: Entry) -> int:
        """Delete all files of a clip; return how many bytes that freed.

        Frees 0 where it is gone, or was marked since it was listed; one that was listed as
        marked goes. Raises `StorageError` where its sound or its sidecar can't go; what else
        can't, goes on without it.
        """
        if not entry.kept and (entry.bucket / f"{entry.stem}{KEEP}").exists():
            return 0
        try:
            return self._remove(entry.bucket, entry.number, entry.stem)
        except OSError as error:
            raise self._unusable(error) from error

    def sweep(self, bucket: Path, orphan: ClipName) -> None:
        """Delete what was made of a clip that is gone; what can't go stays.

        Only for the writer. Raises `StorageError`.
        """
        try:
            self._remove(bucket, orphan.number, orphan.stem)
        except OSError as error:
            raise self._unusable(error) from error

    def set_keep(self, entry: Entry, keep: bool) -> None:  # noqa: FBT001 - what is set is what it says
        """Mark a clip as never to be deleted by itself, or take the mark away."""
        mark = entry.bucket / f"{entry.stem}{KEEP}"
        try:
            if not keep:
                mark.unlink(missing_ok=True)
                sync(entry.bucket)
                return
            if entry.sidecar.exists():
                mark.touch(OWNER_FILE)
                sync(entry.bucket)
            if not entry.sidecar.exists():  # retention was quicker
                mark.unlink(missing_ok=True)
                raise StorageError(f"clip {entry.number} was deleted")
        except OSError as error:
            raise self._unusable(error) from error

    def _look_for_disk(self) -> None:
        if self._require_mount:
            require_mount(self.directory)

    def _tidy(self) -> int:
        """Remove leftovers and find the next number; return how many files went."""
        removed = 0
        highest = 0
        for bucket in buckets(self.directory):
            for name, files in list_files(bucket).items():
                highest = max(highest, name.number)
                for ending in find_leftovers(bucket, name, files):
                    removed += _unlink(files[ending].path)
        self._next = max(highest + 1, self._passed(highest))
        return removed

    def _named(self, wanted: str) -> list[Entry] | None:
        """Return the clips of a number, a stem or a file's name; None: it is no such thing."""
        if wanted.isdecimal():
            usual = wanted.isascii() and len(wanted) <= _MOST_DIGITS
            return self._numbered(int(wanted)) if usual else []
        parts = split(wanted)
        name = read_stem(parts[0] if parts else wanted)
        if name is None:
            return None
        return [each for each in self._numbered(name.number) if each.stem == name.stem]

    def _numbered(self, number: int) -> list[Entry]:
        return list(read_clips(self.directory / folder_of(number), number=number))

    def _without_folder(self, wanted: str) -> str:
        """Return the name that a path, from here or from the store, has in this store.

        What is no such path is returned as it is.
        """
        path = Path(wanted)
        try:
            folders = {path.parent.resolve(), (self.directory / path).parent.resolve()}
        except (ValueError, RuntimeError):  # no text for a path; links in a circle
            return wanted
        inside = {folder.name for folder in folders if folder.parent == self.directory.resolve()}
        name = read_stem(path.name.removeprefix(".").partition(".")[0])
        return path.name if name and name.folder in inside else wanted

    def _identified(self, clip_id: str) -> Iterator[Entry]:
        for entry in self.entries(newest_first=True):
            with suppress(StorageError):  # a damaged sidecar is not what is looked for
                if read_sidecar(entry.sidecar).get("clip_id") == clip_id:
                    yield entry
                    return

    def _remove(self, bucket: Path, number: int, stem: str) -> int:
        passed = self._passed(number)
        freed = 0
        for ending in _DELETED:
            hidden = "." if ending.endswith(UNFINISHED) else ""
            path = f"{bucket}/{hidden}{stem}{ending}"
            try:
                size = os.lstat(path).st_size
                os.unlink(path)  # noqa: PTH108 - thousands at a time: a Path costs more than the file
                freed += size
            except (FileNotFoundError, IsADirectoryError):  # a folder is none of ours
                continue
            except OSError:  # such as a file that is immutable
                if ending in _CLIP:
                    raise
        # Never a folder that the next clip may go into.
        if number // CLIPS_PER_FOLDER < passed // CLIPS_PER_FOLDER:
            with suppress(OSError):
                bucket.rmdir()
        return freed

    def _passed(self, number: int) -> int:
        """Return a number that is over `number` and over all that ever were deleted.

        Written down before a clip goes, so that no number comes twice. Deleting oldest
        first, it is written once for as many clips as there are.
        """
        handle = os.open(
            self.directory / _NUMBER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_FILE
        )
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            text = os.pread(handle, _MOST_DIGITS + 1, 0)
            passed = int(text) if text.strip().isdigit() else 0
            if number >= passed:
                passed = max(number, self._highest()) + 1
                os.ftruncate(handle, os.pwrite(handle, f"{passed}\n".encode(), 0))
                os.fsync(handle)
            return passed
        finally:
            os.close(handle)

    def _highest(self) -> int:
        """Return the highest number on disk."""
        newest = (list_files(bucket) for bucket in buckets(self.directory, newest_first=True))
        return max(chain((name.number for name in next(filter(None, newest), {})), [0]))

    def _unusable(self, error: OSError) -> StorageError:
        return StorageError(
            f"the clips in {self.directory} can't be used: {error.strerror}",
            "make the folder readable and writable for this user, or become its owner",
        )


def _unlink(path: str) -> bool:
    """Return whether a leftover went; one that can't hinders nobody."""
    try:
        Path(path).unlink()
    except OSError as error:
        log.warning("%s can't be removed: %s", path, error.strerror)
        return False
    return True
