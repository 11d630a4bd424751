# SPDX-License-Identifier: MIT
from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.record.planner import ClipPlanner, Lengths, Plan
from edge.types import Event

LENGTHS = Lengths(pre_roll=30, post_roll=20, max_clip=300, known_after=25)


def onset(name: str, at: int) -> Event:
    return Event("onset", name, name, 0.5, at)


def offset(name: str, began: int, at: int) -> Event:
    return replace(onset(name, began), edge="offset", offset_index=at, score=0.9)


def spans(plans: list[Plan]) -> list[tuple[int, int]]:
    return [(plan.start, plan.stop) for plan in plans]


def test_an_event_gets_its_pre_and_post_roll_to_the_sample() -> None:
    planner = ClipPlanner(LENGTHS)
    planner.event(onset("rain", 100))
    assert planner.advance(150) == []
    planner.event(offset("rain", 100, 140))
    settled = 140 + 20 + LENGTHS.settle
    assert planner.advance(settled - 1) == []
    (plan,) = planner.advance(settled)
    assert (plan.start, plan.stop, plan.continues) == (70, 160, None)
    assert plan.events == (offset("rain", 100, 140),)
    assert planner.advance(10_000) == []


def test_a_pre_roll_from_before_the_stream_begins_with_it() -> None:
    planner = ClipPlanner(LENGTHS)
    planner.event(onset("rain", 10))
    planner.event(offset("rain", 10, 40))
    assert spans(planner.advance(1000)) == [(0, 60)]


def test_events_whose_rolls_overlap_share_a_clip_and_others_do_not() -> None:
    planner = ClipPlanner(LENGTHS)
    for name, began, ended in (("a", 100, 120), ("b", 160, 180), ("c", 260, 270)):
        planner.event(onset(name, began))
        planner.event(offset(name, began, ended))
    plans = planner.advance(2000)
    assert spans(plans) == [(70, 200), (230, 290)]
    assert [[event.label for event in plan.events] for plan in plans] == [["a", "b"], ["c"]]


def test_a_clip_that_grows_too_long_goes_on_with_the_very_next_sample() -> None:
    planner = ClipPlanner(LENGTHS)
    planner.event(onset("rain", 100))
    limit = 70 + 300
    assert planner.advance(limit + LENGTHS.settle - 1) == []
    (first,) = planner.advance(limit + LENGTHS.settle)
    assert (first.start, first.stop, first.continues) == (70, 370, None)
    planner.event(offset("rain", 100, 700))
    assert [(p.start, p.stop, p.continues) for p in planner.advance(2000)] == [
        (370, 670, 70),
        (670, 720, 370),
    ]


def test_an_offset_told_after_the_cut_but_before_it_in_time_makes_no_second_clip() -> None:
    planner = ClipPlanner(LENGTHS)
    planner.event(onset("rain", 100))
    assert spans(planner.advance(370 + LENGTHS.settle)) == [(70, 370)]
    planner.event(offset("rain", 100, 350))  # and its post-roll ends at 370
    assert planner.advance(5000) == []
    assert planner.finish(10_000) == []


def test_an_event_told_too_late_has_its_whole_pre_roll_all_the_same() -> None:
    planner = ClipPlanner(LENGTHS)
    planner.event(onset("a", 100))
    planner.event(offset("a", 100, 120))
    assert spans(planner.advance(1000)) == [(70, 140)]
    planner.event(onset("b", 150))
    planner.event(offset("b", 150, 160))
    assert [(p.start, p.stop, p.continues) for p in planner.advance(1000)] == [(120, 180, None)]


def test_a_command_has_no_rolls_and_shares_a_clip_with_an_event() -> None:
    planner = ClipPlanner(LENGTHS)
    planner.command("x", 500, 100)
    planner.event(onset("a", 590))
    planner.event(offset("a", 590, 600))
    (plan,) = planner.advance(2000)
    assert (plan.start, plan.stop) == (500, 620)
    assert plan.commands == ("x",)
    assert [event.label for event in plan.events] == ["a"]


def test_nothing_of_a_pause_is_in_a_clip() -> None:
    planner = ClipPlanner(LENGTHS)
    planner.command("person", 90, 200)
    planner.event(onset("rain", 100))
    planner.event(onset("wind", 120))
    planner.event(offset("wind", 120, 145))
    for start in range(150, 400, 48):
        planner.pause(start, start + 100)
    paused_to = 390 + 100
    planner.event(offset("rain", 100, 500))
    planner.event(onset("dog", paused_to + 10))
    planner.event(offset("dog", paused_to + 10, paused_to + 40))
    assert spans(planner.advance(5000)) == [(70, 150), (paused_to, paused_to + 60)]


def test_what_was_only_of_a_pause_makes_no_clip() -> None:
    planner = ClipPlanner(LENGTHS)
    planner.pause(100, 200)
    planner.event(onset("rain", 140))
    planner.event(offset("rain", 140, 150))
    planner.command("person", 110, 50)
    assert planner.finish(5000) == []
    assert planner.commands == 0


def test_the_end_of_a_stream_ends_what_is_open() -> None:
    planner = ClipPlanner(LENGTHS)
    planner.event(onset("a", 100))
    planner.event(onset("b", 600))
    planner.command("late", 800, 50)
    assert spans(planner.finish(700)) == [(70, 370), (370, 670), (670, 700)]
    assert planner.finish(700) == []


def test_an_offset_without_an_onset_is_passed_over() -> None:
    planner = ClipPlanner(LENGTHS)
    planner.event(offset("of another label", 100, 120))
    assert planner.finish(1000) == []


@st.composite
def told(draw: st.DrawFn) -> list[tuple[int, Event]]:
    """Events with the moment at which each edge is told, in the order of telling."""
    edges = []
    for number in range(draw(st.integers(1, 6))):
        began = draw(st.integers(0, 1500))
        ended = began + draw(st.integers(1, 900))
        late = st.integers(0, LENGTHS.known_after)
        onset_told = began + draw(late)
        offset_told = max(ended + draw(late), onset_told)
        edges.append((onset_told, onset(f"e{number}", began)))
        edges.append((offset_told, offset(f"e{number}", began, ended)))
    return sorted(edges, key=lambda edge: (edge[0], edge[1].edge == "offset"))


@given(told(), st.integers(1, 80))
def test_whatever_sounds_is_in_clips_whole_and_in_time(
    edges: list[tuple[int, Event]], step: int
) -> None:
    planner = ClipPlanner(LENGTHS)
    events = [event for _, event in edges if event.edge == "offset"]
    given_at: list[tuple[int, Plan]] = []
    for now in range(0, 3000, step):
        while edges and edges[0][0] <= now:
            planner.event(edges.pop(0)[1])
        given_at += [(now, plan) for plan in planner.advance(now)]
    given_at += [(3000, plan) for plan in planner.finish(3000)]
    plans = [plan for _, plan in given_at]
    for now, plan in given_at:
        assert 0 < plan.stop - plan.start <= LENGTHS.max_clip
        assert now - plan.start < LENGTHS.memory + 2 * step, "it is still in the history"
    for event in events:
        assert event.offset_index is not None
        wanted = set(range(max(event.onset_index - 30, 0), event.offset_index + 20))
        for plan in plans:
            wanted -= set(range(plan.start, plan.stop))
        assert not wanted
    for before, after in itertools.pairwise(plans):
        assert after.start >= before.stop, "nothing that is told in time is recorded twice"
        assert (after.continues == before.start) <= (after.start == before.stop)


@pytest.mark.parametrize("index", [0, 50])
def test_nothing_is_asked_for_nothing_is_given(index: int) -> None:
    assert ClipPlanner(LENGTHS).advance(index) == []


def test_a_model_that_tells_events_later_makes_clips_wait_longer() -> None:
    planner = ClipPlanner(LENGTHS)
    planner.event(onset("rain", 100))
    planner.event(offset("rain", 100, 140))
    planner.change_known_after(LENGTHS.known_after + 50)
    settled = 140 + 20 + LENGTHS.settle
    assert planner.advance(settled + 49) == []
    assert spans(planner.advance(settled + 50)) == [(70, 160)]
