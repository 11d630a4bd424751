# SPDX-License-Identifier: MIT
"""A folder in which messages are left for the publisher: by another process, or from the last run.

Only the listening process talks to the broker, and only one process may write the
outbox. Who else has something to say writes it down as a file, whole or not at all;
the publisher takes it over, what is durable into the outbox, and removes the file. A
power cut between the two leaves both: the message goes out twice, with one `message_id`; so
does one that is told from memory meanwhile, because the outbox can't be used.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.durable import sync, write_through
from edge.errors import StorageError
from edge.publish.topic import is_topic
from edge.types import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

log = logging.getLogger(__name__)

AT_ONCE: Final = 20  # files taken in one go: nobody else waits longer for them
SUFFIX: Final = ".json"
BAD: Final = ".bad"


def deposit(directory: Path, message: Message, name: str) -> None:
    """Write `message` down for the listening process; the same `name` replaces.

    Raises `OSError` where it can't be written; then nothing is left behind.
    """
    directory.mkdir(parents=True, exist_ok=True)
    body = {
        "topic": message.topic,
        "payload": base64.b64encode(message.payload).decode(),
        "qos": message.qos,
        "retain": message.retain,
        "durable": message.durable,
        "worth": message.worth,
    }
    part = directory / f".{name}.part"
    try:
        with part.open("wb") as file:
            write_through(file, json.dumps(body).encode("ascii"))
        part.replace(directory / f"{name}{SUFFIX}")
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync(directory)


def collect(directory: Path, put: Callable[[Message], object]) -> int:
    """Hand what lies in `directory` to `put`, oldest name first, and take it away.

    A file that is no message is set aside under another name; what can't be read or set aside
    stays and is said once. Returns how many were handed over. Raises nothing but what `put`
    does; its file stays.
    """
    if not _can_be_taken(directory):
        return 0  # nobody has left anything yet; or it could not be taken away, and came again
    taken = 0
    for path in _whole_files(directory):
        if taken == AT_ONCE:
            break
        if message := _read(path):
            put(message)
            taken += 1
            _remove(path)
    return taken


class Spool:
    """A folder as the publisher sees it: what can't be taken over is copied meanwhile, once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._copied: set[tuple[Path, int]] = set()  # files, by name and inode

    def collect(
        self, put: Callable[[Message], object], *, copy: Callable[[Message], object]
    ) -> None:
        """Do as `collect` does; where it can't, hand what is durable to `copy`, and leave it there.

        Raises what `put` does.
        """
        if not _can_be_taken(self._directory):
            self._copy(copy)
            return
        try:
            collect(self._directory, put)
        except StorageError:
            self._copy(copy)
            raise
        self._copied.clear()

    def _copy(self, put: Callable[[Message], object]) -> None:
        for path in _whole_files(self._directory, self._copied)[:AT_ONCE]:
            with suppress(OSError):
                self._copied.add((path, path.stat().st_ino))
            if (message := _read(path)) and message.durable:
                put(message)


def _can_be_taken(directory: Path) -> bool:
    return os.access(directory, os.W_OK)


_stuck: Final[set[tuple[Path, int]]] = set()
"""Files, by name and inode, that were handed over and can't be removed: once is enough."""


def _whole_files(directory: Path, known: Collection[tuple[Path, int]] = ()) -> list[Path]:
    try:
        with os.scandir(directory) as found:
            whole = [(Path(each.path), each.inode()) for each in found if _is_whole(each)]
    except OSError:
        return []
    return sorted(file[0] for file in whole if file not in known)


def _is_whole(entry: os.DirEntry[str]) -> bool:
    if not entry.name.endswith(SUFFIX) or entry.name.startswith("."):
        return False
    if not entry.is_file(follow_symlinks=False):
        _say_once(entry.path, "it is no file")
        return False
    return (Path(entry.path), entry.inode()) not in _stuck


def _read(path: Path) -> Message | None:
    try:
        return _parse(path.read_bytes())
    except FileNotFoundError:  # another was quicker
        return None
    except OSError as error:
        _say_once(str(path), f"it can't be read: {error.strerror}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        _set_aside(path, error)
    return None


def _parse(text: bytes) -> Message:
    """Return the message that a file holds. Raises ValueError, KeyError, TypeError."""
    body = json.loads(text)
    topic = body["topic"]
    if not is_topic(topic):
        message = f"{topic!r:.80} is no topic"
        raise ValueError(message)
    payload = base64.b64decode(body["payload"], validate=True)
    how = {key: bool(body[key]) for key in ("retain", "durable")}
    worth = body.get("worth", 0)  # a message of an older version has none
    if worth not in {0, 1, 2}:
        message = f"worth is {worth!r:.80}, not 0, 1 or 2"
        raise ValueError(message)
    return Message(topic, payload, 1 if body["qos"] else 0, **how, worth=worth)


def _set_aside(path: Path, why: Exception) -> None:
    try:
        path.replace(path.with_suffix(BAD))
    except OSError as error:
        _say_once(str(path), f"it is no message and can't be set aside: {error.strerror}")
    else:
        log.warning("%s is no message and is set aside: %s", path, why)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        with suppress(OSError):
            _stuck.add((path, path.stat().st_ino))
        _say_once(str(path), f"it is published and can't be removed: {error.strerror}")


@lru_cache(maxsize=1000)
def _say_once(path: str, why: str) -> None:
    log.warning("%s stays: %s", path, why)
