# SPDX-License-Identifier: MIT
"""What was played against what arrived: the books, which must balance."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tools.storm.sound import BURST_S

if TYPE_CHECKING:
    from collections.abc import Sequence

NEAR_S: Final = 1.6  # from a burst to its event: an alarm is told by whole seconds
WHOLE_S: Final = BURST_S[1] - BURST_S[0]  # of a burst that was played whole
TELLS_S: Final = 3.0  # from a burst until its onset is written down, where no end hurries it
SOUNDS_S: Final = 5.0  # from an onset until its offset is told


DAY_S: Final = 86400
"""The box's clock is stepped by whole days, so that its times can still be told."""


def of_these_days(at_s: float) -> float:
    """Return a time that a stepped clock gave as the right one would have, while it is near."""
    return at_s - round((at_s - time.time()) / DAY_S) * DAY_S


class Deaf(NamedTuple):
    """When nothing was given to the unit, in seconds since 1970; `killed`: nor could it tell.

    A burst is excused if a part of it was not given, or if it was not told yet by a kill.
    """

    start_s: float
    stop_s: float
    killed: bool = False

    def excuses(self, burst_s: float) -> bool:
        """Return whether a burst need not be heard."""
        return self.start_s - (TELLS_S if self.killed else WHOLE_S) < burst_s < self.stop_s


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
    bursts: Sequence[float], deaf: Sequence[Deaf], events: Sequence[dict[str, Any]]
) -> Books:
    """Compare the bursts with the events that arrived.

    Parameters
    ----------
    bursts : when each began, seconds since 1970.
    deaf : when nothing was given to the unit.
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
        is_due = not any(one.excuses(burst) for one in deaf)
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


def _in_any(at: float, deaf: Sequence[Deaf], before_s: float = TELLS_S) -> bool:
    """Return whether an event may be of half a burst, or may not have been told to its end."""
    return any(one.start_s - before_s < at < one.stop_s + TELLS_S for one in deaf)
