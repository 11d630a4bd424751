# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.record.name import ENDINGS, ClipName, is_folder, name_clip, read_stem, split, word


@pytest.mark.parametrize(
    ("sidecar", "stem"),
    [
        (
            {
                "labels": ["rain", "siren"],
                "start_time": "2026-11-22T22:17:36.545Z",
                "clock_synchronised": True,
            },
            "0000042_20261122T221736Z_rain",
        ),
        (
            {"labels": ["rain"], "start_time": "1970-01-01T00:00:09Z", "clock_synchronised": False},
            "0000042_19700101T000009U_rain",
        ),
        (
            {"labels": ["rain"], "start_time": None, "clock_synchronised": None},
            "0000042_untimed_rain",
        ),
        ({"labels": [], "reason": "command"}, "0000042_untimed_command"),
        ({}, "0000042_untimed_sound"),
    ],
)
def test_a_name_says_number_time_trust_and_first_label(sidecar: dict[str, Any], stem: str) -> None:
    assert name_clip(42, sidecar).stem == stem


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("dog_bark", "dog_bark"),
        ("Speech, human voice", "speech_human_voice"),
        ("../../etc/passwd", "etc_passwd"),
        ("Türglocke", "turglocke"),
        ("犬", "sound"),
        ("\0\n.json", "json"),
        ("a" * 300, "a" * 40),
    ],
)
def test_a_label_becomes_a_word(label: str, expected: str) -> None:
    assert word(label) == expected


@given(st.integers(1, 10**12), st.text(max_size=60), st.sampled_from(["", "Z", "U"]))
def test_every_name_is_read_back_and_stays_in_its_folder(
    number: int, label: str, trust: str
) -> None:
    sidecar = {
        "labels": [label],
        "start_time": "2026-11-22T22:17:36.000Z" if trust else None,
        "clock_synchronised": trust == "Z",
    }
    name = name_clip(number, sidecar)
    assert read_stem(name.stem) == name
    assert is_folder(name.folder)
    assert not set("/.\0") & set(name.stem)
    assert len(name.stem) < 100, "file systems allow 255 bytes"


@given(st.text(alphabet="0123456789_-TZUabz./\n", max_size=40))
def test_a_strangers_name_is_never_taken_for_ours(text: str) -> None:
    name = read_stem(text)
    assert name is None or name.stem == text


@pytest.mark.parametrize(
    "text",
    [
        "0000001_20261122T221736Z_rain\n",
        "\u0660\u0660\u0660\u0660\u0660\u0660\u0661_untimed_rain",
        "1_untimed_rain",
        "00000001_untimed_rain",
        "0000001_untimed_Rain",
        "0000001_untimed_",
        "0000001_20261122T221736X_rain",
    ],
)
def test_what_is_nearly_a_stem_is_none(text: str) -> None:
    assert read_stem(text) is None


@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_endings_are_told_finished_and_unfinished(ending: str) -> None:
    stem = ClipName(7, "untimed", "rain").stem
    assert split(f"{stem}{ending}") == (stem, ending)
    assert split(f".{stem}{ending}.part") == (stem, f"{ending}.part")
    assert split(f"{stem}{ending}.part") is None
    assert split(f".{stem}{ending}") is None


@pytest.mark.parametrize("name", ["notes.txt", "0000001_untimed_rain", "", ".", ".part", "..part"])
def test_other_endings_are_not_ours(name: str) -> None:
    assert split(name) is None


@pytest.mark.parametrize(
    ("name", "ours"),
    [("0000", True), ("0999", True), ("10000", True), ("01000", False), ("12", False)],
)
def test_a_folder_is_told_by_its_name(name: str, ours: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_folder(name) is ours
