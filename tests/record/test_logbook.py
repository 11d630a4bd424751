# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from edge.record.logbook import Logbook
from edge.types import Level, Scores
from tests.seconds import a_level

RATE_HZ = 100


def second(number: int, laeq_dbfs: float, *, n_samples: int = RATE_HZ) -> Level:
    return a_level(
        number,
        RATE_HZ,
        n_samples=n_samples,
        laeq_dbfs=laeq_dbfs,
        lafmax_dbfs=laeq_dbfs + 3,
        lcpeak_dbfs=laeq_dbfs + 10,
    )


def patch(start: int, *values: float) -> Scores:
    return Scores(start, 96, np.array(values, np.float32))


def test_levels_are_those_of_the_seconds_that_the_stretch_touches() -> None:
    book = Logbook(("a",), 1000)
    for number, level in enumerate((-20.0, -40.0, -40.0, -10.0)):
        book.level(second(number, level))
    assert book.levels_of(100, 300) == {
        "laeq": pytest.approx(-40.0),
        "lafmax": -37.0,
        "lcpeak": -30.0,
    }
    # Half of the energy of -20 and nothing to speak of from -40: 3 dB less.
    assert book.levels_of(50, 150)["laeq"] == pytest.approx(-23.0, abs=0.05)


def test_a_second_counts_by_what_was_heard_of_it() -> None:
    book = Logbook(("a",), 1000)
    book.level(second(0, -20.0, n_samples=25))
    book.level(second(1, -60.0, n_samples=75))
    assert book.levels_of(0, 200)["laeq"] == pytest.approx(-26.0, abs=0.05)


def test_a_stretch_of_which_nothing_was_heard_has_no_level() -> None:
    book = Logbook(("a",), 1000)
    book.level(second(0, -200.0, n_samples=0))
    assert set(book.levels_of(0, 100).values()) == {None}
    assert set(book.levels_of(500, 600).values()) == {None}


def test_scores_are_the_highest_of_each_label_best_first() -> None:
    book = Logbook(("a", "b", "c"), 1000)
    book.scores(patch(0, 0.9, 0.1, 0.0))
    book.scores(patch(100, 0.1, 0.5, 0.2))
    book.scores(patch(200, 0.1, float("nan"), 0.3))
    assert book.scores_of(0, 250) == {"a": 0.9, "c": 0.3, "b": 0.0}
    assert book.scores_of(96, 200) == {"b": 0.5, "c": 0.2, "a": 0.1}
    assert list(book.scores_of(0, 150)) == ["a", "b", "c"]
    assert book.scores_of(1000, 1100) == {}


def test_it_does_not_grow() -> None:
    book = Logbook(("a",), 300)
    for number in range(1000):
        book.level(second(number, -20.0))
        book.scores(patch(number * 100, 0.5))
    assert book.levels_of(0, 99_600)["laeq"] is None
    assert book.scores_of(0, 99_600) == {}
    assert book.scores_of(99_700, 99_800)


def test_scores_of_another_model_are_told_by_its_own_labels() -> None:
    """A clip over the change has the labels of both; one that both have, the better score."""
    book = Logbook(("dog", "rain"), 1000)
    book.scores(patch(0, 0.9, 0.2))
    book.change_labels(("bark", "rain", "cat"))
    book.scores(patch(96, 0.1, 0.6, 0.3))
    both = book.scores_of(0, 192)
    assert both == {"dog": 0.9, "rain": 0.6, "cat": 0.3, "bark": 0.1}
    assert list(both) == ["dog", "rain", "cat", "bark"]
    assert book.scores_of(0, 90) == {"dog": 0.9, "rain": 0.2}
    assert set(book.scores_of(100, 192)) == {"bark", "rain", "cat"}
    assert book.covers(0, 192, ())
