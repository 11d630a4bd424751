# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import soundfile

from edge.capture.scene import synthesise_scene
from tests.golden.replayed import RATE_HZ, SCENE_S, kept, replay, write_scene

if TYPE_CHECKING:
    from pathlib import Path

PATCH_HOP_S = 0.48
LEVELS = ("laeq_dbfs", "lafmax_dbfs", "lcpeak_dbfs", "lzeq_dbfs")

Record = dict[str, Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("golden")


@pytest.fixture(scope="module")
def scene(place: Path) -> Path:
    return write_scene(place)


@pytest.fixture(scope="module")
def said(place: Path, scene: Path) -> list[Record]:
    return replay(place, scene)


def of_kind(records: list[Record], kind: str) -> list[Record]:
    return [record for record in records if record["type"] == kind]


def test_the_scene_has_the_same_events_as_ever(said: list[Record]) -> None:
    now, golden = of_kind(said, "event"), kept("event")
    assert [(one["label"], one["event_type"]) for one in now] == [
        (one["label"], one["event_type"]) for one in golden
    ]
    for one, other in zip(now, golden, strict=True):
        assert one["time_s"] == pytest.approx(other["time_s"], abs=PATCH_HOP_S + 0.001)
        assert one["score"] == pytest.approx(other["score"], abs=0.05)


def test_the_scene_has_the_same_levels_as_ever(said: list[Record]) -> None:
    now, golden = of_kind(said, "level"), kept("level")
    assert len(now) == len(golden) == SCENE_S
    for one, other in zip(now, golden, strict=True):
        assert one["time_s"] == other["time_s"]
        for key in LEVELS:
            # Each is rounded to 0.1 dB, so equal ones may differ by that much.
            assert one[key] == pytest.approx(other[key], abs=0.101), (one["time_s"], key)


def test_most_sounds_of_the_scene_are_recognised_while_they_sound(said: list[Record]) -> None:
    _, sounds = synthesise_scene(SCENE_S, RATE_HZ, seed=0)
    onsets = [one for one in of_kind(said, "event") if one["event_type"] == "onset"]
    heard = {one["label"] for one in onsets}
    recognised = [
        sound.label
        for sound in sounds
        for one in onsets
        if one["label"] == sound.label and sound.onset_s - 1 < one["time_s"] < sound.offset_s
    ]
    assert len(recognised) > len(sounds) / 2, heard


def test_events_come_in_pairs_and_tell_their_length(said: list[Record]) -> None:
    onsets = {}
    for one in of_kind(said, "event"):
        if one["event_type"] == "onset":
            onsets[one["event_id"]] = one
        else:
            onset = onsets.pop(one["event_id"])
            length_s = one["time_s"] - onset["time_s"]
            assert one["duration_s"] == pytest.approx(length_s, abs=0.002)
    assert not onsets


def test_the_same_recording_says_the_same_twice(
    place: Path, scene: Path, said: list[Record]
) -> None:
    assert replay(place, scene) == said


def test_a_recording_as_long_as_a_patch_has_one(place: Path) -> None:
    file = place / "patch.wav"
    soundfile.write(file, synthesise_scene(6.0, 16000, seed=0)[0][:15600], 16000)
    assert len(of_kind(replay(place, file), "scores")) == 1


@pytest.mark.data
@pytest.mark.parametrize(
    ("clip", "label"),
    [("1-100032-A-0", "dog_bark"), ("1-172649-A-6", "helicopter"), ("1-27724-A-8", "rooster")],
)
def test_a_recording_from_the_field_is_recognised(
    place: Path, data: Path, clip: str, label: str
) -> None:
    said = replay(place, data / "esc10-dev" / "audio" / f"{clip}.flac")
    assert label in {one["label"] for one in of_kind(said, "event")}
