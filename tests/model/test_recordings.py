# SPDX-License-Identifier: MIT
"""What the shipped model is trained on, and how it is kept apart from what it is judged on."""

from __future__ import annotations

import csv
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from edge.model.registry import read_model, shipped_model
from tools.training.recordings import ESC10, FOLDS, LABELS, OTHER, Clip, read_clips

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def clips(data: Path) -> list[Clip]:
    return read_clips(data)


def _rows(data: Path, folder: str) -> dict[str, dict[str, str]]:
    with (data / folder / "meta.csv").open(encoding="utf-8", newline="") as file:
        return {row["flac"]: row for row in csv.DictReader(file)}


def test_the_shipped_model_offers_esc_10_and_what_else_works() -> None:
    shipped = read_model(shipped_model()).labels
    assert shipped == tuple(label for label in LABELS if label in shipped)
    assert set(ESC10) | {"other"} < set(shipped)


def test_every_clip_of_esc10_is_used_in_its_own_fold(data: Path, clips: list[Clip]) -> None:
    rows = _rows(data, "esc10-dev")
    official = {clip.path.name: clip for clip in clips if clip.official}
    assert official.keys() == rows.keys()
    for name, clip in official.items():
        assert (LABELS[clip.label], clip.fold) == (rows[name]["class"], int(rows[name]["fold"]))


def test_no_recording_is_split_between_folds(data: Path, clips: list[Clip]) -> None:
    rows = _rows(data, "field-dev")
    folds = defaultdict(set)
    for clip in clips:
        if clip.path.name in rows:
            folds[rows[clip.path.name]["group"]].add(clip.fold)
    assert all(len(found) == 1 for found in folds.values())
    assert set.union(*folds.values()) == set(FOLDS)


def test_no_recording_with_unconfirmed_terms_is_used(data: Path, clips: list[Clip]) -> None:
    rows = _rows(data, "field-dev")
    used = {clip.path.name for clip in clips if clip.trained} & rows.keys()
    assert used
    assert not [name for name in used if rows[name]["licence_family"] == "BSB"]


def test_a_farm_with_roosters_counts_neither_way(data: Path, clips: list[Clip]) -> None:
    rows = _rows(data, "field-dev")
    farm = {name for name, row in rows.items() if row["group"] == "fs567523"}
    assert farm
    assert not farm & {clip.path.name for clip in clips}


def test_further_examples_are_those_whose_label_was_confirmed(
    data: Path, clips: list[Clip]
) -> None:
    rows = _rows(data, "field-dev")
    examples = [
        clip for clip in clips if clip.trained and clip.path.name in rows and clip.label != OTHER
    ]
    assert len(examples) > 20
    assert {rows[clip.path.name]["label_check"] for clip in examples} <= {"ok", "fair"}


def test_everybody_who_must_be_named_is_named(clips: list[Clip]) -> None:
    named = (shipped_model().parent / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for clip in clips:
        if not clip.trained:
            continue
        assert clip.url in named
        assert clip.author.replace("|", "/") in named
