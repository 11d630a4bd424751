# SPDX-License-Identifier: MIT
"""What `edge replay` said here and elsewhere of the same recording: the same, and how nearly."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from tools.boot.machine import BrokenError

Record = dict[str, Any]

# Sums are taken in another order; scores are rounded to 0.001, levels to 0.1 dB.
SCORE_APART: Final = 0.005
LEVEL_APART_DB: Final = 0.101
EVENT: Final = ("event_type", "label", "time_s", "onset_sample", "offset_sample")


class Likeness(NamedTuple):
    """How many events there are, and how far scores and levels (dB) are apart at most."""

    events: int
    score: float
    level_db: float


def compare(name: str, here: str, there: str) -> Likeness:
    """Compare JSON lines; raise BrokenError where events differ, or figures by too much."""
    mine, theirs = _records(here), _records(there)
    for one, other in zip(_events(mine), _events(theirs), strict=False):
        if one != other:
            raise BrokenError(f"{name}: {one} here, {other} there")
    if [one["type"] for one in mine] != [one["type"] for one in theirs]:
        raise BrokenError(
            f"{name}: {len(mine)} records here, {len(theirs)} there, or in another order"
        )
    score, level_db = 0.0, 0.0
    for one, other in zip(mine, theirs, strict=True):
        score = max(score, _apart(_scores(one), _scores(other)))
        level_db = max(level_db, _apart(_levels(one), _levels(other)))
    if score > SCORE_APART or level_db > LEVEL_APART_DB:
        raise BrokenError(f"{name}: scores {score:.3f} apart, levels {level_db:.1f} dB")
    return Likeness(len(_events(mine)), score, level_db)


def _records(lines: str) -> list[Record]:
    return [json.loads(line) for line in lines.splitlines()]


def _events(records: list[Record]) -> list[Record]:
    return [{key: one[key] for key in EVENT} for one in records if one["type"] == "event"]


def _scores(record: Record) -> dict[str, float]:
    return {**record.get("scores", {}), "event": record.get("score", 0.0)}


def _levels(record: Record) -> dict[str, float]:
    # Of a moment in which nothing was measured there is none.
    return {key: one or 0.0 for key, one in record.items() if key.endswith(("_dbfs", "_db"))}


def _apart(mine: dict[str, float], theirs: dict[str, float]) -> float:
    # Of the last of the labels that are told one may be another, as good.
    return max((abs(mine[key] - theirs[key]) for key in mine.keys() & theirs.keys()), default=0.0)
