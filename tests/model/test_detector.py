# SPDX-License-Identifier: MIT
from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model.detector import Detector, Rule
from edge.types import Scores

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.types import Event

RATE_HZ = 100
HOP, LENGTH = 48, 97  # samples: patches overlap, as the shipped model's do
RULE = Rule(threshold=0.6, release=0.4, min_hits=1, hold_s=1.0, cooldown_s=0.0, max_event_s=1000.0)


def _run(
    rule: Rule, values: Iterable[float | None], *, end: bool = False
) -> tuple[list[Event], Detector]:
    """Feed one label's scores, a patch each; None is a patch that was dropped."""
    detector = Detector(["Dog, bark"], [rule], RATE_HZ, "s1")
    events: list[Event] = []
    place = 0
    for place, value in enumerate(values):
        if value is not None:
            events += detector.update(_scores(place * HOP, value))
    if end:
        events += detector.flush(place * HOP + LENGTH)
    return events, detector


def _scores(sample_index: int, *values: float) -> Scores:
    return Scores(sample_index, LENGTH, np.array(values, np.float32))


def _spans(events: list[Event]) -> list[tuple[int, int | None]]:
    """Return onset and offset of each event, checking that each offset is of its onset."""
    spans: list[tuple[int, int | None]] = []
    for event in events:
        if event.edge == "onset":
            assert event.offset_index is None
            spans.append((event.onset_index, None))
        else:
            assert spans[-1] == (event.onset_index, None)
            spans[-1] = (event.onset_index, event.offset_index)
    return spans


def _end_of(place: int) -> int:
    return place * HOP + LENGTH


def test_an_event_begins_with_what_its_first_hit_heard_anew() -> None:
    events, _ = _run(RULE, [0.0, 0.7, 0.8])
    assert _spans(events) == [(_end_of(0), None)]


def test_an_event_in_the_first_patch_begins_with_it() -> None:
    events, _ = _run(RULE, [0.9])
    assert _spans(events) == [(0, None)]


def test_an_event_ends_where_the_last_patch_above_release_ended() -> None:
    events, detector = _run(RULE, [0.0, 0.7, 0.5, 0.1, 0.1, 0.1, 0.1])
    assert _spans(events) == [(_end_of(0), _end_of(2))]
    assert detector.active() == ()


def test_an_offset_waits_for_the_hold_and_not_longer() -> None:
    """1 s of hold is 100 samples: two hops are 96, three are 144."""
    assert len(_run(RULE, [0.7, 0.1, 0.1])[0]) == 1
    assert len(_run(RULE, [0.7, 0.1, 0.1, 0.1])[0]) == 2


def test_between_release_and_threshold_an_event_goes_on_but_does_not_begin() -> None:
    events, detector = _run(RULE, [0.5] * 20)
    assert events == []
    events, detector = _run(RULE, [0.6, *[0.5] * 20])
    assert len(events) == 1
    assert detector.active() == ("Dog, bark",)


def test_a_score_that_equals_the_threshold_is_a_hit() -> None:
    rule = replace(RULE, threshold=0.5, release=0.5)
    assert len(_run(rule, [0.5])[0]) == 1


def test_a_pause_under_the_hold_does_not_split_an_event() -> None:
    events, _ = _run(RULE, [0.9, 0.1, 0.1, 0.9, *[0.0] * 5])
    assert _spans(events) == [(0, _end_of(3))]


def test_too_few_hits_make_no_event() -> None:
    rule = replace(RULE, min_hits=3)
    assert _run(rule, [0.9, 0.9, 0.0, 0.9, 0.9, 0.5, 0.9])[0] == []


def test_enough_hits_make_an_event_that_begins_at_the_first_of_them() -> None:
    events, _ = _run(replace(RULE, min_hits=3), [0.9, 0.0, 0.7, 0.9, 0.8])
    assert _spans(events) == [(_end_of(1), None)]
    assert events[0].score == pytest.approx(0.9)


def test_a_hole_in_what_was_heard_breaks_a_run_of_hits() -> None:
    rule = replace(RULE, min_hits=2)
    assert _run(rule, [0.0, 0.9, None, None, 0.9])[0] == []


def test_a_dropped_patch_whose_neighbours_overlap_leaves_no_hole() -> None:
    """One patch dropped of overlapping ones: every sample was still heard."""
    events, _ = _run(replace(RULE, min_hits=2), [0.0, 0.9, None, 0.9])
    assert len(events) == 1


def test_a_hole_longer_than_the_hold_ends_an_event_before_it() -> None:
    events, _ = _run(RULE, [0.9, *[None] * 10, 0.9])
    assert _spans(events) == [(0, _end_of(0)), (11 * HOP, None)]


def test_in_a_hole_an_event_ends_as_soon_as_it_is_longer_than_the_hold() -> None:
    events, detector = _run(RULE, [0.9])
    assert detector.skip(_end_of(0) + RATE_HZ) == []
    events += detector.skip(_end_of(0) + RATE_HZ + 1)
    assert _spans(events) == [(0, _end_of(0))]
    assert detector.skip(_end_of(50)) == []


def test_a_hole_shorter_than_the_hold_is_part_of_an_event() -> None:
    events, _ = _run(RULE, [0.9, None, None, 0.9])
    assert _spans(events) == [(0, None)]


def test_an_event_that_lasts_too_long_is_ended_and_may_begin_anew_after_the_cooldown() -> None:
    rule = replace(RULE, max_event_s=5.0, cooldown_s=2.0)
    spans = _spans(_run(rule, [0.9] * 40)[0])
    assert spans[0] == (0, 500)
    assert spans[1][0] >= 700
    assert all(offset - onset <= 500 for onset, offset in spans if offset is not None)


def test_hits_within_the_cooldown_begin_nothing() -> None:
    rule = replace(RULE, hold_s=0.0, cooldown_s=3.0)
    first_end = _end_of(0)
    spans = _spans(_run(rule, [0.9, 0.0, *[0.9] * 12])[0])
    assert spans[0] == (0, first_end)
    assert first_end + 300 <= spans[1][0] <= first_end + 300 + LENGTH


def test_the_offset_carries_the_highest_score_of_the_event() -> None:
    events, _ = _run(RULE, [0.7, 0.95, 0.8, *[0.0] * 5])
    assert [event.score for event in events] == pytest.approx([0.7, 0.95])


def test_the_end_of_the_stream_ends_what_is_open_once() -> None:
    events, detector = _run(RULE, [0.9, 0.9], end=True)
    assert _spans(events) == [(0, _end_of(1))]
    assert detector.flush(10_000) == []


def test_a_run_of_hits_does_not_outlive_a_flush() -> None:
    detector = Detector(["a"], [replace(RULE, min_hits=2)], RATE_HZ, "s")
    assert detector.update(_scores(0, 0.9)) == []
    detector.flush(LENGTH)
    assert detector.update(_scores(HOP, 0.9)) == []


def test_ids_name_stream_onset_and_label() -> None:
    events, _ = _run(RULE, [0.0, 0.9], end=True)
    assert {event.event_id for event in events} == {f"s1-{_end_of(0)}-dog_bark"}


def test_labels_that_are_spelt_alike_keep_their_own_ids() -> None:
    detector = Detector(["A b", "a-B", "\N{SNOWMAN}"], [RULE] * 3, RATE_HZ, "s")
    events = detector.update(_scores(0, 0.9, 0.9, 0.9))
    assert len({event.event_id for event in events}) == 3


def test_a_label_without_a_rule_makes_no_event() -> None:
    detector = Detector(["dog", "other"], {"dog": RULE}, RATE_HZ, "s")
    events = detector.update(_scores(0, 0.9, 1.0)) + detector.flush(LENGTH)
    assert {event.label for event in events} == {"dog"}


def test_labels_are_followed_on_their_own() -> None:
    detector = Detector(["a", "b"], {"b": RULE, "a": RULE}, RATE_HZ, "s")
    assert [event.label for event in detector.update(_scores(0, 0.9, 0.0))] == ["a"]
    assert [event.label for event in detector.update(_scores(HOP, 0.9, 0.9))] == ["b"]
    assert detector.active() == ("a", "b")


def test_a_nan_is_nothing_heard() -> None:
    events, _ = _run(RULE, [0.9, *[float("nan")] * 10])
    assert _spans(events) == [(0, _end_of(0))]


def test_a_patch_that_reaches_no_further_is_left_out() -> None:
    detector = Detector(["a"], [replace(RULE, min_hits=2)], RATE_HZ, "s")
    detector.update(_scores(HOP, 0.9))
    assert detector.update(_scores(HOP, 0.9)) == []
    assert detector.update(_scores(0, 0.9)) == []
    assert len(detector.update(_scores(2 * HOP, 0.9))) == 1


def test_scores_of_another_model_are_refused() -> None:
    with pytest.raises(ValueError, match="2 labels"):
        Detector(["a", "b"], [RULE, RULE], RATE_HZ, "s").update(_scores(0, 0.9))


@pytest.mark.parametrize("rules", [{"cat": RULE}, [RULE, RULE], []])
def test_rules_that_do_not_fit_the_labels_are_refused(rules: dict[str, Rule] | list[Rule]) -> None:
    with pytest.raises(ValueError, match=r"cat|argument"):
        Detector(["dog"], rules, RATE_HZ, "s")


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 1.1},
        {"threshold": float("nan")},
        {"release": 0.7},
        {"release": -0.1},
        {"min_hits": 0},
        {"hold_s": -1.0},
        {"hold_s": float("nan")},
        {"cooldown_s": -1.0},
        {"max_event_s": 0.0},
    ],
)
def test_a_rule_that_can_not_be_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must|threshold"):
        replace(RULE, **changes)


seconds = st.floats(0.0, 5.0)
rules = st.builds(
    lambda threshold, ratio, min_hits, hold_s, cooldown_s, max_event_s: Rule(
        threshold, threshold * ratio, min_hits, hold_s, cooldown_s, max_event_s
    ),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.integers(1, 4),
    seconds,
    seconds,
    st.floats(0.001, 20.0),
)
# Step to the next patch (0 and less: out of order; much more: a gap) and its scores.
score = st.floats(0.0, 1.0) | st.just(float("nan"))
steps = st.lists(
    st.tuples(st.integers(-100, 300) | st.just(HOP), score, score), min_size=1, max_size=80
)


def _replay(detector: Detector, patches: list[tuple[int, float, float]]) -> tuple[list[Event], int]:
    """Feed patches; check after each that times do not run ahead of what was heard."""
    events: list[Event] = []
    start = heard_to = 0
    for step, *values in patches:
        start = max(start + step, 0)
        heard_to = max(heard_to, start + LENGTH)
        new = detector.update(_scores(start, *values))
        assert all((event.offset_index or event.onset_index) <= heard_to for event in new)
        events += new
    return events, heard_to


@settings(max_examples=300)
@given(patches=steps, rule=rules, other=rules)
def test_whatever_is_heard_events_are_whole_and_in_order(
    patches: list[tuple[int, float, float]], rule: Rule, other: Rule
) -> None:
    """Onset and offset alternate, an offset is after its onset, time never goes back."""
    detector = Detector(["a", "b"], [rule, other], RATE_HZ, "s")
    events, heard_to = _replay(detector, patches)
    events += detector.flush(heard_to)
    assert detector.active() == ()
    for label, own_rule in (("a", rule), ("b", other)):
        own = [event for event in events if event.label == label]
        assert [event.edge for event in own] == ["onset", "offset"] * (len(own) // 2)
        spans = _spans(own)
        ends = [0]
        for onset, offset in spans:
            assert offset is not None
            assert onset >= ends[-1]
            assert onset < offset
            assert offset - onset <= max(round(own_rule.max_event_s * RATE_HZ), 1)
            ends.append(offset)
        for (_, offset), (onset, _) in itertools.pairwise(spans):
            assert offset is not None
            assert onset - offset >= round(own_rule.cooldown_s * RATE_HZ)
    onsets = [event.event_id for event in events if event.edge == "onset"]
    assert len(set(onsets)) == len(onsets)


@given(patches=steps, rule=rules)
def test_an_event_never_outlives_a_silence(
    patches: list[tuple[int, float, float]], rule: Rule
) -> None:
    """Whichever patches were dropped before it: one quiet patch after the hold ends all."""
    detector = Detector(["a", "b"], [rule, rule], RATE_HZ, "s")
    _, heard_to = _replay(detector, patches)
    if rule.release == 0.0:
        return  # nothing is under a release of 0
    detector.update(_scores(heard_to + round(rule.hold_s * RATE_HZ) + 1, 0.0, 0.0))
    assert detector.active() == ()


@given(patches=steps, rule=rules, place=st.integers(0, 79))
def test_the_same_scores_make_the_same_events(
    patches: list[tuple[int, float, float]], rule: Rule, place: int
) -> None:
    """Events so far do not change by what is heard later."""
    whole, _ = _replay(Detector(["a", "b"], [rule, rule], RATE_HZ, "s"), patches)
    part, _ = _replay(Detector(["a", "b"], [rule, rule], RATE_HZ, "s"), patches[:place])
    assert whole[: len(part)] == part


def test_another_model_s_detector_goes_on_where_the_first_heard_last() -> None:
    """What sounds ends for the first, and begins for the other behind it: no time twice."""
    first = Detector(["Dog, bark"], [RULE], RATE_HZ, "s1")
    (onset,) = first.update(_scores(0, 0.9))
    other = Detector(["a", "Dog, bark"], [RULE, RULE], RATE_HZ, "s1.1")
    (offset,) = other.follow(first)
    assert (offset.edge, offset.event_id, offset.offset_index) == ("offset", onset.event_id, 97)
    assert first.active() == ()
    (anew,) = other.update(_scores(48, 0.0, 0.9))
    assert (anew.onset_index, anew.label) == (97, "Dog, bark")
    assert anew.event_id != onset.event_id
    assert other.update(_scores(40, 0.9, 0.9)) == [], "which it has heard"


def test_a_group_s_events_are_named_as_it_is_though_a_label_is_spelled_alike() -> None:
    detector = Detector(["Dog", "Howl", "dog"], {"dog": RULE}, RATE_HZ, "s1")
    (onset,) = detector.update(_scores(0, 0.9, 0.1, 0.9))
    assert onset.event_id == "s1-0-dog"


def test_another_rule_judges_from_the_next_patch_on_and_an_open_event_goes_on() -> None:
    events, detector = _run(RULE, [0.7])
    detector.change_rule("Dog, bark", replace(RULE, threshold=0.9, release=0.8))
    assert detector.active(), "it goes on"
    for place in range(1, 6):
        events += detector.update(_scores(place * HOP, 0.7))
    assert _spans(events) == [(0, _end_of(0))], "under the new release, and under the threshold"
    assert not detector.active()
    detector.change_rule("cat", RULE)  # of a model that is gone: nothing happens
