# SPDX-License-Identifier: MIT
"""A pause begins, ends by itself or when it is told to, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.publish.payloads import Topics
from edge.service.commands import CommandError
from edge.service.pausing import Pausing
from tests.conftest import wait_until

if TYPE_CHECKING:
    from edge.types import Message


class Told:
    """A pause, what it was told, and what it says."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.answers: list[dict[str, Any]] = []
        self.pausing = Pausing(Topics("edge", "box"), self.sent.append)

    def pause(self, **body: object) -> None:
        self.pausing.pause(body, self.answers.append)


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_pause_ends_by_itself_and_both_are_told_once(told: Told) -> None:
    told.pause(seconds=3.0)
    assert told.answers == [{"ok": True, "seconds": 3.0}]
    assert told.pausing.active
    assert told.pausing.look()
    assert not told.pausing.look()
    wait_until(told.pausing.look, "the end")
    assert not told.pausing.active
    assert [(one.topic, one.payload, one.retain) for one in told.sent] == [
        ("edge/box/paused", b"ON", True),
        ("edge/box/paused", b"OFF", True),
    ]


def test_a_pause_lasts_an_hour_unless_told_and_is_ended_by_resume_or_nought(told: Told) -> None:
    told.pause()
    assert told.answers[-1]["seconds"] == 3600
    with pytest.raises(CommandError, match="pauses"):
        told.pausing.refuse()
    told.pausing.resume({}, told.answers.append)
    assert not told.pausing.active
    told.pausing.refuse()
    told.pause(seconds=60)
    told.pause(seconds=0)
    assert not told.pausing.active


@pytest.mark.parametrize("seconds", [-1, 86401, float("nan"), 10**400, True, "60", None])
def test_what_is_no_pause_is_refused(told: Told, seconds: object) -> None:
    with pytest.raises(CommandError):
        told.pause(seconds=seconds)
    assert not told.pausing.active


def test_resume_takes_no_keys(told: Told) -> None:
    with pytest.raises(CommandError, match="takes none"):
        told.pausing.resume({"seconds": 3}, told.answers.append)
