# SPDX-License-Identifier: MIT
"""The recorder on a real folder: what is asked for is there, sample for sample."""

from __future__ import annotations

import json
import shutil
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from edge.errors import StorageError
from edge.record.recorder import BACKLOG, GOING_ON, NewModel
from edge.record.retention import Limits
from edge.record.sealing import new_identity, seal, unseal
from edge.record.sidecar import Speech
from edge.record.store import ClipStore
from edge.record.writer import RETRY_S, TEND_S, Privacy
from edge.service.recording import recording_figures
from edge.types import Event, Scores
from tests.record.box import RATE_HZ, SOUND, Box, run
from tests.seconds import a_level

if TYPE_CHECKING:
    from pathlib import Path

    from edge.record.history import Stretch


def test_a_clip_is_the_stream_sample_for_sample(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.hear("rain", 20_000, 30_000)
    (clip,) = run(box).saved
    assert (clip["start_sample"], clip["end_sample"]) == (12_000, 34_000)
    np.testing.assert_array_equal(box.audio_of(clip), SOUND[12_000:34_000])
    assert clip["labels"] == ["rain"]
    assert clip["scores"] == {"rain": 0.7, "speech": 0.1}
    assert clip["start_time"] == "2026-01-01T00:00:01.500Z"
    assert clip["duration_s"] == 2.75
    assert clip["events"][0]["offset_sample"] == 30_000
    assert (clip["reason"], clip["speech"], clip["encrypted"]) == ("event", None, False)


def test_clips_of_one_long_event_join_without_a_lost_sample(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.hear("rain", 20_000, 110_000)
    clips = run(box, stop=160_000).saved
    assert [clip["end_sample"] - clip["start_sample"] for clip in clips] == [40_000, 40_000, 22_000]
    assert [clip["continues"] for clip in clips] == [None, "box-1-12000", "box-1-52000"]
    joined = np.concatenate([box.audio_of(clip) for clip in clips])
    np.testing.assert_array_equal(joined, SOUND[12_000:114_000])


def test_a_gap_is_silence_in_its_place_and_the_sidecar_says_so(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.hear("rain", 20_000, 30_000)
    box.recorder.open()
    box.feed(24_000)
    box.skip(800)
    (clip,) = run(box).saved
    assert clip["gaps"] == [{"start_sample": 24_000, "lost_samples": 800, "cause": "xrun"}]
    heard = box.audio_of(clip)
    assert not heard[12_000:12_800].any()
    np.testing.assert_array_equal(heard[12_800:], SOUND[24_800:34_000])


def test_what_is_clipped_is_counted(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.hear("rain", 20_000, 30_000)
    (clip,) = run(box).saved
    full = np.isin(SOUND[12_000:34_000], (-32768, 32767)).sum()
    assert clip["clipped_samples"] == full > 0


def test_a_command_records_from_now_on(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.recorder.open()
    box.feed(24_000)
    name = box.recorder.request(1.5)
    (clip,) = run(box).saved
    assert (clip["start_sample"], clip["end_sample"]) == (24_000, 36_000)
    assert (clip["reason"], clip["commands"], clip["labels"]) == ("command", [name], [])
    assert "command" in clip["file"]


def test_commands_without_end_are_refused(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.recorder.open()
    box.feed(400)
    for _ in range(GOING_ON):
        box.recorder.request(10)
    box.recorder.work_off()
    with pytest.raises(StorageError, match="going on already"):
        box.recorder.request(10)


def test_only_chosen_labels_make_clips(tmp_path: Path) -> None:
    box = Box(tmp_path, labels=frozenset({"glass"}))
    box.hear("rain", 20_000, 30_000)
    assert run(box).saved == []


def test_speech_alone_makes_no_clip_unless_it_is_chosen(tmp_path: Path) -> None:
    box = Box(tmp_path / "all")
    box.hear("speech", 20_000, 30_000)
    assert run(box).saved == []
    box = Box(tmp_path / "chosen", labels=frozenset({"speech"}))
    box.hear("speech", 20_000, 30_000)
    assert len(run(box).saved) == 1


def speaks(stretch: Stretch) -> Speech:
    del stretch
    return Speech("test", 0.9, spoken=True)


@pytest.mark.parametrize("drop", [True, False])
def test_speech_leaves_no_sound_on_the_disk(tmp_path: Path, drop: bool) -> None:  # noqa: FBT001 - pytest's way
    box = Box(tmp_path, privacy=Privacy(judge=speaks, drop=drop))
    box.hear("rain", 20_000, 30_000)
    run(box)
    assert box.recorder.counters.vetoed == 1
    names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert not [name for name in names if "flac" in name]
    if drop:
        assert box.saved == []
        assert not [name for name in names if name.endswith(".json")]
    else:
        (clip,) = box.saved
        assert clip["file"] is None
        assert clip["speech"] == {"judge": "test", "score": 0.9, "spoken": True}


def test_the_judge_hears_pre_and_post_roll_too(tmp_path: Path) -> None:
    heard: list[Stretch] = []

    def judge(stretch: Stretch) -> Speech:
        heard.append(stretch)
        return Speech("test", 0.1, spoken=False)

    box = Box(tmp_path, privacy=Privacy(judge=judge, drop=True))
    box.hear("rain", 20_000, 30_000)
    (clip,) = run(box).saved
    np.testing.assert_array_equal(heard[0].samples, SOUND[12_000:34_000])
    assert clip["speech"]["spoken"] is False


def test_the_judge_hears_across_the_edges_of_a_clip_and_the_clip_stays_as_it_is(
    tmp_path: Path,
) -> None:
    heard: list[tuple[int, int]] = []

    def judge(stretch: Stretch) -> Speech:
        stop = stretch.start + len(stretch.samples)
        np.testing.assert_array_equal(stretch.samples, SOUND[stretch.start : stop])
        heard.append((stretch.start, stop))
        return Speech("test", 0.1, spoken=False)

    box = Box(tmp_path, privacy=Privacy(judge=judge, context_samples=500))
    box.hear("rain", 8_300, 60_000)
    clips = run(box, stop=64_200).saved
    assert [(one["start_sample"], one["end_sample"]) for one in clips] == [
        (300, 40_300),
        (40_300, 64_000),
    ]
    assert heard == [(0, 40_800), (39_800, 64_200)], "as far as there is anything"
    joined = np.concatenate([box.audio_of(clip) for clip in clips])
    np.testing.assert_array_equal(joined, SOUND[300:64_000])


def test_a_gap_beside_a_clip_is_none_of_it(tmp_path: Path) -> None:
    quiet = Privacy(judge=lambda _: Speech("test", 0.1, spoken=False), context_samples=500)
    box = Box(tmp_path, privacy=quiet)
    box.hear("rain", 20_000, 30_000)
    box.recorder.open()
    box.feed(11_200)
    box.skip(400)  # the clip begins at 12,000
    (clip,) = run(box).saved
    assert clip["gaps"] == []


def test_an_encrypted_clip_opens_for_its_key_alone(tmp_path: Path) -> None:
    secret, public = new_identity()
    box = Box(tmp_path, privacy=Privacy(seal=lambda data: seal(data, public)))
    box.hear("rain", 20_000, 30_000)
    (clip,) = run(box).saved
    assert clip["encrypted"] is True
    (file,) = tmp_path.rglob("*.flac.age")
    assert b"fLaC" not in file.read_bytes()
    plain = tmp_path / "plain.flac"
    plain.write_bytes(unseal(file.read_bytes(), secret))
    samples, _ = soundfile.read(plain, dtype="int16", always_2d=True)
    np.testing.assert_array_equal(samples, SOUND[12_000:34_000])


def test_a_clip_without_room_is_lost_and_counted_and_the_next_one_is_not(tmp_path: Path) -> None:
    limits = Limits(max_total_mb=1)
    (keep := old_clip(tmp_path, 1, 990_000).with_suffix(".keep")).touch()
    box = Box(tmp_path, limits=limits)
    box.hear("rain", 20_000, 30_000)
    box.recorder.open()
    box.feed(80_000)
    box.recorder.work_off()
    assert box.saved == []
    assert box.recorder.counters.lost == 1
    assert "no room" in box.recorder.trouble
    with pytest.raises(StorageError, match="no room"):
        box.recorder.request(1.0)
    keep.unlink()
    box.hear("rain", 100_000, 110_000)
    assert len(run(box, stop=150_000).saved) == 1
    assert box.recorder.trouble == ""


def old_clip(directory: Path, number: int, size_bytes: int) -> Path:
    """Put a clip of an earlier run into the folder."""
    (directory / "0000").mkdir(exist_ok=True)
    sound = directory / "0000" / f"{number:07}_20260101T000000Z_rain.flac"
    sound.write_bytes(bytes(size_bytes))
    sound.with_suffix(".json").write_text(json.dumps({"clip_id": f"c{number}", "file": sound.name}))
    return sound


def test_room_is_made_every_hour_also_while_nothing_is_heard(tmp_path: Path) -> None:
    box = Box(tmp_path, limits=Limits(max_total_mb=1))
    box.recorder.open()
    clips = [old_clip(tmp_path, number, 600_000) for number in (1, 2)]
    box.now_s = TEND_S - 1
    box.writer.tend()
    assert all(clip.exists() for clip in clips)
    box.now_s = TEND_S
    box.writer.tend()
    assert [clip.exists() for clip in clips] == [False, True]


def test_what_failed_is_tried_again_after_some_seconds(tmp_path: Path) -> None:
    kept = old_clip(tmp_path, 1, 1_200_000).with_suffix(".keep")
    kept.touch()
    box = Box(tmp_path, limits=Limits(max_total_mb=1))
    box.writer.open()
    assert "no room" in box.recorder.trouble
    kept.unlink()
    box.now_s = RETRY_S - 1
    box.writer.tend()
    assert box.recorder.trouble
    box.now_s = RETRY_S
    box.writer.tend()
    assert box.recorder.trouble == ""


def test_a_folder_that_another_process_writes_is_trouble_and_not_the_end(tmp_path: Path) -> None:
    with ClipStore(tmp_path):
        box = Box(tmp_path)
        box.hear("rain", 20_000, 30_000)
        with pytest.raises(StorageError, match="another process"):
            box.recorder.open()
        box.feed(80_000)
        box.recorder.work_off()
        assert box.recorder.counters.lost == 1


def test_a_disk_so_slow_that_sound_is_overwritten_is_counted(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.recorder.open()
    box.hear("rain", 20_000, 30_000)
    box.feed(100_000, work_off=False)  # nothing is worked off meanwhile: 72,000 samples are kept
    box.recorder.work_off()
    (clip,) = box.saved
    assert clip["gaps"] == [
        {"start_sample": 12_000, "lost_samples": 16_000, "cause": "overwritten"}
    ]
    assert box.recorder.counters.overwritten_samples == 16_000


def test_its_thread_writes_what_is_left_when_it_is_told_to_stop(tmp_path: Path) -> None:
    box = Box(tmp_path)
    thread = threading.Thread(target=box.recorder.run)
    thread.start()
    box.feed(24_000, work_off=False)
    box.recorder.event(Event("onset", "rain", "rain", 0.5, 20_000))
    box.recorder.stop()
    thread.join(60)
    assert not thread.is_alive()
    (clip,) = box.saved
    assert (clip["start_sample"], clip["end_sample"]) == (12_000, 24_000)
    assert clip["events"][0]["offset_sample"] is None
    np.testing.assert_array_equal(box.audio_of(clip), SOUND[12_000:24_000])


def test_a_clip_is_marked_by_its_number_or_its_file(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.hear("rain", 20_000, 30_000)
    (clip,) = run(box).saved
    answers: list[object] = []
    box.recorder.mark(str(clip["number"]), keep=True, done=answers.append)
    box.recorder.mark(clip["file"], keep=False, done=answers.append)
    for wrong in ("99", "../../etc/passwd", clip["clip_id"], ""):
        box.recorder.mark(wrong, keep=True, done=answers.append)
    box.recorder.work_off()
    stem = clip["file"].removesuffix(".flac")
    assert answers[:2] == [stem, stem]
    assert all(isinstance(answer, StorageError) for answer in answers[2:])
    assert not box.store.find(stem).kept


def test_a_replay_has_no_times(tmp_path: Path) -> None:
    box = Box(tmp_path, utc=False)
    box.hear("rain", 20_000, 30_000)
    (clip,) = run(box).saved
    assert (clip["start_time"], clip["end_time"]) == (None, None)
    assert "untimed" in clip["file"]


def test_a_clip_is_named_for_what_sounds_in_it_before_what_only_is_near(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.hear("rain", 20_000, 45_000)
    box.recorder.event(Event("onset", "dog", "dog", 0.99, 53_000))  # its pre-roll overlaps
    first = run(box).saved[0]
    assert first["end_sample"] == 52_000
    assert first["labels"] == ["rain", "dog"]


def test_what_waits_for_a_stuck_disk_is_bounded(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.recorder.open()
    box.feed(400, work_off=False)
    for _ in range(GOING_ON):
        box.recorder.request(1.0)
    with pytest.raises(StorageError, match="going on already"):
        box.recorder.request(1.0)
    for _ in range(2 * BACKLOG):
        box.recorder.scores(Scores(0, 1, np.zeros(2, np.float32)))
    for _ in range(3):
        box.recorder.level(a_level(0))
    figures = recording_figures(box.recorder)
    assert figures["record_scores_dropped"] == BACKLOG + GOING_ON, "the commands wait there too"
    assert figures["record_levels_dropped"] == 3
    with pytest.raises(StorageError, match="waits for its disk"):
        box.recorder.mark("1", keep=True, done=print)
    box.recorder.work_off()
    box.recorder.mark("1", keep=True, done=lambda _: None)


def test_many_events_are_no_reason_to_refuse_a_command(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.recorder.open()
    box.feed(400)
    for number in range(2 * GOING_ON):
        box.recorder.event(Event("onset", f"e{number}", "rain", 0.5, 100))
    box.recorder.work_off()
    assert box.recorder.request(1.0) != box.recorder.request(1.0), "each has its own name"


def test_a_clip_now_and_then_does_not_put_off_the_next_try(tmp_path: Path) -> None:
    other = ClipStore(tmp_path)
    other.open()
    box = Box(tmp_path)
    with pytest.raises(StorageError):
        box.recorder.open()
    other.close()
    for number in range(1, 8):
        box.now_s = 2.0 * number
        box.hear(f"e{number}", 20_000 * number, 20_000 * number + 100)
        box.feed(20_000 * number + 16_000)
        box.writer.tend()
    assert box.recorder.trouble == ""
    assert box.saved


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    box = Box(clips)
    box.hear("rain", 20_000, 30_000)
    box.recorder.open()
    box.feed(80_000)
    shutil.rmtree(clips)
    box.hear("dog", 100_000, 110_000)
    box.feed(140_000)
    box.now_s = 2 * RETRY_S
    box.writer.tend()
    box.hear("cat", 160_000, 165_000)
    run(box, stop=200_000)
    assert [clip["labels"] for clip in box.saved][-1] == ["cat"]
    assert (clips / "0000" / box.saved[-1]["file"]).exists()
    assert box.recorder.trouble == ""


def test_an_event_that_begins_where_a_clip_is_cut_belongs_to_the_next(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.hear("rain", 20_000, 110_000)
    box.hear("dog", 60_000, 61_000)  # its pre-roll begins at 52,000, with the second clip
    clips = run(box, stop=160_000).saved
    assert [clip["start_sample"] for clip in clips] == [12_000, 52_000, 92_000]
    assert [clip["labels"] for clip in clips] == [["rain"], ["rain", "dog"], ["rain"]]


def test_a_label_whose_event_ended_with_the_clips_first_sample_does_not_name_it(
    tmp_path: Path,
) -> None:
    box = Box(tmp_path)
    box.recorder.event(Event("onset", "dog", "dog", 0.99, 20_000))
    box.recorder.event(Event("onset", "rain", "rain", 0.5, 50_000))
    box.recorder.event(Event("offset", "dog", "dog", 0.99, 20_000, 52_000))  # the cut
    box.recorder.event(Event("offset", "rain", "rain", 0.5, 50_000, 80_000))
    clips = run(box, stop=160_000).saved
    assert [clip["start_sample"] for clip in clips] == [12_000, 52_000]
    assert clips[1]["labels"] == ["rain", "dog"]


def test_an_overwritten_stretch_and_a_gap_in_it_are_counted_once(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.recorder.open()
    box.hear("rain", 20_000, 30_000)
    box.feed(14_000, work_off=False)
    box.skip(400)
    box.feed(100_000, work_off=False)
    box.recorder.work_off()
    (clip,) = box.saved
    assert clip["gaps"] == [
        {"start_sample": 12_000, "lost_samples": 16_000, "cause": "overwritten"}
    ]


def test_a_calibrated_box_writes_sound_pressure_levels(tmp_path: Path) -> None:
    box = Box(tmp_path, offset_db=120.0)
    box.recorder.level(a_level(2, RATE_HZ, laeq_dbfs=-50.0))
    box.hear("rain", 20_000, 24_000)
    (sidecar,) = run(box).saved
    assert sidecar["levels"]["laeq_db"] == 70.0
    assert not [key for key in sidecar["levels"] if key.endswith("_dbfs")]


def test_behind_another_model_clips_say_which_and_have_its_labels(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.recorder.open()
    box.hear("rain", 20_000, 30_000)
    box.feed(60_000)
    facts = {"name": "other", "version": "2", "sha256": "1"}
    box.recorder.change_model(NewModel(("Bark", "dog"), facts, 12_000))
    box.hear("dog", 90_000, 95_000)
    box.feed(160_000)
    box.recorder.finish()
    before, behind = box.saved
    sidecars = [json.loads(path.read_text()) for path in sorted(tmp_path.rglob("*.json"))]
    assert [one["model"]["name"] for one in sidecars] == ["m", "other"]
    assert before["scores"] == {"rain": 0.7, "speech": 0.1}
    assert behind["scores"] == {"Bark": 0.7, "dog": 0.1}
