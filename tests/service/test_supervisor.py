# SPDX-License-Identifier: MIT
from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from edge.errors import DeviceError
from edge.service.supervisor import Mailbox, Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_thread_that_dies_of_something_unexpected_ends_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervisor = Supervisor()

    def die() -> None:
        raise ZeroDivisionError

    supervisor.start("record", die)
    assert supervisor.ended.wait(60)
    assert isinstance(supervisor.failure, ZeroDivisionError)
    assert "thread record died" in caplog.text


def test_an_error_that_a_person_can_mend_needs_no_stack(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor()

    def lose() -> None:
        raise DeviceError("the microphone is gone", "plug it in")

    supervisor.start("capture", lose)
    assert supervisor.ended.wait(60)
    assert isinstance(supervisor.failure, DeviceError)
    assert "Traceback" not in caplog.text


def test_a_thread_that_returns_ends_nothing() -> None:
    supervisor = Supervisor()
    supervisor.start("short", lambda: None)
    assert supervisor.join("short", 60)
    assert not supervisor.ended.is_set()


def test_a_stuck_thread_is_named_and_waited_for_no_longer(caplog: pytest.LogCaptureFixture) -> None:
    supervisor, release = Supervisor(), threading.Event()
    supervisor.start("stuck", lambda: bool(release.wait(60)) and None)
    assert not supervisor.join("stuck", 0.05)
    assert "stuck" in caplog.text
    release.set()
    assert supervisor.join("stuck", 60)
    assert supervisor.join("never started", 0)


def test_the_newest_item_wins_and_what_it_replaced_is_counted() -> None:
    box: Mailbox[str] = Mailbox()
    for word in ("old", "older", "new"):
        box.put(word)
    assert box.take() == "new"
    assert box.dropped == 2


def test_a_closed_mailbox_gives_what_is_left_and_then_none() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(0)
    box.close()
    assert box.take() == 0
    assert box.take() is None


@pytest.fixture
def ticking() -> Iterator[list[Supervisor]]:
    """Have a signal end the supervisor in the list, every 0.2 ms of this process's time."""
    at_hand = [Supervisor()]
    before = signal.signal(signal.SIGVTALRM, lambda *_: at_hand[0].end())
    signal.setitimer(signal.ITIMER_VIRTUAL, 2e-4, 2e-4)
    yield at_hand
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.timeout(120)
def test_a_signal_may_end_all_at_any_moment_of_a_wait(ticking: list[Supervisor]) -> None:
    for _ in range(60):
        ticking[0] = supervisor = Supervisor()
        while not supervisor.ended.wait(1e-5):
            pass
