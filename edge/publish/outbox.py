# SPDX-License-Identifier: MIT
"""Messages on disk until the broker has acknowledged them (SQLite, one thread)."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from edge.errors import StorageError
from edge.types import Message

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL, payload BLOB NOT NULL,
    qos INTEGER NOT NULL, retain INTEGER NOT NULL)
"""
_OVERHEAD_BYTES = 64  # what a row costs beside its topic and payload


class Row(NamedTuple):
    """A message and the number under which it waits."""

    row_id: int
    message: Message


class Outbox:
    """A queue of messages that survives a power cut.

    Write-ahead logging with `synchronous=FULL`: what `put` has returned from is
    on the card. Used by one thread.

    Parameters
    ----------
    path : the database file; its directory must exist. None: in memory only, for a
        box whose state directory can't be written.
    max_bytes : the oldest messages go when more would wait; they are counted in `dropped`.

    Raises
    ------
    StorageError
        when the file can't be opened, or (from `put`, `done`) written.
    """

    def __init__(self, path: Path | None, *, max_bytes: int) -> None:
        self._name = str(path) if path else ":memory:"
        self._max_bytes = max_bytes
        self.dropped = 0
        try:
            self._db = sqlite3.connect(self._name, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        try:
            self.depth, self._bytes = self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            raise self._unusable(error) from error

    def put(self, message: Message) -> int:
        """Write `message` down; return its number, which only grows.

        One that is larger than the whole outbox is dropped and counted: 0.
        """
        size = _size(message)
        if size > self._max_bytes:
            self.dropped += 1
            return 0
        try:
            self._db.execute("BEGIN IMMEDIATE")
            gone = self._make_room(size)
            cursor = self._db.execute(
                "INSERT INTO message (topic, payload, qos, retain) VALUES (?, ?, ?, ?)",
                (message.topic, message.payload, message.qos, message.retain),
            )
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise self._unusable(error) from error
        # Only now: what was rolled back did not happen.
        self._count(1 - len(gone), size - sum(gone))
        self.dropped += len(gone)
        return int(cursor.lastrowid or 0)

    def waiting(self, *, after: int = 0, limit: int = 20) -> list[Row]:
        """Return the oldest messages with a number over `after`, in order."""
        try:
            rows = self._db.execute(
                "SELECT id, topic, payload, qos, retain FROM message WHERE id > ?"
                " ORDER BY id LIMIT ?",
                (after, limit),
            ).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return [Row(number, _message(*columns)) for number, *columns in rows]

    def done(self, row_id: int) -> None:
        """Forget a message: the broker has it."""
        try:
            gone = self._db.execute(
                "DELETE FROM message WHERE id = ? RETURNING length(topic) + length(payload)",
                (row_id,),
            ).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        for (size,) in gone:
            self._count(-1, -size - _OVERHEAD_BYTES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _prepare(self) -> tuple[int, int]:
        """Make the table where it is missing; return how many messages wait, and their bytes."""
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(_SCHEMA)
        count, size = self._db.execute(
            "SELECT count(*), coalesce(sum(length(topic) + length(payload)), 0) FROM message"
        ).fetchone()
        return count, size + count * _OVERHEAD_BYTES

    def _make_room(self, size: int) -> list[int]:
        """Delete the oldest until `size` fits; return the sizes of what went."""
        gone: list[int] = []
        while self._bytes - sum(gone) + size > self._max_bytes:
            ((oldest,),) = self._db.execute(
                "DELETE FROM message WHERE id = (SELECT min(id) FROM message)"
                " RETURNING length(topic) + length(payload)"
            ).fetchall()
            gone.append(oldest + _OVERHEAD_BYTES)
        return gone

    def _count(self, messages: int, size: int) -> None:
        self.depth += messages
        self._bytes += size

    def _unusable(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"the outbox {self._name} can't be used: {error}",
            "free some space, or make the state directory writable for this user",
        )


def open_outbox(path: Path, *, max_bytes: int) -> Outbox:
    """Open the outbox at `path`; a damaged one is set aside and a new one begun.

    Raises `StorageError` where nothing can be written.
    """
    try:
        return Outbox(path, max_bytes=max_bytes)
    except StorageError as error:
        # An OperationalError is the disk's or the owner's; anything else is in the file.
        if isinstance(error.__cause__, sqlite3.OperationalError) or not path.is_file():
            raise
    aside = path.with_suffix(".damaged")
    try:
        path.replace(aside)
    except OSError as error:
        raise StorageError(f"{path} is damaged and can't be set aside: {error}") from error
    log.error("the outbox was damaged: it is kept as %s and a new one begun", aside)
    return Outbox(path, max_bytes=max_bytes)


def _size(message: Message) -> int:
    return len(message.topic.encode()) + len(message.payload) + _OVERHEAD_BYTES


def _message(topic: str, payload: bytes, qos: Literal[0, 1], retain: int) -> Message:
    return Message(topic, payload, qos, bool(retain), durable=True)
