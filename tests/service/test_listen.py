# SPDX-License-Identifier: MIT
"""The listening unit from the sound card to the broker: real alsa-lib, real Mosquitto."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from edge.capture.reopening import LONGEST_RETRY_S
from edge.errors import EXIT_CONFIG, EXIT_DEVICE, EXIT_MODEL
from edge.publish.outbox import Outbox
from edge.types import Message
from tests.conftest import (
    LATE_EAR,
    broker_with_memory,
    free_port,
    may_mount,
    small_disk,
    wait_until,
)
from tests.service.conftest import Listener, body_of
from tools.lab.microphone import VirtualMicrophone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Mosquitto, Subscriber

Start = "Callable[..., Listener]"
NO_BROKER = 'publish.url=""'
# Two to three seconds where the machine does nothing else, and an hour if not by itself.
AT_ONCE_S = 20.0


def health_of(listener: Listener) -> dict[str, str]:
    """Return the newest figures from the log's `stats` line."""
    lines = [line for line in listener.log().splitlines() if " stats " in line]
    pairs = lines[-1].partition(" stats ")[2].split() if lines else []
    return dict(pair.partition("=")[::2] for pair in pairs)


def test_a_sound_in_the_room_becomes_messages_at_the_broker(
    listen: Start, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    began_s = time.time()
    listener = listen(f'publish.url="{server.url}"', "health.interval_s=1.0")
    listener.wait_ready()
    ear.wait_for("edge/edge/status online")
    info = body_of(ear, "info")
    assert (info["rate_hz"], info["sample_format"]) == (48000, "S16_LE")
    assert info["labels"]
    level = body_of(ear, "level")
    assert began_s < utc_s(level["time"]) < time.time() + 0.1
    assert -90 < level["laeq_dbfs"] < 0
    assert level["calibrated"] is False
    scores = body_of(ear, "scores")["scores"]
    assert len(scores) == 3
    assert all(0 <= score <= 1 for score in scores.values())
    event = body_of(ear, "event")
    assert event["event_type"] == "onset"
    assert began_s < utc_s(event["onset_time"]) < time.time()
    ear.wait_for(f"detected/{event['label']} ON")
    health = body_of(ear, "health")
    assert (health["microphone"], health["xruns"], health["gaps"]) == ("ok", 0, 0)
    assert listener.stop() == 0
    ear.wait_for("status offline")
    states: dict[str, str] = {}
    for line in ear.lines():
        topic, _, payload = line.partition(" ")
        states[topic] = payload
    assert "ON" not in states.values(), "what sounded at the end is closed"
    onsets, offsets = edges(ear.lines())
    assert onsets == offsets


def utc_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def edges(lines: list[str]) -> tuple[list[str], list[str]]:
    bodies: list[dict[str, Any]] = [
        json.loads(line.partition(" ")[2]) for line in lines if "/event {" in line
    ]
    by_edge: dict[str, list[str]] = {"onset": [], "offset": []}
    for body in bodies:
        by_edge[body["event_type"]].append(body["event_id"])
    return sorted(by_edge["onset"]), sorted(by_edge["offset"])


def test_the_manager_hears_ready_status_watchdog_and_stopping(listen: Start) -> None:
    listener = listen(NO_BROKER)
    listener.wait_ready()
    wait_until(lambda: listener.heard("WATCHDOG=1"), "WATCHDOG=1")
    wait_until(lambda: listener.heard("STATUS="), "STATUS=")
    assert listener.stop() == 0
    assert listener.heard("STOPPING=1")


class StuckMicrophone:
    """A device whose driver blocks for ever after its first samples: alsa-lib on a FIFO."""

    name = "stuck"

    def __init__(self, directory: Path) -> None:
        fifo = directory / "samples"
        os.mkfifo(fifo)
        # Both ends, so that neither opening blocks and the reader meets no end.
        self._end = os.open(fifo, os.O_RDWR)
        os.write(self._end, bytes(60_000))
        self._config = directory / "asound.conf"
        self._config.write_text(
            "</usr/share/alsa/alsa.conf>\n"
            'pcm.stuck { type plug slave { rate 48000 channels 1 format S16_LE pcm "fifo" } }\n'
            f'pcm.fifo {{ type file format raw file /dev/null infile "{fifo}" slave.pcm null }}\n'
        )

    def environment(self) -> dict[str, str]:
        return {**os.environ, "ALSA_CONFIG_PATH": str(self._config)}

    def close(self) -> None:
        os.close(self._end)


def test_a_stuck_driver_starves_the_watchdog(listen: Start, tmp_path: Path) -> None:
    stuck = StuckMicrophone(tmp_path)
    listener = listen(NO_BROKER, on=stuck)
    listener.wait_ready()
    wait_until(lambda: "stand still" in listener.log(), "the standstill is noticed")
    time.sleep(1.0)  # in which what was told before is heard
    fed = listener.told.count("WATCHDOG=1")
    time.sleep(2.0)
    assert fed > 0
    assert listener.told.count("WATCHDOG=1") == fed
    assert listener.stop() == 0, "it can be stopped all the same"
    stuck.close()


def test_a_stuck_driver_is_told_at_once(
    listen: Start, tmp_path: Path, mosquitto: Callable[..., Mosquitto]
) -> None:
    stuck = StuckMicrophone(tmp_path)
    server = mosquitto()
    ear = server.subscribe()
    listener = listen(f'publish.url="{server.url}"', "health.interval_s=3600.0", on=stuck)
    listener.wait_ready()
    heard_s = time.monotonic()
    ear.wait_for('"microphone":"stalled"')
    assert time.monotonic() - heard_s < AT_ONCE_S
    assert listener.log().count("the microphone hears nothing: stalled") == 1
    assert listener.stop() == 0
    stuck.close()


def test_a_card_that_gives_another_rate_than_it_claims_is_said_and_goes_on(
    listen: Start, tmp_path: Path, scene_raw: Path
) -> None:
    liar = VirtualMicrophone(tmp_path / "liar", scene_raw, loop=True, ppm=-81_250, name="liar")
    listener = listen(NO_BROKER, "health.interval_s=3600.0", on=liar)
    listener.wait_ready()
    wait_until(lambda: health_of(listener).get("microphone") == "wrong_rate", "said")
    assert "gives 44100 samples a second instead of 48000" in listener.log()
    samples = int(health_of(listener)["samples"])
    assert listener.stop() == 0
    assert int(health_of(listener)["samples"]) > samples


def test_a_listener_that_is_killed_leaves_offline_behind(
    listen: Start, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    listener = listen(f'publish.url="{server.url}"')
    ear.wait_for("status online")
    listener.send(signal.SIGKILL)
    ear.wait_for("status offline")


def test_no_broker_at_all_disturbs_nothing(listen: Start) -> None:
    listener = listen('publish.url="mqtt://127.0.0.1:9"')
    listener.wait_ready()
    wait_until(lambda: "no broker" in listener.log(), "it is said")
    wait_until(lambda: int(health_of(listener).get("inferences", 0)) >= 16, "inferences")
    figures = health_of(listener)
    assert (figures["xruns"], figures["bad_outputs"]) == ("0", "0")
    # None where this machine never stands still; who waited for a broker would be late each time.
    assert int(figures["late_patches"]) <= int(figures["inferences"]) / 4
    assert listener.log().count("no broker") == 1, "said once"
    assert listener.stop() == 0


def test_a_broker_that_hangs_can_not_delay_the_end(
    listen: Start, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    listener = listen(f'publish.url="{server.url}"')
    listener.wait_ready()
    wait_until(lambda: "the broker is there" in listener.log(), "connected")
    server.freeze()
    time.sleep(1.0)
    assert listener.stop() == 0


def test_a_broker_that_comes_late_gets_the_events_that_waited(
    listen: Start, mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    server = broker_with_memory(mosquitto, tmp_path)
    listener = listen(f'publish.url="{server.url}"')
    wait_until(lambda: int(health_of(listener).get("outbox_depth", 0)) > 0, "an event waits")
    server.start()
    ear = server.subscribe("#", *LATE_EAR)
    assert body_of(ear, "event")["event_type"] == "onset"
    ear.wait_for("status online")
    assert listener.stop() == 0


def count(ear: Subscriber, text: str) -> int:
    return sum(text in line for line in ear.lines())


def test_an_unplugged_microphone_is_told_at_once_and_heard_again_when_it_is_back(
    listen: Start, microphone: VirtualMicrophone, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    listener = listen(f'publish.url="{server.url}"', "health.interval_s=3600.0")
    listener.wait_ready()
    ear.wait_for("scores {")
    unplugged_s = time.monotonic()
    microphone.unplug()
    ear.wait_for('"microphone":"lost"')
    assert time.monotonic() - unplugged_s < AT_ONCE_S
    # Longer than the watchdog of samples and inference is patient, and than any event's hold.
    time.sleep(12.0)
    assert "stand still" not in listener.log()
    heard = count(ear, "scores {")
    told = count(ear, '"microphone":"ok"')
    plugged_s = time.monotonic()
    microphone.plug()
    wait_until(lambda: count(ear, '"microphone":"ok"') > told, "it is told at once")
    wait_until(lambda: health_of(listener)["microphone"] == "ok", "in the log, too")
    told_s = time.monotonic()
    assert told_s - plugged_s < LONGEST_RETRY_S + AT_ONCE_S
    figures = health_of(listener)
    wait_until(lambda: count(ear, "scores {") > heard, "it is heard")
    assert figures["gaps"] == "1", "one hole, whatever it was read in"
    lost_s = int(figures["lost_samples"]) / 48000
    assert plugged_s - unplugged_s - 1.0 < lost_s < told_s - unplugged_s + 1.0
    log = listener.log()
    assert log.count("trying again") <= 2, "each reason once"
    assert "ALSA lib" not in log
    assert listener.stop() == 0


def test_what_sounds_when_the_microphone_is_pulled_ends_there_and_its_clip_is_written(
    listen: Start, microphone: VirtualMicrophone, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    always = '{name="loud",kind="level",limit_db=-200.0,unit="dbfs",average_s=1}'
    listener = listen(f'publish.url="{server.url}"', f"level.alarms=[{always}]")

    def state(label: str) -> str:
        said = [line for line in ear.lines() if f"detected/{label} " in line]
        return said[-1].rpartition(" ")[2] if said else ""

    ear.wait_for("detected/clock_tick ON")
    ear.wait_for("detected/loud ON")
    microphone.unplug()
    wait_until(lambda: state("clock_tick") == "OFF", "the classifier's event ends")
    wait_until(lambda: state("loud") == "OFF", "the alarm ends")
    clip = body_of(ear, "clip")
    assert {"clock_tick", "loud"} <= set(clip["labels"])
    assert listener.stop() == 0


def test_a_microphone_that_is_absent_at_boot_is_waited_for(
    listen: Start,
    microphone: VirtualMicrophone,
    mosquitto: Callable[..., Mosquitto],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    server = mosquitto()
    ear = server.subscribe()
    microphone.unplug()
    listener = listen(f'publish.url="{server.url}"')
    asked = [sys.executable, "-m", "edge", "status"]
    ear.wait_for('"microphone":"absent"')
    listener.wait_ready()
    assert (
        "microphone absent"
        in subprocess.run(asked, check=False, capture_output=True, text=True).stdout
    )
    wait_until(lambda: listener.heard("STATUS=no microphone"), "the service manager is told")
    wait_until(lambda: listener.heard("WATCHDOG=1"), "the watchdog is fed")
    topic = ("-t", "edge/edge/command/record", "-m", "2.0")
    subprocess.run(["mosquitto_pub", "-p", str(server.port), *topic], check=True)
    assert "there is no microphone yet" in ear.wait_for("command/record/result")
    microphone.plug()
    ear.wait_for("scores {")
    log = listener.log()
    assert log.count("waiting for it") == 1, "said once"
    assert "ALSA lib" not in log
    assert listener.stop() == 0


def figures_of(tmp_path: Path) -> str:
    return "".join(file.read_text() for file in (tmp_path / "run").glob("*.json"))


def test_a_password_that_can_not_be_read_costs_the_way_out_and_not_the_ears(
    listen: Start, mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    server = mosquitto("allow_anonymous false")
    missing = tmp_path / "none"
    listener = listen(
        f'publish.url="{server.url}"',
        'publish.user="box"',
        f'publish.password_file="{missing}"',
        "record.enabled=true",
    )
    listener.wait_ready()
    assert f"{missing} can't be read" in listener.log()
    wait_until(lambda: "the broker refuses us" in listener.log(), "it tries without")
    told = "the broker refuses us: Not authorized"
    wait_until(lambda: f'"broker": "{told}"' in figures_of(tmp_path), "`edge status` says why")
    clips = listener.state / "clips"
    wait_until(lambda: list(clips.rglob("*.flac")), "it hears and records")
    assert listener.stop() == 0


def test_who_waits_for_a_microphone_ends_what_stood_and_shows_itself(
    listen: Start, microphone: VirtualMicrophone, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    kept = ("mosquitto_pub", "-p", str(server.port), "-r", "-m", "ON", "-t")
    subprocess.run([*kept, "edge/edge/detected/rain"], check=True)
    subprocess.run([*kept, "edge/edge/paused"], check=True)
    microphone.unplug()
    listener = listen(f'publish.url="{server.url}"')
    listener.wait_ready()
    ear = server.subscribe()
    for state in ("detected/rain OFF", "paused OFF", "detected_rain"):
        ear.wait_for(state)
    assert listener.stop() == 0


def test_who_waits_for_a_microphone_can_be_stopped(
    listen: Start, microphone: VirtualMicrophone
) -> None:
    microphone.unplug()
    listener = listen(NO_BROKER)
    listener.wait_ready()
    assert listener.stop() == 0


def test_a_device_that_can_not_work_counts_as_a_failure_and_wrong_settings_do_not(
    listen: Start, tmp_path: Path, mosquitto: Callable[..., Mosquitto]
) -> None:
    """The next run waits the longer, can be stopped while it waits, and tells it when it runs."""
    server = mosquitto()
    ear = server.subscribe()
    words = tmp_path / "state" / "last_words"
    state = f'state.directory="{words.parent}"'
    assert listen(NO_BROKER, state, "capture.channel=1").wait(60) == EXIT_CONFIG
    assert not words.exists()
    for _ in range(2):
        assert listen(NO_BROKER, state, "capture.rate_hz=44100").wait(60) == EXIT_DEVICE
    head, _, said = words.read_text().partition("\n")
    words.write_text(json.dumps(json.loads(head) | {"failures": 20}) + "\n" + said)
    waiting = listen(NO_BROKER, state)
    wait_until(lambda: "waiting 60 s" in waiting.log(), "it waits")
    assert waiting.stop() == 0
    words.write_text(words.read_text().replace('"failures": 20', '"failures": 0'))
    running = listen(f'publish.url="{server.url}"', state)
    told = body_of(ear, "last_words")
    assert told["how"] == "crashed"
    assert "44100" in told["words"]
    assert {"time", "clock_synchronised"} <= told.keys()
    assert running.stop() == 0
    assert not words.exists()


def test_a_microphone_that_hears_nothing_and_heals_is_reported_at_once(
    listen: Start, tmp_path: Path, scene_raw: Path
) -> None:
    raw = tmp_path / "silence-and-sound.raw"
    raw.write_bytes(bytes(3 * 96_000) + scene_raw.read_bytes())
    mute = VirtualMicrophone(tmp_path / "mute", raw, loop=True, name="mute")
    listener = listen(NO_BROKER, "health.interval_s=3600.0", on=mute)
    listener.wait_ready()
    wait_until(lambda: "the microphone hears again" in listener.log(), "healed")
    wait_until(lambda: health_of(listener).get("microphone") == "ok", "said at once")
    log = listener.log()
    assert " microphone=zeros " in log
    assert log.count("the microphone hears nothing: zeros") == 1, "said once"
    assert log.count("the microphone hears again, after zeros") == 1
    assert listener.stop() == 0


@pytest.mark.parametrize(
    ("override", "code", "word"),
    [
        ("capture.rate_hz=44100", EXIT_DEVICE, "44100"),
        ("capture.channels=2", EXIT_DEVICE, "channel"),
        ("capture.channel=1", EXIT_CONFIG, "capture.channel = 1"),
        ('model.path="/dev/null"', EXIT_MODEL, "/dev/null"),
        ('detector.ignore=["unicorn"]', EXIT_CONFIG, "unicorn"),
        ('core.filters=[{kind="lowpass",freq_hz=24000.0}]', EXIT_CONFIG, "24000"),
        ("capture.period_size=7", EXIT_CONFIG, "capture.period_size = 7"),
    ],
)
def test_what_can_not_work_ends_at_once_with_a_sentence(
    listen: Start, override: str, code: int, word: str
) -> None:
    listener = listen(NO_BROKER, override)
    assert listener.wait(60) == code
    log = listener.log()
    assert word in log
    assert "Traceback" not in log


def test_a_state_directory_that_can_not_be_made_is_survived(listen: Start) -> None:
    listener = listen('publish.url="mqtt://127.0.0.1:9"', 'state.directory="/proc/edge"')
    listener.wait_ready()
    wait_until(lambda: "messages are kept in memory meanwhile" in listener.log(), "it is said")
    assert listener.stop() == 0


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not allowed here")
def test_a_disk_that_fills_up_loses_no_event_and_heals(
    listen: Start, tmp_path: Path, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = broker_with_memory(mosquitto, tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    listener = listen(
        f'publish.url="{server.url}"',
        f'state.directory="{disk}"',
        wrap=small_disk(disk, "1m"),
    )
    listener.wait_ready()
    filler = listener.sees(disk / "filler")
    fill(filler)
    wait_until(lambda: int(health_of(listener).get("unstored", 0)) > 0, "an event without a disk")
    assert listener.log().count("can't be used") == 1, "said once"
    filler.unlink()
    wait_until(lambda: "the outbox is written again" in listener.log(), "healed", 90)
    server.start()
    ear = server.subscribe("#", *LATE_EAR)
    body_of(ear, "event")
    assert listener.stop() == 0
    ear.wait_for("status offline")
    onsets, offsets = edges(ear.lines())
    assert onsets == offsets, "no event was lost"
    assert "Traceback" not in listener.log()


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not allowed here")
def test_a_disk_that_is_full_at_the_start_gives_its_backlog_once_there_is_room(
    listen: Start, tmp_path: Path, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    before = tmp_path / "before.sqlite"
    with Outbox(before, max_bytes=100_000) as outbox:
        outbox.put(Message("edge/edge/event", b"from before", qos=1, durable=True))
    disk = tmp_path / "disk"
    disk.mkdir()
    full = f"cp {before} {disk}/outbox.sqlite && ! cat /dev/zero >{disk}/filler"
    listener = listen(
        f'publish.url="{server.url}"',
        f'state.directory="{disk}"',
        wrap=small_disk(disk, "1m", full),
    )
    listener.wait_ready()
    body_of(ear, "event")
    assert "from before" not in "".join(ear.lines())
    assert "messages are kept in memory meanwhile" in listener.log()
    listener.sees(disk / "filler").unlink()
    ear.wait_for("from before", 90)
    wait_until(lambda: "the outbox is written again" in listener.log(), "healed")
    assert listener.stop() == 0
    ear.wait_for("status offline")
    onsets, offsets = edges([line for line in ear.lines() if "from before" not in line])
    assert onsets == offsets, "no event was lost"


def fill(file: Path) -> None:
    """Write until the disk is full to the last byte."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as out:
        while True:
            out.write(bytes(512))


def test_the_listener_is_lean(listen: Start) -> None:
    """Neither librosa nor its kin, nor pydantic or scipy, is in the running process."""
    listener = listen(NO_BROKER)
    listener.wait_ready()
    wait_until(lambda: int(health_of(listener).get("inferences", 0)) > 0, "an inference")
    libraries = listener.libraries()
    assert "onnxruntime" in libraries
    for heavy in ("scipy", "numba", "llvmlite", "sklearn", "matplotlib", "pydantic", "librosa"):
        assert f"/{heavy}" not in libraries
    assert listener.stop() == 0


def test_a_stuck_driver_and_a_frozen_broker_together_can_not_delay_the_end(
    listen: Start, tmp_path: Path, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    stuck = StuckMicrophone(tmp_path)
    listener = listen(f'publish.url="{server.url}"', on=stuck)
    listener.wait_ready()
    wait_until(lambda: "the broker is there" in listener.log(), "connected")
    wait_until(lambda: "stand still" in listener.log(), "the driver is stuck")
    server.freeze()
    assert listener.stop() == 0
    stuck.close()


def test_status_shows_how_the_unit_is_and_that_none_runs(
    listen: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    asked = [sys.executable, "-m", "edge", "status", "--set", 'node.id="statusbox"']
    none = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert none.returncode == 1
    assert "no unit called 'statusbox' runs here" in none.stderr
    file = tmp_path / "run" / "statusbox.json"
    listener = listen(
        NO_BROKER, 'node.id="statusbox"', wrap=("sh", "-c", 'umask 77; exec "$@"', "")
    )
    listener.wait_ready()
    wait_until(lambda: file.exists() and json.loads(file.read_text()).get("samples"), "figures")
    assert file.stat().st_mode & 0o777 == 0o644
    shown = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert "microphone ok" in shown
    assert "shedding none" in shown
    figures = json.loads(
        subprocess.run([*asked, "--json"], capture_output=True, text=True, check=True).stdout
    )
    assert figures["samples"] > 0
    listener.send(signal.SIGKILL)
    listener.wait()
    assert subprocess.run(asked, capture_output=True, check=False).returncode == 1


def test_prometheus_finds_the_figures(listen: Start) -> None:
    port = free_port()
    listener = listen(NO_BROKER, f'health.prometheus="127.0.0.1:{port}"')
    listener.wait_ready()

    def scraped() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            return str(answer.read().decode())

    wait_until(lambda: "edge_samples" in scraped(), "figures")
    text = scraped()
    assert 'edge_microphone{edge_microphone="ok"} 1.0' in text
    assert 'edge_shedding{edge_shedding="levels"} 0.0' in text
    taken = listen(NO_BROKER, 'capture.source="synth"', f'health.prometheus="127.0.0.1:{port}"')
    assert taken.wait(60) == EXIT_CONFIG
    assert "can't be taken" in taken.log()


def after_one_that(ended_by: signal.Signals, listen: Start, *settings: str) -> Listener:
    """Return the listener that follows one which a signal has ended."""
    first = listen(*settings)
    first.wait_ready()
    first.send(ended_by)
    first.wait()
    return listen(*settings)


def test_a_run_that_was_killed_is_told_by_the_next_one(
    listen: Start, tmp_path: Path, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    state = f'state.directory="{tmp_path / "state"}"'
    second = after_one_that(signal.SIGKILL, listen, f'publish.url="{server.url}"', state)
    words = body_of(ear, "last_words")
    assert (words["how"], words["words"]) == ("killed", "")
    assert second.stop() == 0
    third = listen(f'publish.url="{server.url}"', state)
    third.wait_ready()
    assert third.stop() == 0
    assert count(ear, "/last_words {") == 1, "what ended in order leaves no words"


def numbers_told(ear: Subscriber) -> list[str]:
    """Return under which numbers last words were heard."""
    told = (line.partition("/last_words ")[2] for line in ear.lines())
    return [json.loads(body)["message_id"] for body in told if body]


def test_last_words_outlive_a_second_kill_before_the_outbox_has_them(
    listen: Start, tmp_path: Path, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    outbox = tmp_path / "state" / "outbox.sqlite"
    outbox.mkdir(parents=True)  # it can't be opened, and nothing is taken over
    settings = (f'publish.url="{server.url}"', f'state.directory="{outbox.parent}"')
    second = after_one_that(signal.SIGKILL, listen, *settings)
    wait_until(lambda: numbers_told(ear), "it is told all the same")
    (first_number,) = numbers_told(ear)
    second.send(signal.SIGKILL)
    second.wait()
    outbox.rmdir()
    third = listen(*settings)
    wait_until(lambda: len(numbers_told(ear)) == 3, "both are told")
    assert third.stop() == 0
    numbers = numbers_told(ear)
    assert numbers.count(first_number) == 2
    assert len(set(numbers)) == 2


def test_who_waits_for_a_microphone_tells_how_the_last_run_ended(
    listen: Start,
    microphone: VirtualMicrophone,
    tmp_path: Path,
    mosquitto: Callable[..., Mosquitto],
) -> None:
    """A card that has ended the unit may stay away: who waited for it to tell would wait long."""
    server = mosquitto()
    ear = server.subscribe()
    settings = (f'publish.url="{server.url}"', f'state.directory="{tmp_path / "state"}"')
    first = listen(*settings)
    first.wait_ready()
    first.send(signal.SIGKILL)
    first.wait()
    microphone.unplug()
    second = listen(*settings)
    assert body_of(ear, "last_words")["how"] == "killed"
    microphone.plug()
    wait_until(lambda: "listening to" in second.log(), "it hears")
    assert second.stop() == 0
    assert count(ear, "/last_words {") == 1, "once"


def test_a_watchdog_that_ends_a_stuck_unit_leaves_where_its_threads_were(
    listen: Start, tmp_path: Path, mosquitto: Callable[..., Mosquitto]
) -> None:
    """The service manager sends SIGABRT."""
    server = mosquitto()
    ear = server.subscribe()
    state = f'state.directory="{tmp_path / "state"}"'
    second = after_one_that(signal.SIGABRT, listen, f'publish.url="{server.url}"', state)
    words = body_of(ear, "last_words")
    assert words["how"] == "crashed"
    assert "Fatal Python error: Aborted" in words["words"]
    assert "_capture" in words["words"]
    assert second.stop() == 0
