# SPDX-License-Identifier: MIT
"""Messages on disk until the broker has acknowledged them (SQLite, one thread)."""

from __future__ import annotations

import logging
import math
import sqlite3
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from edge.errors import StorageError
from edge.publish.topic import is_topic
from edge.trust import TrustedClock
from edge.types import Message, Moment, Utc

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_WORTHIEST: Final = 2
_OVERHEAD_BYTES = 64  # what a row costs beside its topic and payload


class DamagedError(StorageError):
    """What the file holds is no outbox any more: only `Outbox.begin_anew` helps."""


class Row(NamedTuple):
    """A message and the number under which it waits.

    With a right clock it came at `put_s`, with a wrong one while `boot` was believed to have
    begun at `booted_s`.
    """

    row_id: int
    message: Message
    put_s: float | None = None
    booted_s: float | None = None
    boot: str | None = None

    @property
    def moment(self) -> Moment | None:
        """When it came, as far as is known: for another outbox that takes it over."""
        if self.put_s is not None:
            return Moment(self.put_s, 0.0, "", synchronised=True)
        if self.booted_s is None:
            return None
        return Moment(self.booted_s, 0.0, self.boot or "", synchronised=False)


class _Gone(NamedTuple):
    """What was deleted."""

    worth: int
    size: int


class Outbox:
    """A queue of messages that survives a power cut.

    Write-ahead logging with `synchronous=FULL`: what `put` has returned from is
    on the card. Used by one thread. Where the file can't be opened, each use tries it
    again and says why not: nothing in it is known, or lost, until then.

    Parameters
    ----------
    path : the database file; its directory is made. None: in memory only.
    max_bytes : when more would wait, messages of the lowest worth go, the oldest first.
    max_age_s : older ones go when `forget_old` is called; 0: none is too old. Those written
        down while the clock was not right are never too old.

    What goes is counted in `dropped`.

    Raises
    ------
    StorageError
        from each use, when the file can't be opened, read or written; `DamagedError` when it
        is damaged.
    """

    def __init__(self, path: Path | None, *, max_bytes: int, max_age_s: float = 0.0) -> None:
        self._name = str(path) if path else ":memory:"
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock: TrustedClock | None = None
        self._db: sqlite3.Connection | None = None
        self.dropped = 0
        self.depth = 0
        self._bytes = Counter[int]()  # by worth: to know what fits, nothing has to be read
        with suppress(StorageError):
            self.open()

    def open(self) -> None:
        """Open the file where it is not open."""
        self._opened()

    def _opened(self) -> sqlite3.Connection:
        if self._db:
            return self._db
        db = None
        try:
            Path(self._name).parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self._name, isolation_level=None, check_same_thread=False)
            self.depth, self._bytes = _prepare(db)
        except (sqlite3.Error, OSError) as error:
            if db:
                db.close()
            raise self._unusable(error) from error
        self._db = db
        return db

    def put(self, message: Message, now: Moment | None = None) -> int:
        """Write `message` down; return its number, which only grows.

        One that is larger than the whole outbox, or for which only worthier ones would have to
        go, is dropped and counted: 0.

        Parameters
        ----------
        now : None: nobody knows.
        """
        size = _size(message)
        gone: list[_Gone] = []
        number = 0
        with self._transaction() as db:
            if self._may_fit(size, message.worth):
                gone = self._make_room(db, size, message.worth)
            if self._waits_bytes() - _sum(gone) + size <= self._max_bytes:
                cursor = db.execute(
                    "INSERT INTO message"
                    " (topic, payload, qos, retain, worth, put_s, booted_s, boot)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*_columns(message), *_when(now)),
                )
                number = int(cursor.lastrowid or 0)
        # Only now: what was rolled back did not happen.
        self._forget(gone)
        self.dropped += len(gone) + (not number)
        if number:
            self.depth += 1
            self._bytes[message.worth] += size
        return number

    def forget_old(self, now: Moment | None, mono_s: float) -> None:
        """Let go what is older than `max_age_s`; reads the whole file, so now and then only.

        A clock that leaps ahead is not believed at once.

        Parameters
        ----------
        now : None, or not synchronised: nothing is too old.
        mono_s : the monotonic clock.
        """
        if not self._max_age_s or now is None:
            return
        gone: list[_Gone] = []
        with self._transaction() as db:
            if self._clock is None:
                self._clock = TrustedClock()
                self._clock.begin(_newest(db), mono_s)
            told = Utc(datetime.fromtimestamp(now.wall_s, UTC).isoformat(), now.synchronised)
            if trusted := self._clock.read(told, mono_s):
                gone = _delete(db, "put_s < ?", trusted.timestamp() - self._max_age_s)
        self._forget(gone)
        self.dropped += len(gone)

    def waiting(self, *, after: int = 0, limit: int = 20) -> list[Row]:
        """Return the oldest messages with a number over `after`, in order."""
        db = self._opened()
        try:
            rows = db.execute(
                "SELECT id, topic, payload, qos, retain, worth, put_s, booted_s, boot"
                " FROM message WHERE id > ?"
                " ORDER BY id LIMIT ?",
                (after, limit),
            ).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return [row for one in rows if (row := self._row(*one))]

    def _row(self, number: int, *columns: Any) -> Row | None:  # noqa: ANN401 - whatever lies there
        """Return a row; one that the disk has damaged is dropped and counted."""
        topic, payload, qos, retain, worth, put_s, booted_s, boot = columns
        if (
            is_topic(topic)
            and isinstance(payload, bytes)
            and qos in {0, 1}
            and worth in {0, 1, 2}
            and _is_time(put_s)
            and _is_time(booted_s)
            and isinstance(boot, str | None)
        ):
            message = Message(topic, payload, qos, bool(retain), durable=True, worth=worth)
            return Row(number, message, put_s, booted_s, boot)
        log.error("message %d of the outbox is damaged and left out", number)
        self.dropped += 1
        self.done(number)
        return None

    def done(self, *row_ids: int) -> None:
        """Forget messages, in one write: the broker has them."""
        db = self._opened()
        try:
            gone = _delete(db, f"id IN ({', '.join('?' * len(row_ids))})", *row_ids)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        self._forget(gone)

    def begin_anew(self) -> None:
        """Set the damaged file aside and begin an empty one, in which numbers begin again.

        Raises `StorageError` where that can't be done: the next use says how far it came.
        """
        self.close()
        _set_aside(Path(self._name))
        self.dropped += self.depth
        self.depth, self._bytes = 0, Counter()
        self._opened()

    def close(self) -> None:
        """Close the file."""
        if self._db:
            self._db.close()
        self._db = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._opened()
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                with suppress(sqlite3.Error):  # then the next one begins with it
                    db.execute("ROLLBACK")
            raise self._unusable(error) from error

    def _may_fit(self, size: int, worth: int) -> bool:
        """Return whether `size` fits once all that is worth no more is gone."""
        kept = sum(kept for of, kept in self._bytes.items() if of > worth)
        return kept + size <= self._max_bytes

    def _make_room(self, db: sqlite3.Connection, size: int, worth: int) -> list[_Gone]:
        """Delete what is worth no more, until `size` fits; return what went."""
        gone: list[_Gone] = []
        while self._waits_bytes() - _sum(gone) + size > self._max_bytes:
            least = "id = (SELECT id FROM message WHERE worth <= ? ORDER BY worth, id LIMIT 1)"
            if not (one := _delete(db, least, worth)):
                break
            gone += one
        return gone

    def _forget(self, gone: list[_Gone]) -> None:
        self.depth -= len(gone)
        for worth, size in gone:
            self._bytes[worth] -= size

    def _waits_bytes(self) -> int:
        return self._bytes.total()

    def _unusable(self, error: sqlite3.Error | OSError) -> StorageError:
        # An OperationalError is the disk's or the owner's, an IntegrityError the message's.
        others = sqlite3.OperationalError | sqlite3.IntegrityError | OSError
        kind = StorageError if isinstance(error, others) else DamagedError
        return kind(
            f"the outbox {self._name} can't be used: {error}",
            "free some space, or make the state directory writable for this user",
        )


def _prepare(db: sqlite3.Connection) -> tuple[int, Counter[int]]:
    """Make the table where it is missing; return how many messages wait, and their bytes."""
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(_TABLE)
    known = {row[1] for row in db.execute("PRAGMA table_info(message)")}
    for name, kind in _ADDED.items():
        if name not in known:
            db.execute(f"ALTER TABLE message ADD COLUMN {name} {kind}")
    db.execute(_INDEX)
    count, sizes = 0, Counter[int]()
    for worth, messages, size in db.execute(
        "SELECT worth, count(*), sum(length(topic) + length(payload)) FROM message GROUP BY worth"
    ):
        count += messages
        sizes[_known(worth)] += (size or 0) + messages * _OVERHEAD_BYTES
    return count, sizes


def _newest(db: sqlite3.Connection) -> datetime | None:
    (newest_s,) = db.execute("SELECT max(put_s) FROM message").fetchone()
    try:
        return None if newest_s is None else datetime.fromtimestamp(newest_s, UTC)
    except (TypeError, ValueError, OverflowError, OSError):  # the disk has damaged it
        return None


def _delete(db: sqlite3.Connection, where: str, *values: float) -> list[_Gone]:
    """Delete messages; return what went."""
    rows = db.execute(
        f"DELETE FROM message WHERE {where} RETURNING worth, length(topic) + length(payload)",  # noqa: S608 - our own words
        values,
    ).fetchall()
    return [_Gone(_known(worth), size + _OVERHEAD_BYTES) for worth, size in rows]


def _set_aside(path: Path) -> None:
    aside = path.with_suffix(".damaged")
    try:
        path.replace(aside)
    except OSError as error:
        raise StorageError(f"{path} is damaged and can't be set aside: {error}") from error
    log.error("the outbox was damaged: it is kept as %s and a new one begun", aside)


def _sum(gone: list[_Gone]) -> int:
    return sum(size for _, size in gone)


def _known(worth: object) -> int:
    """Return a worth; what the disk has damaged is found by no comparison, so it stays."""
    return worth if isinstance(worth, int) and 0 <= worth <= _WORTHIEST else _WORTHIEST + 1


def _is_time(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _size(message: Message) -> int:
    return len(message.topic.encode()) + len(message.payload) + _OVERHEAD_BYTES


def _columns(message: Message) -> tuple[str, bytes, int, bool, int]:
    return message.topic, message.payload, message.qos, message.retain, message.worth


def _when(now: Moment | None) -> tuple[float | None, float | None, str | None]:
    if now is None:
        return None, None, None
    return (now.wall_s, None, None) if now.synchronised else (None, now.booted_s, now.boot)
