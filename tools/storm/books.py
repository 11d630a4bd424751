# SPDX-License-Identifier: MIT
"""What was played against what arrived: the books, which must balance."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NEAR_S: Final = 1.6  # from a burst to its event: an alarm is told by whole seconds
MARGIN_S: Final = 3.0  # around a fault that makes deaf
SOUNDS_S: Final = 5.0  # from an onset until its offset is told


@dataclass(slots=True)
class Books:
    """The result of a storm; `wrong` says in words what does not balance."""

    due: int = 0  # bursts that had to be heard
    heard: int = 0  # of them
    more: int = 0  # events of bursts that need not have been heard whole
    doubled: int = 0  # messages that came twice, alike
    wrong: list[str] = field(default_factory=list)


def onset_s(event: dict[str, Any]) -> float:
    """Return when an event began, in seconds since 1970."""
    return datetime.fromisoformat(event["onset_time"]).timestamp()


def balance(
    bursts: Sequence[float], deaf: Sequence[tuple[float, float]], events: Sequence[dict[str, Any]]
) -> Books:
    """Compare the bursts with the events that arrived.

    Parameters
    ----------
    bursts : when each began, seconds since 1970.
    deaf : spans in which a burst need not be heard.
    events : bodies as they arrived, doubled ones too.
    """
    books = Books()
    once = _once(events, books)
    onsets = [event for event in once if event["event_type"] == "onset"]
    offsets = {event["event_id"] for event in once if event["event_type"] == "offset"}
    # Who was killed while something sounded could not say how it ended.
    books.wrong += [
        f"{event['event_id']} has no offset"
        for event in onsets
        if event["event_id"] not in offsets and not _in_any(onset_s(event), deaf, SOUNDS_S)
    ]
    left = [onset_s(event) for event in onsets]
    for burst in bursts:
        near = [at for at in left if abs(at - burst) < NEAR_S]
        is_due = not any(start - MARGIN_S < burst < stop + MARGIN_S for start, stop in deaf)
        books.due += is_due
        if near:
            left.remove(near[0])
            books.heard += is_due
            books.more += not is_due
        elif is_due:
            books.wrong.append(f"the burst at {burst:.1f} did not arrive")
    if strange := [at for at in left if not _in_any(at, deaf)]:
        books.wrong.append(f"events of no burst: {strange}")
    return books


def _once(events: Sequence[dict[str, Any]], books: Books) -> list[dict[str, Any]]:
    """Return each message once, and see that doubled ones are alike."""
    bodies = {event["message_id"]: event for event in events}
    counts = Counter(event["message_id"] for event in events)
    books.doubled = sum(counts.values()) - len(counts)
    seen: dict[str, str] = {}
    for event in events:
        text = json.dumps(event, sort_keys=True)
        if seen.setdefault(event["message_id"], text) != text:
            books.wrong.append(f"{event['message_id']} came twice and not alike")
    return list(bodies.values())


def _in_any(at: float, spans: Sequence[tuple[float, float]], before_s: float = MARGIN_S) -> bool:
    return any(start - before_s < at < stop + MARGIN_S for start, stop in spans)
