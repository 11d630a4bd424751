# SPDX-License-Identifier: MIT
"""The storm itself can tell a loss; and the box loses nothing in a short one."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tools.storm.books import MARGIN_S, balance
from tools.storm.kills import kill_rounds
from tools.storm.sound import BURST_S, PERIOD_S, bursts

if TYPE_CHECKING:
    from pathlib import Path

NOON_S = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()


def told(at_s: float, number: int = 0, **more: object) -> list[dict[str, Any]]:
    """Return the onset and the offset of an event."""
    onset = datetime.fromtimestamp(at_s, UTC).isoformat()
    event = {"event_id": f"e{number}", "onset_time": onset, **more}
    return [
        {**event, "event_type": edge, "message_id": f"e{number}-{edge}"}
        for edge in ("onset", "offset")
    ]


def test_a_burst_is_played_whole_or_not_at_all() -> None:
    assert bursts(100.0, 100.0 + BURST_S[1]) == []
    assert bursts(100.0, 100.1 + BURST_S[1] + PERIOD_S) == [
        100.0 + BURST_S[0],
        100.0 + BURST_S[0] + PERIOD_S,
    ]


def test_books_balance_when_each_burst_arrives() -> None:
    books = balance([NOON_S, NOON_S + 6], [], told(NOON_S + 0.5) + told(NOON_S + 6.9, 1))
    assert (books.due, books.heard, books.wrong) == (2, 2, [])


def test_a_burst_that_does_not_arrive_is_wrong_unless_the_box_was_deaf() -> None:
    assert balance([NOON_S], [], []).wrong
    assert balance([NOON_S], [(NOON_S - MARGIN_S - 0.1, NOON_S - MARGIN_S - 0.1)], []).wrong
    assert not balance([NOON_S], [(NOON_S + 1, NOON_S + 2)], []).wrong


def test_an_event_of_no_burst_is_wrong() -> None:
    assert balance([], [], told(NOON_S)).wrong
    assert balance([NOON_S], [], told(NOON_S) + told(NOON_S + 0.2, 1)).wrong


def test_an_event_without_an_end_is_wrong() -> None:
    onset, _ = told(NOON_S)
    assert balance([NOON_S], [], [onset]).wrong


def test_a_message_may_come_twice_but_not_altered() -> None:
    twice = balance([NOON_S], [], told(NOON_S) * 2)
    assert (twice.doubled, twice.wrong) == (2, [])
    assert balance([NOON_S], [], told(NOON_S) + told(NOON_S, score=0.1)).wrong


def test_a_publisher_that_is_killed_loses_nothing_that_was_written_down(tmp_path: Path) -> None:
    with ExitStack() as running:
        result = kill_rounds(tmp_path, 15, 7, running)
    assert result.stored > 100
    assert result.wrong == []


@pytest.mark.timeout(180)
def test_a_short_storm_loses_nothing() -> None:
    storm = subprocess.run(
        [sys.executable, "-m", "tools.storm", "--seconds", "60", "--seed", "5"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert storm.returncode == 0, storm.stdout + storm.stderr
    assert "| yes |" in storm.stdout
    assert " of 0 |" not in storm.stdout, "something had to be heard"


def test_a_soak_that_is_too_long_is_refused() -> None:
    asked = [sys.executable, "-m", "tools.storm", "--soak", "72"]
    refused = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "up to 24 hours" in refused.stderr
