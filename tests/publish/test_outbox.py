# SPDX-License-Identifier: MIT
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import StorageError
from edge.publish.outbox import DamagedError, Outbox
from edge.trust import HOLD_S
from edge.types import Message, Moment

PLENTY = 1_000_000


def message(number: int, size: int = 10) -> Message:
    return Message("edge/x/event", f"{number}".encode().ljust(size), qos=1, durable=True)


def test_messages_wait_in_order_until_they_are_done(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o.sqlite", max_bytes=PLENTY) as outbox:
        for number in range(5):
            outbox.put(message(number))
        rows = outbox.waiting(limit=3)
        assert [row.message for row in rows] == [message(0), message(1), message(2)]
        outbox.done(rows[1].row_id)
        assert [row.message for row in outbox.waiting()] == [message(n) for n in (0, 2, 3, 4)]
        assert [row.message for row in outbox.waiting(after=rows[2].row_id)] == [
            message(3),
            message(4),
        ]
        assert outbox.depth == 4


def test_what_was_not_done_is_there_after_a_restart_and_numbers_only_grow(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    with Outbox(path, max_bytes=PLENTY) as outbox:
        first = outbox.put(message(1))
        outbox.done(first)
        second = outbox.put(message(2))
    with Outbox(path, max_bytes=PLENTY) as outbox:
        assert [row.message for row in outbox.waiting()] == [message(2)]
        outbox.done(second)
        assert outbox.put(message(3)) > second > first


def test_a_full_outbox_drops_the_oldest_and_counts_it(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o.sqlite", max_bytes=1000) as outbox:
        for number in range(20):
            outbox.put(message(number, size=100))
        kept = [row.message for row in outbox.waiting()]
        assert kept == [message(n, size=100) for n in range(20 - len(kept), 20)]
        assert outbox.dropped == 20 - len(kept)
        assert 3 <= len(kept) <= 10


def at(wall_s: float) -> Moment:
    return Moment(wall_s, 50.0, "a-boot", synchronised=True)


def worth(number: int, value: Literal[0, 1, 2]) -> Message:
    return replace(message(number, size=100), worth=value)


def test_where_too_many_wait_the_least_worth_goes_first_and_events_last(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o.sqlite", max_bytes=1000) as outbox:
        stored = [worth(0, 2), worth(1, 0), worth(2, 1), worth(3, 0), worth(4, 2)]
        for one in stored:
            assert outbox.put(one)
        assert outbox.put(worth(5, 1))
        assert outbox.put(worth(6, 2))
        kept = [row.message for row in outbox.waiting()]
        assert kept == [stored[0], stored[2], stored[4], worth(5, 1), worth(6, 2)]
        assert outbox.put(worth(7, 0)) == 0, "it would displace only worthier ones"
        assert [row.message for row in outbox.waiting()] == kept
        assert (outbox.dropped, outbox.depth) == (3, 5)


def cost_of_what_finds_no_place(events: int) -> float:
    """Return the CPU seconds that minutes cost which come to an outbox full of events."""
    with Outbox(None, max_bytes=events * 200) as outbox:
        for number in range(events):
            outbox.put(worth(number, 2))
        for number in range(events):
            outbox.put(worth(number, 2))
        start_s = time.thread_time()
        for number in range(100):
            assert outbox.put(worth(number, 0)) == 0
        return time.thread_time() - start_s


def test_what_finds_no_place_costs_the_same_however_many_worthier_ones_wait() -> None:
    """A box that was offline for months writes a minute a minute; the disk is not read for it."""
    few, many = (min(cost_of_what_finds_no_place(n) for _ in range(3)) for n in (100, 10_000))
    assert many < 5.0 * few


def test_what_has_waited_too_long_goes_and_what_came_without_a_clock_stays(tmp_path: Path) -> None:
    with Outbox(tmp_path / "o.sqlite", max_bytes=PLENTY, max_age_s=100.0) as outbox:
        outbox.put(message(0), at(1000.0))
        outbox.put(message(1), replace(at(1.0), synchronised=False))
        outbox.put(message(2), at(1050.0))
        outbox.forget_old(at(1050.0), 0.0)
        outbox.put(message(3), at(1101.0))
        outbox.forget_old(at(1101.0), 51.0)
        assert [row.message for row in outbox.waiting()] == [message(1), message(2), message(3)]
        outbox.put(message(4), replace(at(9e9), synchronised=False))
        outbox.forget_old(replace(at(9e9), synchronised=False), 52.0)
        outbox.forget_old(None, 53.0)
        assert outbox.depth == 4, "without a clock nothing is too old"
        assert outbox.dropped == 1


def test_a_clock_that_leaps_ahead_makes_nothing_too_old(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    with Outbox(path, max_bytes=PLENTY, max_age_s=1e6) as outbox:
        outbox.put(message(0), at(1.8e9))
        outbox.forget_old(at(1.8e9), 0.0)
        outbox.forget_old(at(2.1e9), 60.0)
        assert (outbox.depth, outbox.dropped) == (1, 0)
    with Outbox(path, max_bytes=PLENTY, max_age_s=1e6) as outbox:
        outbox.forget_old(at(2.1e9), 0.0)
        assert outbox.depth == 1, "after a restart too"
        outbox.forget_old(at(2.1e9), HOLD_S)
        assert outbox.depth == 0, "it lasts"


def test_what_does_not_fit_displaces_nothing() -> None:
    with Outbox(None, max_bytes=1000) as outbox:
        assert all(outbox.put(worth(number, 2)) for number in range(3))
        assert outbox.put(worth(3, 0))
        large = replace(message(9, size=600), worth=1)
        assert outbox.put(large) == 0
        assert (outbox.depth, outbox.dropped) == (4, 1)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("topic", "a/#"),
        ("topic", b"a"),
        ("payload", "text"),
        ("qos", 7),
        ("worth", "x"),
        ("booted_s", float("inf")),
    ],
)
def test_a_row_that_the_disk_has_damaged_is_left_out_and_counted(
    tmp_path: Path, column: str, value: object
) -> None:
    path = tmp_path / "o.sqlite"
    with Outbox(path, max_bytes=PLENTY) as outbox:
        outbox.put(message(0))
        outbox.put(message(1))
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE message SET {column} = ? WHERE id = 1", (value,))  # noqa: S608 - ours
        db.commit()
    with Outbox(path, max_bytes=PLENTY) as outbox:
        assert [row.message for row in outbox.waiting()] == [message(1)]
        assert (outbox.dropped, outbox.depth) == (1, 1)


def test_an_outbox_of_an_older_version_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.execute(
            "CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL,"
            " payload BLOB NOT NULL, qos INTEGER NOT NULL, retain INTEGER NOT NULL)"
        )
        old.execute("INSERT INTO message (topic, payload, qos, retain) VALUES ('t', x'31', 1, 0)")
        old.commit()
    with Outbox(path, max_bytes=PLENTY) as outbox:
        (row,) = outbox.waiting()
        assert row.message == Message("t", b"1", qos=1, durable=True, worth=2)
        outbox.put(message(1))
        assert outbox.depth == 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 300)), max_size=40))
def test_depth_and_room_are_what_the_file_says(steps: list[tuple[bool, int]]) -> None:
    """The counters that spare a query never part from the table."""
    with Outbox(None, max_bytes=2000) as outbox:
        for put, size in steps:
            if put:
                outbox.put(message(size, size))
            elif rows := outbox.waiting(limit=1):
                outbox.done(rows[0].row_id)
            waiting = outbox.waiting(limit=1000)
            assert outbox.depth == len(waiting)
            assert sum(len(row.message.payload) for row in waiting) <= 2000


def test_a_directory_that_can_not_be_made_is_an_error_with_a_mending() -> None:
    with Outbox(Path("/proc/edge/o.sqlite"), max_bytes=PLENTY) as outbox:
        with pytest.raises(StorageError, match="can't be used") as caught:
            outbox.put(message(1))
        assert caught.value.help


def test_what_can_not_be_opened_is_opened_by_the_first_use_that_can(tmp_path: Path) -> None:
    place = tmp_path / "state"
    with Outbox(place / "o.sqlite", max_bytes=PLENTY) as outbox:
        outbox.put(message(1))
    place.rename(tmp_path / "away")
    place.write_text("in the way")
    with Outbox(place / "o.sqlite", max_bytes=PLENTY) as outbox:
        for use in (outbox.open, outbox.waiting, lambda: outbox.put(message(2))):
            with pytest.raises(StorageError) as caught:
                use()
            assert not isinstance(caught.value, DamagedError)
        assert outbox.depth == 0
        place.unlink()
        (tmp_path / "away").rename(place)
        outbox.put(message(2))
        assert outbox.depth == 2
        assert [row.message for row in outbox.waiting()] == [message(1), message(2)]


def test_a_write_that_fails_leaves_the_counters_as_the_file_is(tmp_path: Path) -> None:
    """What was deleted to make room is rolled back with the message that did not fit."""
    path = tmp_path / "o.sqlite"
    with Outbox(path, max_bytes=1000) as outbox, closing(sqlite3.connect(path)) as disk:
        for number in range(20):
            outbox.put(message(number, size=100))
        depth, dropped = outbox.depth, outbox.dropped
        disk.execute(
            "CREATE TRIGGER full BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        for number in range(5):
            with pytest.raises(StorageError, match="full"):
                outbox.put(message(number, size=100))
        assert (outbox.depth, outbox.dropped) == (depth, dropped)
        assert len(outbox.waiting(limit=100)) == depth
        disk.execute("DROP TRIGGER full")
        outbox.put(message(99, size=100))
        assert outbox.depth == len(outbox.waiting(limit=100)) == depth


def test_a_message_larger_than_the_box_displaces_nothing() -> None:
    with Outbox(None, max_bytes=1000) as outbox:
        outbox.put(message(1))
        assert outbox.put(message(2, size=2000)) == 0
        assert (outbox.depth, outbox.dropped) == (1, 1)


def test_reading_a_damaged_table_is_an_error_with_a_mending(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    with Outbox(path, max_bytes=1000) as outbox, closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE message")
        with pytest.raises(StorageError):
            outbox.waiting()


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "o.sqlite"
    path.write_bytes(b"this is not a database, but long enough to look at" * 100)
    with Outbox(path, max_bytes=1000) as outbox:
        with pytest.raises(DamagedError, match="not a database"):
            outbox.put(message(1))
        outbox.begin_anew()
        outbox.put(message(1))
    assert (tmp_path / "o.damaged").is_file()
    assert "a new one begun" in caplog.text
    with Outbox(path, max_bytes=1000) as outbox:
        assert outbox.depth == 1
