# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import UTC, datetime, timedelta

from edge.trust import HOLD_S, TrustedClock
from edge.types import Utc

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR_S = 3600.0


def told(time: datetime, *, synchronised: bool = True) -> Utc:
    return Utc(f"{time:%Y-%m-%dT%H:%M:%S}.000Z", synchronised)


def test_a_synchronised_clock_is_believed() -> None:
    clock = TrustedClock()
    assert clock.read(told(NOON), 0.0) == NOON
    later = NOON + timedelta(days=400)
    assert clock.read(told(later), 400 * 24 * HOUR_S) == later


def test_one_that_is_not_synchronised_says_nothing() -> None:
    clock = TrustedClock()
    assert clock.read(None, 0.0) is None
    assert clock.read(told(NOON, synchronised=False), 0.0) is None


def test_after_a_leap_ahead_the_old_time_goes_on_until_the_leap_has_lasted() -> None:
    clock = TrustedClock()
    clock.read(told(NOON), 0.0)
    leapt = NOON + timedelta(days=3650)
    assert clock.read(told(leapt), HOUR_S) == NOON + timedelta(hours=1)
    assert clock.read(told(leapt), HOLD_S) == NOON + timedelta(seconds=HOLD_S)
    assert clock.read(told(leapt), HOUR_S + HOLD_S) == leapt
    assert clock.read(told(leapt), HOUR_S + HOLD_S + 1) == leapt


def test_a_leap_that_was_taken_back_leaves_nothing() -> None:
    """The next one has to last as long again."""
    clock = TrustedClock()
    clock.read(told(NOON), 0.0)
    leapt = NOON + timedelta(days=3650)
    clock.read(told(leapt), HOUR_S)
    back = NOON + timedelta(hours=2)
    assert clock.read(told(back), 2 * HOUR_S) == back
    assert clock.read(told(leapt), 3 * HOUR_S) == NOON + timedelta(hours=3)
    assert clock.read(told(leapt), HOUR_S + HOLD_S) == NOON + timedelta(seconds=HOUR_S + HOLD_S)


def test_a_clock_that_falls_back_is_believed_at_once() -> None:
    clock = TrustedClock()
    clock.read(told(NOON), 0.0)
    earlier = NOON - timedelta(days=3650)
    assert clock.read(told(earlier), 1.0) == earlier


def test_it_goes_on_from_the_newest_time_known_before() -> None:
    clock = TrustedClock()
    clock.begin(NOON, 100.0)
    assert clock.read(told(NOON + timedelta(hours=20)), 101.0) == NOON + timedelta(hours=20)
    clock.begin(NOON, 100.0)
    long_off = NOON + timedelta(days=30)
    assert clock.read(told(long_off), 101.0) == NOON + timedelta(seconds=1)
    assert clock.read(told(long_off), 101.0 + HOLD_S) == long_off
