# SPDX-License-Identifier: MIT
"""Times of messages that came while the clock was wrong, set right once it is right."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.publish.outbox import Row
    from edge.types import Message, Moment


def corrected(row: Row, now: Moment | None) -> Message:
    """Return the message of a row, its times moved by what the clock was wrong.

    That is known within the same boot: the time since its start was right all along. A message
    of another boot, or one whose clock was right, stays as it is; so does one that holds no
    times. `clock_corrected_s` says by how much they were moved.
    """
    if row.booted_s is None or now is None or not now.synchronised or row.boot != now.boot:
        return row.message
    try:
        body = json.loads(row.message.payload)
    except ValueError:
        return row.message
    if not isinstance(body, dict) or body.get("clock_synchronised") is not False:
        return row.message
    moved_s = now.booted_s - row.booted_s
    moved = {key: _moved(key, value, moved_s) for key, value in body.items()}
    moved |= {"clock_synchronised": True, "clock_corrected_s": round(moved_s, 3)}
    text = json.dumps(moved, ensure_ascii=False, separators=(",", ":"))
    return replace(row.message, payload=text.encode(errors="replace"))


def _moved(key: str, value: Any, by_s: float) -> Any:  # noqa: ANN401 - whatever JSON holds
    if not (key == "time" or key.endswith("_time")) or not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value) + timedelta(seconds=by_s)
    except (ValueError, OverflowError):
        return value
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
