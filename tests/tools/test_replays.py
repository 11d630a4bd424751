# SPDX-License-Identifier: MIT
"""What tells two replays apart: events at all, figures by how much."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tools.boot.machine import BrokenError
from tools.boot.replays import compare

SCORES = {"type": "scores", "time_s": 0.0, "scores": {"rain": 0.75, "other": 0.2, "wind": 0.01}}
LEVEL = {"type": "level", "time_s": 0.0, "laeq_dbfs": -20.1, "gap": False}
ONSET = {
    "type": "event",
    "event_type": "onset",
    "label": "rain",
    "time_s": 0.97,
    "score": 0.75,
    "onset_sample": 46671,
    "offset_sample": None,
    "event_id": "replay-1",
}


def said(*records: dict[str, Any]) -> str:
    return "\n".join(json.dumps(one) for one in records)


HERE = said(SCORES, LEVEL, ONSET)


def test_what_is_rounded_otherwise_is_the_same_and_measured() -> None:
    scores = {**SCORES, "scores": {"rain": 0.752, "other": 0.2, "insects": 0.01}}
    there = said(scores, {**LEVEL, "laeq_dbfs": -20.2}, {**ONSET, "score": 0.752})
    found = compare("clip", HERE, there)
    assert found.events == 1
    assert found.score == pytest.approx(0.002)
    assert found.level_db == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (said(SCORES, LEVEL, {**ONSET, "label": "wind"}), "'wind'.* there"),
        (said(SCORES, LEVEL, {**ONSET, "onset_sample": 46670}), "46670.* there"),
        (said(SCORES, LEVEL), "3 records here, 2 there"),
        (said(SCORES, LEVEL, ONSET, ONSET), "3 records here, 4 there"),
        (said({**SCORES, "scores": {"rain": 0.7}}, LEVEL, ONSET), "scores 0.050 apart"),
        (said(SCORES, LEVEL, {**ONSET, "score": 0.8}), "scores 0.050 apart"),
        (said(SCORES, {**LEVEL, "laeq_dbfs": -20.4}, ONSET), "levels 0.3 dB"),
    ],
)
def test_other_events_and_other_figures_are_told(there: str, told: str) -> None:
    with pytest.raises(BrokenError, match=f"clip: .*{told}"):
        compare("clip", HERE, there)
