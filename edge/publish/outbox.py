# SPDX-License-Identifier: MIT
"""Messages on disk until the broker has acknowledged them (SQLite, one thread)."""

from __future__ import annotations

import logging
import math
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from edge.errors import StorageError
from edge.publish.topic import is_topic
from edge.types import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.types import Moment

log = logging.getLogger(__name__)

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL, payload BLOB NOT NULL,
    qos INTEGER NOT NULL, retain INTEGER NOT NULL,
    worth INTEGER NOT NULL DEFAULT 2, put_s REAL, booted_s REAL, boot TEXT)
"""
# What a box has not that is older than these. `put_s`: when it came, in UTC; NULL: nobody knew, and
# `booted_s` is when `boot` was believed to have begun.
_ADDED: Final = {
    "worth": "INTEGER NOT NULL DEFAULT 2",
    "put_s": "REAL",
    "booted_s": "REAL",
    "boot": "TEXT",
}
_INDEX: Final = "CREATE INDEX IF NOT EXISTS by_worth ON message (worth, id)"
_OVERHEAD_BYTES = 64  # what a row costs beside its topic and payload


class Row(NamedTuple):
    """A message and the number under which it waits.

    With a wrong clock it came while `boot` was believed to have begun at `booted_s`.
    """

    row_id: int
    message: Message
    booted_s: float | None = None
    boot: str | None = None


class Outbox:
    """A queue of messages that survives a power cut.

    Write-ahead logging with `synchronous=FULL`: what `put` has returned from is
    on the card. Used by one thread.

    Parameters
    ----------
    path : the database file; its directory must exist. None: in memory only, for a
        box whose state directory can't be written.
    max_bytes : when more would wait, messages of the lowest worth go, the oldest first.
    max_age_s : older ones go; 0: none is too old. Those written down while the clock was not
        right are never too old.

    What goes is counted in `dropped`.

    Raises
    ------
    StorageError
        when the file can't be opened, or (from `put`, `done`) written.
    """

    def __init__(self, path: Path | None, *, max_bytes: int, max_age_s: float = 0.0) -> None:
        self._name = str(path) if path else ":memory:"
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
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

    def put(self, message: Message, now: Moment | None = None) -> int:
        """Write `message` down; return its number, which only grows.

        One that is larger than the whole outbox, or for which only worthier ones would have to
        go, is dropped and counted: 0.

        Parameters
        ----------
        now : None: nobody knows.
        """
        size = _size(message)
        gone: list[int] = []
        number = 0
        with self._transaction():
            if self._max_age_s and now and now.synchronised:
                gone += self._delete("put_s < ?", now.wall_s - self._max_age_s)
            if size <= self._max_bytes:
                gone += self._make_room(size, message.worth, sum(gone))
            if self._bytes - sum(gone) + size <= self._max_bytes:
                cursor = self._db.execute(
                    "INSERT INTO message"
                    " (topic, payload, qos, retain, worth, put_s, booted_s, boot)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*_columns(message), *_when(now)),
                )
                number = int(cursor.lastrowid or 0)
        # Only now: what was rolled back did not happen.
        self._count(-len(gone), -sum(gone))
        self.dropped += len(gone) + (not number)
        if number:
            self._count(1, size)
        return number

    def waiting(self, *, after: int = 0, limit: int = 20) -> list[Row]:
        """Return the oldest messages with a number over `after`, in order."""
        try:
            rows = self._db.execute(
                "SELECT id, topic, payload, qos, retain, worth, booted_s, boot"
                " FROM message WHERE id > ?"
                " ORDER BY id LIMIT ?",
                (after, limit),
            ).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return [row for one in rows if (row := self._row(*one))]

    def _row(self, number: int, *columns: Any) -> Row | None:  # noqa: ANN401 - whatever lies there
        """Return a row; one that the disk has damaged is dropped and counted."""
        topic, payload, qos, retain, worth, booted_s, boot = columns
        if (
            is_topic(topic)
            and isinstance(payload, bytes)
            and qos in {0, 1}
            and worth in {0, 1, 2}
            and (booted_s is None or (isinstance(booted_s, float) and math.isfinite(booted_s)))
            and isinstance(boot, str | None)
        ):
            message = Message(topic, payload, qos, bool(retain), durable=True, worth=worth)
            return Row(number, message, booted_s, boot)
        log.error("message %d of the outbox is damaged and left out", number)
        self.dropped += 1
        self.done(number)
        return None

    def done(self, row_id: int) -> None:
        """Forget a message: the broker has it."""
        try:
            gone = self._delete("id = ?", row_id)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        self._count(-len(gone), -sum(gone))

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
        self._db.execute(_TABLE)
        known = {row[1] for row in self._db.execute("PRAGMA table_info(message)")}
        for name, kind in _ADDED.items():
            if name not in known:
                self._db.execute(f"ALTER TABLE message ADD COLUMN {name} {kind}")
        self._db.execute(_INDEX)
        count, size = self._db.execute(
            "SELECT count(*), coalesce(sum(length(topic) + length(payload)), 0) FROM message"
        ).fetchone()
        return count, size + count * _OVERHEAD_BYTES

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise self._unusable(error) from error

    def _make_room(self, size: int, worth: int, freed: int) -> list[int]:
        """Delete what is worth no more, until `size` fits; return the sizes of what went."""
        gone: list[int] = []
        while self._bytes - freed - sum(gone) + size > self._max_bytes:
            least = "id = (SELECT id FROM message WHERE worth <= ? ORDER BY worth, id LIMIT 1)"
            if not (one := self._delete(least, worth)):
                break
            gone += one
        return gone

    def _delete(self, where: str, value: float) -> list[int]:
        """Delete messages; return the size of each."""
        rows = self._db.execute(
            f"DELETE FROM message WHERE {where} RETURNING length(topic) + length(payload)",  # noqa: S608 - our own words
            (value,),
        ).fetchall()
        return [size + _OVERHEAD_BYTES for (size,) in rows]

    def _count(self, messages: int, size: int) -> None:
        self.depth += messages
        self._bytes += size

    def _unusable(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"the outbox {self._name} can't be used: {error}",
            "free some space, or make the state directory writable for this user",
        )


def open_outbox(path: Path, *, max_bytes: int, max_age_s: float = 0.0) -> Outbox:
    """Open the outbox at `path`; a damaged one is set aside and a new one begun.

    Raises `StorageError` where nothing can be written.
    """
    try:
        return Outbox(path, max_bytes=max_bytes, max_age_s=max_age_s)
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
    return Outbox(path, max_bytes=max_bytes, max_age_s=max_age_s)


def _size(message: Message) -> int:
    return len(message.topic.encode()) + len(message.payload) + _OVERHEAD_BYTES


def _columns(message: Message) -> tuple[str, bytes, int, bool, int]:
    return message.topic, message.payload, message.qos, message.retain, message.worth


def _when(now: Moment | None) -> tuple[float | None, float | None, str | None]:
    if now is None:
        return None, None, None
    return (now.wall_s, None, None) if now.synchronised else (None, now.booted_s, now.boot)
