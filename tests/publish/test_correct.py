# SPDX-License-Identifier: MIT
"""What was heard while the clock was wrong is told with the right time, once that is known."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edge.publish.correct import corrected
from edge.publish.outbox import Outbox
from edge.types import Message, Moment

# A box without a battery: at its start it believes in 1970.
WRONG = Moment(wall_s=100.0, boot_s=20.0, boot="a", synchronised=False)
RIGHT = Moment(wall_s=1_800_000_000.0, boot_s=400.0, boot="a", synchronised=True)
EVENT = {
    "message_id": "x",
    "onset_time": "1970-01-01T00:01:30.250Z",
    "offset_time": "1970-01-01T00:01:40.000Z",
    "duration_s": 9.75,
    "label": "a time",
    "clock_synchronised": False,
}


def message(body: object) -> Message:
    return Message("t", json.dumps(body).encode(), qos=1, durable=True, worth=2)


def sent(body: object, put: Moment, now: Moment | None) -> object:
    with Outbox(None, max_bytes=10_000) as outbox:
        outbox.put(message(body), put)
        (row,) = outbox.waiting()
    return json.loads(corrected(row, now).payload)


def test_times_move_by_what_the_clock_was_wrong_and_lengths_stay() -> None:
    # The boot began at 1_799_999_600; the onset was 10.25 s after it.
    moved = sent(EVENT, WRONG, RIGHT)
    assert moved == EVENT | {
        "onset_time": "2027-01-15T07:53:30.250Z",
        "offset_time": "2027-01-15T07:53:40.000Z",
        "clock_synchronised": True,
        "clock_corrected_s": 1_799_999_520.0,
    }


@pytest.mark.parametrize(
    "now", [None, replace(RIGHT, synchronised=False), replace(RIGHT, boot="another")]
)
def test_what_nobody_knows_better_stays(now: Moment | None) -> None:
    assert sent(EVENT, WRONG, now) == EVENT


def test_what_was_right_stays() -> None:
    assert sent(EVENT, replace(WRONG, synchronised=True), RIGHT) == EVENT
    good = EVENT | {"clock_synchronised": True}
    assert sent(good, WRONG, RIGHT) == good


@pytest.mark.parametrize("body", [[], "text", 7, {"onset_time": "soon"}, {"time": 7}])
def test_what_holds_no_times_stays(body: object) -> None:
    assert sent(body, WRONG, RIGHT) == body


def test_a_time_that_is_none_is_left_alone_beside_others() -> None:
    odd = EVENT | {"onset_time": "9999-12-31T23:59:59.000Z", "time": None}
    moved = sent(odd, WRONG, RIGHT)
    assert isinstance(moved, dict)
    assert moved["onset_time"] == odd["onset_time"], "no year 12000"
    assert moved["offset_time"] == "2027-01-15T07:53:40.000Z"


def test_what_is_no_text_stays() -> None:
    with Outbox(None, max_bytes=10_000) as outbox:
        outbox.put(Message("t", b"\xff\x00", durable=True), WRONG)
        (row,) = outbox.waiting()
    assert corrected(row, RIGHT).payload == b"\xff\x00"
