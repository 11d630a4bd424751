# SPDX-License-Identifier: MIT
"""Minutes, hours and days are what the seconds say, added in any order."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.measure.summary import PERCENTS, Summary, lden_dbfs, part_of_day
from edge.types import Bands
from tests.seconds import a_level

RATE_HZ = 48000

figure = st.floats(-120.0, 0.0)
seconds = st.lists(
    st.builds(
        lambda n, laeq, laf: a_level(
            n_samples=n,
            laeq_dbfs=laeq,
            lafmax_dbfs=max(laf),
            lafmin_dbfs=min(laf),
            laf_dbfs=np.array(laf, np.float32),
        ),
        st.integers(1, RATE_HZ),
        figure,
        st.lists(figure, min_size=1, max_size=100),
    ),
    min_size=1,
    max_size=20,
)


def summary_of(levels: list) -> Summary:
    summary = Summary()
    for level in levels:
        summary.add(level, RATE_HZ)
    return summary


@settings(max_examples=60, deadline=None)
@given(seconds)
def test_every_figure_is_what_numpy_says_of_the_seconds(levels: list) -> None:
    figures = summary_of(levels).figures()
    n = np.array([level.n_samples for level in levels])
    energy = 10 ** (np.array([level.laeq_dbfs for level in levels]) / 10)
    assert figures["laeq"] == pytest.approx(10 * np.log10(n @ energy / n.sum()), abs=1e-6)
    assert figures["lae"] == pytest.approx(10 * np.log10(n @ energy / RATE_HZ), abs=1e-6)
    assert figures["lafmax"] == max(level.lafmax_dbfs for level in levels)
    assert figures["lafmin"] == min(level.lafmin_dbfs for level in levels)


def test_no_percentile_lies_beyond_an_extreme() -> None:
    summary = Summary()
    summary.add(
        a_level(
            0,
            lafmax_dbfs=-41.0,
            lafmin_dbfs=-41.0,
            laf_dbfs=np.full(100, -41.0, np.float32),
        ),
        48000,
    )
    assert {summary.figures()[f"l{percent}"] for percent in PERCENTS} == {-41.0}


def test_a_mean_is_of_energy_and_never_of_decibels() -> None:
    summary = summary_of([a_level(0, laeq_dbfs=-20.0), a_level(1, laeq_dbfs=-120.0)])
    assert summary.figures()["laeq"] == pytest.approx(-23.01, abs=0.01)


@pytest.mark.parametrize("percent", PERCENTS)
def test_an_exceedance_level_is_numpys_percentile(percent: int) -> None:
    """Over an hour of a level that wanders; L10 is the 90th percentile."""
    rng = np.random.default_rng(2)
    laf = (-50 + 0.02 * np.cumsum(rng.standard_normal(360000))).astype(np.float32)
    levels = [
        a_level(k, laf_dbfs=piece, lafmax_dbfs=piece.max(), lafmin_dbfs=piece.min())
        for k, piece in enumerate(np.split(laf, 3600))
    ]
    got = summary_of(levels).figures()[f"l{percent}"]
    assert got == pytest.approx(np.percentile(laf, 100 - percent), abs=0.05)


@settings(max_examples=40, deadline=None)
@given(levels=seconds, cut=st.integers(0, 20))
def test_a_summary_of_summaries_is_that_of_the_whole_in_any_order(levels: list, cut: int) -> None:
    whole = summary_of(levels).figures()
    head, tail = summary_of(levels[:cut]), summary_of(levels[cut:])
    for one, other in ((head, tail), (tail, head)):
        both = Summary()
        both.merge(one)
        both.merge(other)
        for name, value in both.figures().items():
            assert value == pytest.approx(whole[name], abs=1e-6), name


@settings(max_examples=40, deadline=None)
@given(seconds)
def test_a_summary_comes_back_from_its_json(levels: list) -> None:
    summary = summary_of(levels)
    summary.add_bands(Bands(0, RATE_HZ, RATE_HZ, np.array([-50.0, -60.0]), gap=False), RATE_HZ)
    back = Summary.from_json(json.loads(json.dumps(summary.to_json())))
    for name, value in back.figures().items():
        assert value == pytest.approx(summary.figures()[name], abs=0.02), name
    assert back.to_json()["counts"] == summary.to_json()["counts"]


def test_nothing_heard_is_no_level() -> None:
    empty = Summary()
    assert set(empty.figures().values()) == {None}
    assert empty.bands_dbfs() is None
    back = Summary.from_json(json.loads(json.dumps(empty.to_json())))
    assert set(back.figures().values()) == {None}


def test_lost_seconds_are_counted_and_weigh_nothing() -> None:
    summary = summary_of([a_level(0, n_samples=RATE_HZ // 4, gap=True, laeq_dbfs=-30.0)])
    assert (summary.heard_s, summary.lost_s) == (0.25, 0.75)
    assert summary.figures()["laeq"] == pytest.approx(-30.0)


def test_bands_are_energy_means_and_those_of_another_rate_are_left_out() -> None:
    summary = Summary()
    for dbfs in (-20.0, -120.0):
        summary.add_bands(Bands(0, RATE_HZ, RATE_HZ, np.array([dbfs, -40.0]), gap=False), RATE_HZ)
    assert summary.bands_dbfs() == pytest.approx([-23.01, -40.0], abs=0.01)
    other = Summary()
    other.add_bands(Bands(0, RATE_HZ, RATE_HZ, np.array([0.0]), gap=False), RATE_HZ)
    summary.merge(other)
    assert summary.bands_dbfs() == pytest.approx([-23.01, -40.0], abs=0.01)


def test_the_parts_of_a_day_are_those_of_the_directive() -> None:
    hours = [part_of_day(hour) for hour in range(24)]
    assert hours == ["night"] * 7 + ["day"] * 12 + ["evening"] * 4 + ["night"]


def test_lden_weighs_the_evening_and_the_night() -> None:
    """The same level all day long reads 6.4 dB more."""
    parts = {part: summary_of([a_level(laeq_dbfs=-50.0)]) for part in ("day", "evening", "night")}
    assert lden_dbfs(parts) == pytest.approx(-43.6, abs=0.05)
    del parts["night"]
    assert lden_dbfs(parts) is None


@settings(max_examples=20, deadline=None)
@given(seconds, st.integers(-200, 200))
def test_a_summary_that_is_moved_has_every_level_moved(levels: list, tenths: int) -> None:
    before, after = summary_of(levels), summary_of(levels).moved(tenths / 10)
    for name, value in after.figures().items():
        assert value == pytest.approx(before.figures()[name] + tenths / 10, abs=1e-6), name
    assert (after.heard_s, after.lost_s) == (before.heard_s, before.lost_s)
