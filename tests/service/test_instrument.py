# SPDX-License-Identifier: MIT
"""Levels become minutes and alarms, from the sound card to the broker and in a replay."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from edge.config.load import load_settings
from edge.dsp.bands import bands_of
from edge.errors import ConfigError
from edge.measure.correction import parse_correction
from edge.service.calibrated import PATIENCE_S, Calibrated, CalibrationDesk
from edge.service.commands import CommandError
from edge.service.instrument import alarm_rules
from edge.service.replay import Replay
from edge.types import Bands, StreamFormat, Utc
from tests.conftest import wait_until
from tests.seconds import a_level
from tests.service.conftest import body_of
from tools.lab.microphone import VirtualMicrophone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Mosquitto

Start = "Callable[..., Listener]"

RATE_HZ = 48000
LOUD = '{name="loud",kind="level",limit_db=-60.0,unit="dbfs",average_s=1,hold_s=0,cooldown_s=0}'


def with_alarms(*alarms: str) -> str:
    return f"level.alarms=[{','.join(alarms)}]"


def rules(*alarms: str, labels: tuple[str, ...] = ("rain",)) -> tuple[Any, ...]:
    return alarm_rules(load_settings(None, [with_alarms(*alarms)]), labels)


def test_a_loud_room_is_an_event_and_the_minute_at_hand_is_told_at_the_end(
    listen: Start, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    listener = listen(f'publish.url="{server.url}"', with_alarms(LOUD), "record.enabled=false")
    listener.wait_ready()
    info = body_of(ear, "info")
    assert (info["weighting_class"], info["alarms"]) == (1, ["loud"])
    ear.wait_for("detected/loud ON")
    wait_until(lambda: "alarms=['loud']" in listener.log(), "health names the alarm")
    level = body_of(ear, "level")
    assert level["lafmin_dbfs"] is None or level["lafmin_dbfs"] < level["lafmax_dbfs"]
    assert listener.stop() == 0
    ear.wait_for("status offline")
    minutes = [
        json.loads(line.partition(" ")[2]) for line in ear.lines() if "/level/minute {" in line
    ]
    minute = max(minutes, key=lambda one: float(one["heard_s"]))  # two, where one ends meanwhile
    assert 2 <= minute["heard_s"] <= 60
    assert minute["calibrated"] is False
    assert minute["l95_dbfs"] <= minute["l50_dbfs"] <= minute["l5_dbfs"] <= minute["lafmax_dbfs"]
    assert minute["bands_dbfs"]["third_octave_1000"] < 0
    assert len(minute["bands_dbfs"]) == 40
    assert ear.lines().count("edge/edge/detected/loud OFF") >= 1


def test_a_calibrator_is_found_on_command_and_levels_are_db_from_then_on(
    listen: Start, mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """94 dB at -20 dBFS; a restart knows it, and a limit in dB is in force."""
    amplitude = np.sqrt(2.0) * 10.0**-1.0
    tone = 32767 * amplitude * np.sin(2 * np.pi * np.arange(RATE_HZ) / 48)
    raw = tmp_path / "calibrator.raw"
    raw.write_bytes(np.round(tone).astype("<i2").tobytes())
    microphone = VirtualMicrophone(tmp_path / "calibrator", raw, loop=True)
    server = mosquitto()
    ear = server.subscribe()
    state = tmp_path / "state"
    loud = '{name="loud",kind="level",limit_db=90.0,average_s=1}'
    settings = (
        f'publish.url="{server.url}"',
        f'state.directory="{state}"',
        with_alarms(loud),
        "record.enabled=false",
    )
    listener = listen(*settings, on=microphone)
    listener.wait_ready()
    assert body_of(ear, "calibration") == {"calibrated": False}
    assert "laeq_dbfs" in body_of(ear, "level")
    say(server, "calibrate", '{"level_db": 94, "request_id": 7}')
    answer = body_of(ear, "command/calibrate/result")
    assert (answer["ok"], answer["request_id"], answer["drift_db"]) == (True, 7, None)
    assert answer["sensitivity_dbfs"] == pytest.approx(-20.0, abs=0.1)
    ear.wait_for("detected/loud ON")
    assert listener.stop() == 0
    listen(*settings, on=microphone).wait_ready()
    level = body_of(server.subscribe(), "level")
    assert level["laeq_db"] == pytest.approx(94.0, abs=0.2)
    assert not [key for key in level if key.endswith("_dbfs")]


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ('{"level_db": "loud"}', "no number"),
        ('{"level_db": 500}', "20 to 160"),
        ('{"known_level_db": true}', "no number"),
        ('{"level_db": 94, "known_level_db": 60}', "two levels"),
        ('{"loudness": 94}', "keys are"),
    ],
)
def test_a_wrong_command_to_calibrate_is_answered_with_the_reason(
    payload: str, why: str, tmp_path: Path
) -> None:
    settings = load_settings(None, [f'state.directory="{tmp_path}"'])
    stream = StreamFormat(RATE_HZ, 1, 1024, "S16_LE")
    desk = CalibrationDesk(
        Calibrated(settings, "microphone"),
        stream,
        bands=True,
        now=lambda: Utc("2026-11-25T00:00:00.000Z", synchronised=True),
        told=lambda _: None,
    )
    with pytest.raises(CommandError) as refused:
        desk.request(json.loads(payload), lambda _: None)
    assert why in f"{refused.value} {refused.value.help}"


def test_a_calibrator_that_is_none_is_given_up_with_what_was_heard(tmp_path: Path) -> None:
    answers: list[dict[str, Any]] = []
    settings = load_settings(None, [f'state.directory="{tmp_path}"'])
    stream = StreamFormat(RATE_HZ, 1, 1024, "S16_LE")
    calibrated = Calibrated(settings, "microphone")
    desk = CalibrationDesk(
        calibrated,
        stream,
        bands=True,
        now=lambda: Utc("2026-11-25T00:00:00.000Z", synchronised=True),
        told=lambda _: None,
    )
    desk.request({}, answers.append)
    with pytest.raises(CommandError, match="going on"):
        desk.request({}, answers.append)
    for second in range(PATIENCE_S + 1):
        level = a_level(second, lzeq_dbfs=-30.0)
        noise = np.full(len(bands_of(RATE_HZ)), -45.0)
        desk.hear(level)
        desk.hear(Bands(level.sample_index, level.end_index, RATE_HZ, noise, gap=False))
    (answer,) = answers
    assert answer["ok"] is False
    assert "3 % of the power is at 1 kHz" in answer["error"]
    assert calibrated.offset_db() is None
    desk.request({}, answers.append)


def say(server: Mosquitto, command: str, payload: str) -> None:
    topic = ("-t", f"edge/edge/command/{command}", "-m", payload)
    subprocess.run(["mosquitto_pub", "-p", str(server.port), *topic], check=True)


def write(file: Path, *loudness: float) -> Path:
    """Write a second of noise at each level in dBFS."""
    noise = np.random.default_rng(0).standard_normal((len(loudness), RATE_HZ))
    levels = 10.0 ** (np.array(loudness)[:, None] / 20.0)
    soundfile.write(file, (noise * levels).reshape(-1), RATE_HZ, subtype="FLOAT")
    return file


def alarms_of(file: Path, *overrides: str) -> list[tuple[str, str, float]]:
    settings = load_settings(None, [f'state.directory="{file.parent}"', *overrides])
    return [
        (one["label"], one["event_type"], one["time_s"])
        for one in Replay(settings, [file]).records()
        if one["type"] == "event" and one["label"] in ("loud", "hum")
    ]


def test_a_replay_of_what_is_calibrated_is_in_db_without_the_microphones_response(
    tmp_path: Path,
) -> None:
    """A microphone 6 dB deaf to all that is not near 1 kHz reads noise too low."""
    file = write(tmp_path / "room.wav", -40.0, -40.0, -40.0)
    settings = load_settings(None, [f'state.directory="{tmp_path}"'])

    def last_level() -> dict[str, Any]:
        return [one for one in Replay(settings, [file]).records() if one["type"] == "level"][-1]

    plain = last_level()
    assert plain["calibrated"] is False
    assert not [key for key in plain if key.endswith("_db")]
    calibrated = Calibrated(settings, "room.wav")
    calibrated.adopt(-26.0, "sensitivity", 94.0)
    assert last_level()["laeq_db"] == pytest.approx(plain["laeq_dbfs"] + 120.0)
    calibrated.correction = parse_correction(
        b"20 -6\n500 -6\n900 0\n1000 0\n1100 0\n2000 -6\n20000 -6\n", "deaf.txt"
    )
    calibrated.adopt(-26.0, "sensitivity", 94.0)
    corrected = last_level()
    assert corrected["laeq_db"] > plain["laeq_dbfs"] + 120.0 + 3.0
    assert not [key for key in corrected if key.endswith("_dbfs")]


def test_a_replay_has_the_same_alarms(tmp_path: Path) -> None:
    file = write(tmp_path / "noise.wav", -80, -80, -30, -30, -30, -80, -80, -80)
    assert alarms_of(file, with_alarms(LOUD)) == [("loud", "onset", 2.0), ("loud", "offset", 5.0)]


def test_a_tone_in_noise_is_an_alarm(tmp_path: Path) -> None:
    file = tmp_path / "hum.wav"
    samples = 0.001 * np.random.default_rng(1).standard_normal(8 * RATE_HZ)
    at = np.arange(3 * RATE_HZ, 6 * RATE_HZ)
    samples[at] += 0.05 * np.sin(2 * np.pi * 1000.0 * at / RATE_HZ)
    soundfile.write(file, samples, RATE_HZ, subtype="FLOAT")
    hum = '{name="hum",kind="tonal",limit_db=0.0,hold_s=0,cooldown_s=0}'
    (onset, offset) = alarms_of(file, with_alarms(hum))
    assert onset == ("hum", "onset", 3.0)
    # The band rings on for 10 ms, into the next second.
    assert offset == ("hum", "offset", 7.0)


def test_an_alarm_with_the_name_of_a_label_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"level\.alarms\.0\.name = 'rain' is a label"):
        rules('{name="rain",kind="level",limit_db=1.0}')


def test_hours_are_minutes_of_the_day() -> None:
    ((rule, in_db),) = rules('{name="n",kind="level",limit_db=55.0,hours="22:30-06:00"}')
    assert (rule.hours, in_db) == ((1350, 360), True)
    ((rule, in_db),) = rules('{name="n",kind="rise",limit_db=10.0}')
    assert (rule.hours, in_db) == (None, False)


def test_without_bands_levels_have_alarms_all_the_same(tmp_path: Path) -> None:
    file = write(tmp_path / "noise.wav", -30, -30, -30)
    assert alarms_of(file, with_alarms(LOUD), "level.bands=false")
