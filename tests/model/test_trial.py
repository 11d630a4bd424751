# SPDX-License-Identifier: MIT
"""The figures of a trial, against what can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.detector import Rule
from edge.model.trial import (
    THRESHOLDS,
    Heard,
    Rates,
    average_precision,
    detection_error,
    onsets,
    try_out,
)

RATE_HZ, HOP, PATCH = 16000, 7680, 15600
LABELS = ("dog", "rain", "siren", "other")
RULE = Rule(threshold=0.5, release=0.35, min_hits=1, hold_s=1.0, cooldown_s=2.0, max_event_s=60.0)
RATES = Rates(LABELS, dict.fromkeys(LABELS[:3], RULE), RATE_HZ, PATCH, HOP)


def heard(label: str | None, *scores: tuple[float, ...], seconds: float = 5.0) -> Heard:
    fitting = frozenset([label] if label else [])
    values = np.array([(*one, 0.0) for one in scores], np.float32)
    return Heard("clip", label, values, round(seconds * RATE_HZ), fitting)


DOG = heard("dog", (0.9, 0.0, 0.0), (0.1, 0.0, 0.0))
RAIN = heard("rain", (0.0, 0.6, 0.0), (0.0, 0.6, 0.0))


def test_a_clip_is_right_by_the_mean_of_its_patches_not_by_the_highest() -> None:
    spike = heard("dog", (0.9, 0.4, 0.0), (0.0, 0.6, 0.0), (0.0, 0.6, 0.0))
    result = try_out([DOG, spike, RAIN], RATES)
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.confusion.tolist() == [[1, 1], [0, 1]]


def test_labels_that_the_data_set_lacks_are_no_candidates() -> None:
    doubted = heard("dog", (0.5, 0.0, 0.9))
    assert try_out([doubted, RAIN], RATES).accuracy == 1.0


def test_clips_of_none_of_the_labels_count_for_false_events_only() -> None:
    result = try_out([DOG, heard(None, (0.9, 0.0, 0.0), seconds=3595.0)], RATES)
    assert (result.clips, result.accuracy) == (1, 1.0)
    assert result.false_events_per_hour == pytest.approx(1.0)
    assert result.per_label["dog"].false_events == 1


def test_an_event_of_a_label_that_no_clip_has_is_false_too() -> None:
    result = try_out([heard("dog", (0.9, 0.0, 0.8))], RATES)
    assert result.false_events == {"dog": 0, "rain": 0, "siren": 1, "other": 0}


def test_a_label_that_may_be_in_a_clip_is_no_mistake_there() -> None:
    crowd = Heard("crowd", None, np.float32([[0.0, 0.0, 0.9, 0.0]]), RATE_HZ, frozenset(["siren"]))
    result = try_out([heard("siren", (0, 0, 0.8)), crowd], RATES)
    assert result.false_events["siren"] == 0
    assert result.per_label["siren"].average_precision == 1.0


def test_a_clip_is_detected_by_an_event_of_its_own_label() -> None:
    faint = heard("rain", (0.0, 0.4, 0.0), (0.9, 0.3, 0.0))
    result = try_out([RAIN, faint], RATES)
    assert result.detected == 0.5
    assert result.accuracy == 1.0


def test_curves_go_from_everything_heard_to_nothing_heard() -> None:
    noise = heard(None, (0.3, 0.0, 0.0), seconds=3590.0)
    curve = detection_error([DOG, RAIN, noise], RATES)["dog"]
    assert len(curve.missed) == len(curve.false_per_hour) == len(THRESHOLDS)
    assert curve.false_per_hour[THRESHOLDS <= 0.28] == pytest.approx(1.0)
    assert curve.false_per_hour[THRESHOLDS >= 0.32].max() == 0.0
    assert curve.missed[THRESHOLDS <= 0.88].max() == 0.0
    assert curve.missed[THRESHOLDS >= 0.92].min() == 1.0


def test_the_patches_in_a_row_of_a_rule_hold_on_its_curve() -> None:
    rule = Rule(0.5, 0.35, min_hits=2, hold_s=1.0, cooldown_s=2.0, max_event_s=60.0)
    rates = Rates(LABELS, dict.fromkeys(LABELS[:3], rule), RATE_HZ, PATCH, HOP)
    assert detection_error([DOG], rates)["dog"].missed[THRESHOLDS > 0.1].min() == 1.0


def test_events_are_those_of_the_detector() -> None:
    on, off = (0.9, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)
    scores = np.array([on, on, *[off] * 12, on], np.float32)
    assert onsets(scores, RATES, RATES.rules) == ["dog", "dog"]


def test_average_precision_by_hand() -> None:
    # Positives at ranks 1 and 3: (1/1 + 2/3) / 2.
    truth = np.array([True, False, True, False])
    assert average_precision(truth, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx(5 / 6)
    assert average_precision(truth, np.full(4, 0.5)) == pytest.approx(0.5)
    assert math.isnan(average_precision(np.zeros(2, bool), np.zeros(2)))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_average_precision_lies_between_chance_and_one(pairs: list[tuple[bool, int]]) -> None:
    truth = np.array([one for one, _ in pairs])
    score = np.array([value / 5 for _, value in pairs])
    if truth.any():
        value = average_precision(truth, score)
        assert 0.0 < value <= 1.0
        # Order alone counts.
        assert average_precision(truth, score**3) == pytest.approx(value)
        perfect = truth.astype(np.float64)
        assert average_precision(truth, perfect) == 1.0
