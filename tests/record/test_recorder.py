# SPDX-License-Identifier: MIT
"""The recorder on a real folder: what is asked for is there, sample for sample."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from edge.errors import StorageError
from edge.record.history import History
from edge.record.logbook import Logbook
from edge.record.planner import ClipPlanner, Lengths
from edge.record.recorder import PENDING, Recorder
from edge.record.retention import Limits, Retention
from edge.record.sealing import new_identity, seal, unseal
from edge.record.sidecar import Origin, Speech
from edge.record.store import ClipStore
from edge.record.writer import RETRY_S, TEND_S, ClipWriter, Privacy
from edge.types import Event, Gap, Period, Scores, StreamFormat, Utc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.record.history import Stretch

RATE_HZ = 8000
STREAM = StreamFormat(RATE_HZ, 1, 400, "S16_LE")
LENGTHS = Lengths(pre_roll=8000, post_roll=4000, max_clip=40_000, known_after=8000)
ORIGIN = Origin("box", "box-1", "Test", {"name": "m", "version": "1", "sha256": "0"}, "0.1")
SOUND = np.random.default_rng(0).integers(-(2**15), 2**15, (200_000, 1)).astype(np.int16)


class Box:
    """A recorder, what it was fed, and what it saved."""

    def __init__(
        self,
        directory: Path,
        *,
        privacy: Privacy | None = None,
        limits: Limits | None = None,
        labels: frozenset[str] | None = None,
        utc: bool = True,
    ) -> None:
        self.saved: list[Mapping[str, Any]] = []
        self.now_s = 0.0
        self.store = ClipStore(directory)
        self._history = History(STREAM, LENGTHS.memory + 16_000)
        self.logbook = Logbook(("rain", "speech"), 100_000)
        self.writer = ClipWriter(
            stream=STREAM,
            origin=ORIGIN,
            history=self._history,
            logbook=self.logbook,
            store=self.store,
            retention=Retention(self.store, limits or Limits()),
            container="flac",
            privacy=privacy or Privacy(),
            utc=_utc if utc else None,
            saved=self.saved.append,
            mono_s=lambda: self.now_s,
        )
        self.recorder = Recorder(
            rate_hz=RATE_HZ,
            history=self._history,
            logbook=self.logbook,
            planner=ClipPlanner(LENGTHS),
            writer=self.writer,
            labels=labels,
        )
        self._fed = 0

    def feed(self, stop: int, *, work_off: bool = True) -> None:
        """Hear up to `stop`, in periods, with a patch each half second."""
        while self._fed < stop:
            n = min(400, stop - self._fed)
            self.recorder.keep(Period(self._fed, SOUND[self._fed : self._fed + n], 0.0))
            self._fed += n
            if self._fed % 4000 == 0:
                values = np.array([0.7, 0.1], np.float32)
                self.recorder.scores(Scores(self._fed - 4000, 4000, values))
            if work_off:
                self.recorder.work_off()

    def skip(self, lost: int) -> None:
        self.recorder.keep(Gap(self._fed, lost, "xrun", 0.0))
        self._fed += lost

    def hear(self, name: str, start: int, stop: int) -> None:
        """Tell an event, whole."""
        event = Event("onset", name, name, 0.5, start)
        self.recorder.event(event)
        self.recorder.event(replace(event, edge="offset", offset_index=stop, score=0.9))

    def audio_of(self, sidecar: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        entry = self.store.find(str(sidecar["number"]))
        samples, rate_hz = soundfile.read(
            entry.bucket / sidecar["file"], dtype="int16", always_2d=True
        )
        assert rate_hz == RATE_HZ
        return np.asarray(samples)


def _utc(index: int) -> Utc:
    return Utc(f"2026-01-01T00:00:{index / RATE_HZ:06.3f}Z", synchronised=True)


def run(box: Box, *, stop: int = 120_000) -> Box:
    """Feed a box whose recorder works in this thread, to the end."""
    box.recorder.open()
    box.feed(stop)
    box.recorder.finish()
    return box


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
    for _ in range(PENDING):
        box.recorder.request(10)
    box.recorder.work_off()
    with pytest.raises(StorageError, match="going on already"):
        box.recorder.request(10)


def test_only_chosen_labels_make_clips(tmp_path: Path) -> None:
    box = Box(tmp_path, labels=frozenset({"glass"}))
    box.hear("rain", 20_000, 30_000)
    assert run(box).saved == []


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
    thread.join(10)
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
