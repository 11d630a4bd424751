# SPDX-License-Identifier: MIT
"""Clips of the listening unit: real alsa-lib, real Mosquitto, real disks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edge.config.load import load_settings
from edge.errors import EXIT_CONFIG, ConfigError, EdgeError, StorageError
from edge.model.detector import Detector
from edge.model.registry import read_model, shipped_model
from edge.record.sealing import new_identity
from edge.record.store import ClipStore
from edge.record.writer import RETRY_S
from edge.service.hearing import is_hearing
from edge.service.recording import build_recorder, clip_lengths
from edge.service.rules import build_rules
from edge.types import Scores, StreamFormat, Utc
from tests.conftest import may_mount, small_disk, wait_until
from tests.record.shelf import shelve
from tests.service.conftest import body_of
from tests.service.test_listen import NO_BROKER, fill, health_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Mosquitto, Subscriber

MODEL = read_model(shipped_model())
Start = "Callable[..., Listener]"
SHORT_ROLLS = ("record.pre_roll_s=1.0", "record.post_roll_s=1.0")
PUBLIC = new_identity()[1]
NO_EVENTS = 'record.labels=["chainsaw"]'  # the scene has none in its first half minute


def tell(server: Mosquitto, name: str, payload: str, *options: str) -> None:
    topic = ("-t", f"edge/edge/command/{name}", "-m", payload, *options)
    subprocess.run(["mosquitto_pub", "-p", str(server.port), *topic], check=True)


def audio_of(clips: Path, clip: dict[str, Any]) -> np.ndarray[Any, Any]:
    (path,) = clips.rglob(clip["file"])
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == clip["rate_hz"]
    return np.asarray(samples)


def played(scene_raw: Path, start: int, stop: int) -> np.ndarray[Any, Any]:
    """Return what the microphone played: the scene, again and again."""
    sound = np.fromfile(scene_raw, "<i2")
    return sound[np.arange(start, stop) % len(sound)]


def clip_of(ear: Subscriber, at_least_s: float) -> dict[str, Any]:
    """Return the first clip of a length that is reported."""

    def found() -> dict[str, Any] | None:
        bodies = (line.partition(" ")[2] for line in ear.lines() if "/clip {" in line)
        clips: list[dict[str, Any]] = [json.loads(body) for body in bodies]
        return next((clip for clip in clips if clip["duration_s"] >= at_least_s), None)

    return wait_until(found, f"a clip of {at_least_s} s")


def test_an_event_becomes_a_clip_that_is_what_the_microphone_played(
    listen: Start, mosquitto: Callable[..., Mosquitto], scene_raw: Path, tmp_path: Path
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    clips = tmp_path / "clips"
    listener = listen(f'publish.url="{server.url}"', f'record.directory="{clips}"', *SHORT_ROLLS)
    listener.wait_ready()
    clip = clip_of(ear, 3.0)
    heard = audio_of(clips, clip)
    start, end = clip["start_sample"], clip["end_sample"]
    np.testing.assert_array_equal(heard, played(scene_raw, start, end))
    onsets = [event["onset_sample"] for event in clip["events"]]
    assert start == max(min(onsets) - 48_000, 0)
    assert clip["labels"][0] in clip["file"]
    assert clip["gaps"] == []
    wait_until(lambda: is_hearing(listener.state) or None, "others see that it hears")
    assert listener.stop() == 0
    assert not is_hearing(listener.state)
    told = {
        json.loads(line.partition(" ")[2])["clip_id"] for line in ear.lines() if "/clip {" in line
    }
    written = {json.loads(path.read_bytes())["clip_id"] for path in clips.rglob("*.json")}
    assert told == written, "each clip is reported, those of the stop too"
    assert "Traceback" not in listener.log()


def test_a_command_records_the_next_seconds_and_keeps_the_clip(
    listen: Start, mosquitto: Callable[..., Mosquitto], scene_raw: Path, tmp_path: Path
) -> None:
    server = mosquitto()
    tell(server, "record", '{"seconds": 55}', "-r")  # kept by the broker: not obeyed
    ear = server.subscribe()
    clips = tmp_path / "clips"
    listener = listen(
        f'publish.url="{server.url}"', f'record.directory="{clips}"', NO_EVENTS, *SHORT_ROLLS
    )
    listener.wait_ready()
    ear.wait_for("status online")
    wait_until(lambda: "the broker is there" in listener.log(), "the command topic is subscribed")
    tell(server, "record", '{"seconds": 2, "request_id": "r1"}')
    answer = body_of(ear, "command/record/result")
    assert answer["ok"] is True
    assert answer["request_id"] == "r1"
    clip = clip_of(ear, 1.9)
    assert clip["reason"] == "command"
    assert clip["commands"] == [answer["command"]]
    start, end = clip["start_sample"], clip["end_sample"]
    assert end - start == 96_000
    np.testing.assert_array_equal(audio_of(clips, clip), played(scene_raw, start, end))
    tell(server, "keep", str(clip["number"]))
    assert body_of(ear, "command/keep/result")["ok"] is True
    assert len(list(clips.rglob("*.keep"))) == 1
    tell(server, "format", "c:")
    assert body_of(ear, "command/unknown/result")["ok"] is False
    assert listener.stop() == 0
    assert len(list(clips.rglob("*.flac"))) == 1, "what the broker kept was not obeyed"


def test_what_idle_time_finds_in_a_clip_reaches_the_broker(
    listen: Start, mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    server = mosquitto()
    ear = server.subscribe("edge/edge/analysis")
    pictures = server.subscribe("edge/edge/analysis/picture", "-F", "%x")
    shared = (f'publish.url="{server.url}"', f'state.directory="{tmp_path / "box"}"')
    listener = listen(*shared, NO_EVENTS, *SHORT_ROLLS)
    listener.wait_ready()
    wait_until(lambda: "the broker is there" in listener.log(), "the command topic is subscribed")
    tell(server, "record", "1")
    options = [part for one in (*shared, "analysis.max_load=100.0") for part in ("--set", one)]
    with subprocess.Popen([sys.executable, "-m", "edge", "analyze", *options]) as analyzer:
        report = json.loads(ear.wait_for("edge/edge/analysis {", 120).partition(" ")[2])
        assert pictures.wait_for("89504e47")  # PNG
        analyzer.terminate()
        assert analyzer.wait(30) == 0
    assert report["message_id"] == f"{report['clip_id']}-analysis"
    assert report["onsets"]["count"] >= 0
    (picture,) = (tmp_path / "box").rglob(report["picture"])
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert listener.stop() == 0
    assert not list((tmp_path / "box" / "spool").iterdir()), "it was taken over"
    assert len([line for line in ear.lines() if "analysis {" in line]) == 1


@pytest.mark.skipif(not may_mount(), reason="no mount can be made here")
def test_a_full_disk_pauses_recording_and_listening_goes_on(
    listen: Start, mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    disk = tmp_path / "disk"
    disk.mkdir()
    listener = listen(
        f'publish.url="{server.url}"',
        f'record.directory="{disk}/clips"',
        "retention.min_free_mb=1",
        NO_EVENTS,
        *SHORT_ROLLS,
        wrap=small_disk(disk, "4m"),
    )
    listener.wait_ready()
    ear.wait_for("status online")
    tell(server, "record", "1")
    clip_of(ear, 0.9)
    filler = listener.sees(disk / "filler")
    fill(filler)
    tell(server, "record", "1.5")
    ear.wait_for('"recording":"there is no room')
    assert health_of(listener)["microphone"] == "ok"
    level = len([line for line in ear.lines() if "/level {" in line])
    wait_until(lambda: len([x for x in ear.lines() if "/level {" in x]) > level + 1, "levels go on")
    tell(server, "record", "1")
    ear.wait_for('"error":"recording pauses')
    filler.unlink()
    wait_until(lambda: "recording goes on" in listener.log(), "recording resumes by itself")
    tell(server, "record", "1.7")
    clip_of(ear, 1.6)
    assert listener.log().count("ERROR record recording pauses") == 1, "said once"
    assert listener.stop() == 0
    assert "Traceback" not in listener.log()


def test_a_box_that_may_not_record_keeps_nothing(listen: Start, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    listener = listen(NO_BROKER, f'record.directory="{clips}"', "record.enabled=false")
    listener.wait_ready()
    wait_until(lambda: health_of(listener).get("recording") == "off", "recording is off")
    assert listener.stop() == 0
    assert not clips.exists()


def test_a_veto_that_nothing_can_decide_is_refused_at_the_start(listen: Start) -> None:
    listener = listen(NO_BROKER, 'speech.action="drop"', 'speech.labels=["chatter"]')
    assert listener.wait(60) == EXIT_CONFIG
    assert "nothing can tell speech" in listener.log()


@pytest.mark.parametrize(
    ("overrides", "channels", "reason"),
    [
        (["record.labels=['rain', 'snow']"], 1, "has no label 'snow'"),
        (["record.memory_mb=10"], 1, "record.memory_mb = 10: .* need 10.8 MB"),
        (["record.memory_mb=12", f'record.public_key="{PUBLIC}"'], 1, "need 14.0 MB"),
        (['record.public_key="ssh-rsa AAAA"'], 1, "public key"),
        ([], 9, "FLAC holds 8 channels"),
        (
            ['speech.action="strip"', 'speech.model="/nowhere.onnx"'],
            1,
            "/nowhere.onnx is not there",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    tmp_path: Path,
    overrides: list[str],
    channels: int,
    reason: str,
) -> None:
    settings = load_settings(None, [f'state.directory="{tmp_path}"', *overrides])
    with pytest.raises(EdgeError, match=reason) as failure:
        build_recorder(
            settings,
            stream=StreamFormat(48000, channels, 1024, "S16_LE"),
            stream_id="x",
            device="x",
            model=MODEL,
            utc=None,
            saved=print,
        )
    assert failure.value.help, "it says how to mend it"


@pytest.mark.data
def test_what_the_judge_hears_around_a_clip_is_kept_and_counted(data: Path, tmp_path: Path) -> None:
    voice_model = f'speech.model="{data / "models/silero_vad.onnx"}"'
    shared = (f'state.directory="{tmp_path}"', voice_model, 'speech.action="drop"')
    for min_s, needed in ((0.25, "10.9"), (10.0, "15.2")):
        settings = load_settings(None, [*shared, f"speech.min_s={min_s}", "record.memory_mb=10"])
        with pytest.raises(ConfigError, match=f"need {needed} MB"):
            build_recorder(
                settings,
                stream=StreamFormat(48000, 1, 1024, "S16_LE"),
                stream_id="x",
                device="x",
                model=MODEL,
                utc=None,
                saved=print,
            )


@pytest.mark.parametrize(
    ("settings", "left", "trouble"),
    [
        ((), [1, 2, 3], ""),
        (("retention.max_total_mb=1", "retention.min_per_label=1"), [3], ""),
        (("retention.max_total_mb=1", "retention.min_per_label=2"), [2, 3], "no clip is left"),
        (("retention.max_age_days=7.0", "retention.min_per_label=0"), [3], ""),
        (("retention.min_free_mb=100000000",), [1, 2, 3], "retention.min_free_mb"),
    ],
)
def test_the_settings_decide_which_clips_go(
    tmp_path: Path, settings: tuple[str, ...], left: list[int], trouble: str
) -> None:
    for number, day in ((1, "20260101"), (2, "20260102"), (3, "20260120")):
        shelve(tmp_path / "clips", number, f"{day}T000000Z", size_bytes=600_000)
    recorder = build_recorder(
        load_settings(None, [f'state.directory="{tmp_path}"', *settings]),
        stream=StreamFormat(48000, 1, 1024, "S16_LE"),
        stream_id="x",
        device="x",
        model=MODEL,
        utc=lambda _: Utc("2026-01-20T00:01:00.000Z", synchronised=True),
        saved=print,
    )
    with suppress(StorageError):
        recorder.open()
    recorder.finish()
    assert trouble in recorder.trouble
    assert bool(trouble) == bool(recorder.trouble)
    assert [entry.number for entry in ClipStore(tmp_path / "clips").entries()] == left


@given(
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)
def test_no_event_is_told_later_than_the_clips_wait_for_it(
    values: list[float], min_hits: int, hold_s: float
) -> None:
    rate_hz = 48000
    settings = load_settings(
        None,
        [
            f"detector.min_hits={min_hits}",
            f"detector.hold_s={hold_s}",
            "detector.threshold=0.5",
            "detector.cooldown_s=0.0",
        ],
    )
    lengths = clip_lengths(settings, rate_hz, MODEL)
    detector = Detector(MODEL.labels, build_rules(settings, MODEL), rate_hz, "x")
    samples = rate_hz // MODEL.front_end.rate_hz * MODEL.front_end.hop_length
    hop, length = MODEL.patch_hop * samples, MODEL.patch_frames * samples
    for number, value in enumerate(values):
        scores = np.zeros(len(MODEL.labels), np.float32)
        scores[0] = value
        heard_to = number * hop + length
        for event in detector.update(Scores(number * hop, length, scores)):
            at = event.onset_index if event.offset_index is None else event.offset_index
            assert heard_to - at <= lengths.known_after


@pytest.mark.skipif(not may_mount(), reason="no mount can be made here")
def test_a_folder_that_turns_read_only_is_said_once_and_heals_by_itself(
    listen: Start, mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    clips = tmp_path / "clips"
    clips.mkdir()
    listener = listen(
        f'publish.url="{server.url}"',
        f'record.directory="{clips}"',
        NO_EVENTS,
        *SHORT_ROLLS,
        wrap=("unshare", "-m", "--propagation", "private"),
    )
    listener.wait_ready()
    ear.wait_for("status online")
    wait_until(lambda: "the broker is there" in listener.log(), "the command topic is subscribed")
    listener.inside("mount", "--bind", str(clips), str(clips))
    listener.inside("mount", "-o", "remount,bind,ro", str(clips))
    tell(server, "record", "1")
    wait_until(lambda: "ERROR record recording pauses" in listener.log(), "it is noticed")
    wait_until(lambda: health_of(listener).get("clips_lost") == "1", "the clip is counted")
    time.sleep(RETRY_S + 2.0)
    assert "recording goes on" not in listener.log(), "a look alone mends nothing"
    listener.inside("umount", str(clips))
    wait_until(lambda: "recording goes on" in listener.log(), "it heals by itself")
    tell(server, "record", "1.1")
    clip_of(ear, 1.0)
    assert listener.log().count("ERROR record recording pauses") == 1, "said once"
    assert listener.stop() == 0
    assert "Traceback" not in listener.log()


@pytest.mark.skipif(not may_mount(), reason="no mount can be made here")
def test_while_its_disk_is_not_mounted_nothing_is_written_into_the_empty_mount_point(
    listen: Start, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    listener = listen(
        f'publish.url="{server.url}"',
        'record.directory="/mnt"',
        "record.require_mount=true",
        NO_EVENTS,
        *SHORT_ROLLS,
        wrap=("unshare", "-m", "--propagation", "private"),
    )
    listener.wait_ready()
    ear.wait_for('"recording":"the disk of /mnt is not mounted')
    before = sorted(listener.sees(Path("/mnt")).iterdir())
    listener.inside("mount", "-t", "tmpfs", "tmpfs", "/mnt")
    wait_until(lambda: "recording goes on" in listener.log(), "it heals by itself")
    wait_until(lambda: "the broker is there" in listener.log(), "the command topic is subscribed")
    tell(server, "record", "1")
    clip_of(ear, 0.9)
    listener.inside("umount", "-l", "/mnt")  # as when it is pulled out
    tell(server, "record", "1.1")
    wait_until(lambda: health_of(listener).get("clips_lost") == "1", "the clip is counted")
    assert sorted(listener.sees(Path("/mnt")).iterdir()) == before
    assert listener.log().count("ERROR record recording pauses") == 2, "once each"
    assert listener.stop() == 0
    assert "Traceback" not in listener.log()
