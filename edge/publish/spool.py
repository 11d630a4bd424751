# SPDX-License-Identifier: MIT
"""A folder in which another process of the box leaves messages for the publisher.

Only the listening process talks to the broker, and only one process may write the
outbox. Who else has something to say writes it down as a file, whole or not at all;
the publisher takes it over, what is durable into the outbox, and removes the file. A
power cut between the two leaves both: the message goes out twice, with one `message_id`.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
from typing import TYPE_CHECKING, Final

from edge.types import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
    }
    part = directory / f".{name}.part"
    try:
        with part.open("w", encoding="ascii") as file:
            json.dump(body, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(directory / f"{name}{SUFFIX}")
    except OSError:
        part.unlink(missing_ok=True)
        raise
    _sync(directory)


def collect(directory: Path, put: Callable[[Message], object]) -> int:
    """Hand what lies in `directory` to `put`, oldest name first, and take it away.

    A file that is no message is set aside under another name. Returns how many were taken;
    what `put` raises goes through, and its file stays.
    """
    if not os.access(directory, os.W_OK):
        return 0  # nobody has left anything yet; or it could not be taken away, and came again
    try:
        paths = sorted(path for path in directory.iterdir() if _is_whole(path.name))[:AT_ONCE]
    except OSError:
        return 0
    for path in paths:
        if message := _read(path):
            put(message)
            path.unlink(missing_ok=True)
    return len(paths)


def _is_whole(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def _read(path: Path) -> Message | None:
    try:
        body = json.loads(path.read_bytes())
        payload = base64.b64decode(body["payload"], validate=True)
        how = {key: bool(body[key]) for key in ("retain", "durable")}
        return Message(str(body["topic"]), payload, 1 if body["qos"] else 0, **how)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        log.warning("%s is no message and is set aside: %s", path, error)
        path.replace(path.with_suffix(BAD))
        return None


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
