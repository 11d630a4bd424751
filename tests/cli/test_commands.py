# SPDX-License-Identifier: MIT
from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import soundfile

from edge.capture.card import read_cards
from edge.capture.scene import synthesise_scene
from edge.cli import COMMANDS
from edge.errors import (
    EXIT_CONFIG,
    EXIT_DEVICE,
    EXIT_MODEL,
    EXIT_OK,
    EXIT_PUBLISH,
    EXIT_STORAGE,
    EXIT_USAGE,
)
from tests.conftest import free_port, wait_until
from tools.lab.microphone import VirtualMicrophone

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Done
    from tests.conftest import Mosquitto

    Edge = Callable[..., Done]

SYNTH = ("--set", "capture.source=synth")
# Read by the interpreter before all else: so it is met while it is waited for.
SLOW_DESIGNER = """
import os, select, sys, time
if "edge.service.designs" in sys.orig_argv:
    select.select([0], [], [])
    open(os.environ["ASKED"], "w").close()
    time.sleep(60)
"""


def test_help_names_every_command_and_imports_none_of_them(edge: Edge) -> None:
    done = edge("--help")
    assert done.returncode == EXIT_OK
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    code = (
        "import sys; from edge.cli import cli; cli(['--help'], standalone_mode=False);"
        "sys.exit('numpy' in sys.modules or 'pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(edge: Edge, name: str) -> None:
    done = edge(name, "--help")
    assert done.returncode == EXIT_OK
    assert done.stdout.startswith(f"Usage: edge {name}") or "Usage:" in done.stdout
    assert len(done.stdout.splitlines()) > 4


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["lisen"], "No such command"),
        (["listen", "--bogus"], "No such option"),
        (["replay"], "Missing argument"),
        (["synth", "scene", "x.wav", "--seconds", "1"], "5<=x<=3600"),
        (["model", "describe", "x.onnx", "--labels", "l", "--front-end", "ears"], "'ears'"),
        (["watch", "--seconds", "-1"], "-1"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(edge: Edge, arguments: list[str], word: str) -> None:
    done = edge(*arguments)
    assert done.returncode == EXIT_USAGE
    assert word in done.stderr


def test_devices_lists_a_microphone_with_what_it_offers_and_the_setting(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "silence.raw"
    raw.write_bytes(bytes(9600))
    microphone = VirtualMicrophone(tmp_path / "microphone", raw, rate_hz=44100, name="onthedesk")
    monkeypatch.setenv("ALSA_CONFIG_PATH", microphone.environment()["ALSA_CONFIG_PATH"])
    done = edge("devices")
    assert done.returncode == EXIT_OK
    assert 'setting   capture.device = "onthedesk"' in done.stdout
    assert "44100" in done.stdout
    assert done.stderr == "", "alsa-lib keeps quiet"


def test_devices_without_a_card_says_so(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if read_cards():
        pytest.skip("this machine has a sound card")
    (tmp_path / "no-devices.conf").write_text("")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "no-devices.conf"))
    done = edge("devices")
    assert done.returncode == EXIT_DEVICE
    assert "no sound card" in done.stdout


class TestCheck:
    @pytest.fixture
    def state(self, tmp_path: Path) -> tuple[str, str]:
        return ("--set", f'state.directory="{tmp_path / "state"}"')

    def test_all_is_well(
        self, edge: Edge, state: tuple[str, str], mosquitto: Callable[..., Mosquitto]
    ) -> None:
        broker = f'publish.url="{mosquitto().url}"'
        done = edge("check", *SYNTH, *state, "--set", broker)
        assert done.returncode == EXIT_OK, done.stdout
        assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * 6

    def test_it_leaves_the_designed_filters_for_the_unit(
        self, edge: Edge, state: tuple[str, str], tmp_path: Path
    ) -> None:
        edge("check", *SYNTH, *state)
        assert list((tmp_path / "state" / "designs").glob("design-*.npz"))

    def test_one_that_is_ended_leaves_no_designer_behind(
        self, state: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The unit ends it after a while, and the listener then has a designer of its own."""
        (tmp_path / "sitecustomize.py").write_text(SLOW_DESIGNER)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
        command = [sys.executable, "-m", "edge", "check", *SYNTH, *state]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as checking:
            children = Path(f"/proc/{checking.pid}/task/{checking.pid}/children")

            def designer() -> Path | None:
                for pid in children.read_text().split():
                    if b"edge.service.designs" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        return Path(f"/proc/{pid}")
                return None

            wait_until((tmp_path / "asked").exists, "it designs")
            process = wait_until(designer, "it is found")
            checking.terminate()
            assert checking.wait() == 128 + signal.SIGTERM
            assert not process.exists()

    def test_a_broker_that_is_away_is_a_warning_only(
        self, edge: Edge, state: tuple[str, str]
    ) -> None:
        url = f'publish.url="mqtt://127.0.0.1:{free_port()}"'
        done = edge("check", *SYNTH, *state, "--set", url)
        assert done.returncode == EXIT_OK
        assert "warning  broker: no broker at 127.0.0.1" in done.stdout
        done = edge("check", *SYNTH, *state, "--set", url, "--no-broker")
        assert "no broker at" not in done.stdout, "the unit is not to wait for it"

    @pytest.mark.parametrize(
        ("wrong", "line", "code"),
        [
            ('capture.source="alsa"', "FAILED   device: nowhere can't be opened", EXIT_DEVICE),
            ('model.path="none.onnx"', "FAILED   model: none.onnx", EXIT_MODEL),
            ('state.directory="/proc/none"', "warning  state: /proc/none can't", EXIT_OK),
            ("capture.channel=7", "FAILED   device: capture.channel = 7", EXIT_CONFIG),
            ('record.directory="/proc/none"', "warning  clips: /proc/none can't", EXIT_OK),
            (
                'record={directory="/no-disk/clips",require_mount=true}',
                "warning  clips: the disk of /no-disk/clips is not mounted",
                EXIT_OK,
            ),
        ],
    )
    def test_what_is_wrong_is_named_with_its_exit_code(
        self, edge: Edge, state: tuple[str, str], wrong: str, line: str, code: int
    ) -> None:
        nowhere = ("--set", 'capture.device="nowhere"', "--set", 'publish.url=""')
        done = edge("check", *SYNTH, *nowhere, *state, "--set", wrong)
        assert done.returncode == code
        assert line in done.stdout
        marks = done.stdout.count("FAILED") + done.stdout.count("warning")
        assert marks == 1, "one cause, one line"
        assert "ALSA lib" not in done.stderr

    def test_what_can_not_be_recorded_as_asked_is_found(
        self, edge: Edge, state: tuple[str, str]
    ) -> None:
        speech = ("--set", 'speech.action="drop"', "--set", 'speech.labels=["chatter"]')
        done = edge("check", *SYNTH, *state, *speech)
        assert done.returncode == EXIT_CONFIG
        assert "nothing can tell speech" in done.stdout
        assert "set speech.model" in done.stdout

    def test_a_voice_model_that_is_missing_is_named_as_that_with_and_without_a_microphone(
        self, edge: Edge, state: tuple[str, str]
    ) -> None:
        speech = ("--set", 'speech.action="drop"', "--set", 'speech.model="/none.onnx"')
        for source in (SYNTH, ("--set", 'capture.device="nowhere"')):
            done = edge("check", *source, *state, *speech)
            assert "FAILED   voice model: /none.onnx is not there" in done.stdout
            assert "set speech.model" in done.stdout
            assert done.stdout.count("/none.onnx") == 1
            assert done.returncode == EXIT_MODEL

    def test_a_disk_that_takes_no_data_is_noticed_also_by_root(self, tmp_path: Path) -> None:
        edge = f"'{sys.executable}' -m edge check --set state.directory='{tmp_path}'"
        done = subprocess.run(
            ["bash", "-c", f"ulimit -f 8; exec {edge} --set capture.source=synth"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == EXIT_OK, "the listener lives without it"
        assert f"warning  state: {tmp_path} can't be written" in done.stdout

    @pytest.mark.parametrize(
        "wrong",
        [
            'publish.password_file="/none"',
            'publish.url="mqtts://127.0.0.1:9"\x00publish.ca_file="/none.pem"',
        ],
    )
    def test_secrets_without_which_the_unit_would_not_start_fail_here_too(
        self, edge: Edge, state: tuple[str, str], wrong: str
    ) -> None:
        overrides = [part for one in wrong.split("\x00") for part in ("--set", one)]
        done = edge("check", *SYNTH, *state, *overrides)
        assert done.returncode == EXIT_PUBLISH
        assert "FAILED   secrets:" in done.stdout
        assert "/none" in done.stdout


class TestReplay:
    def test_a_truncated_recording_is_played_as_far_as_it_goes_and_named(
        self, edge: Edge, tmp_path: Path
    ) -> None:
        whole = tmp_path / "whole.wav"
        samples, _ = synthesise_scene(6.0, 16000, seed=0)
        soundfile.write(whole, samples, 16000)
        cut = tmp_path / "cut.wav"
        cut.write_bytes(whole.read_bytes()[:100_000])
        done = edge("replay", cut)
        assert done.returncode == EXIT_OK
        assert done.stdout.count('"type": "level"') == 3
        assert "cut.wav is truncated" in done.stderr

    def test_a_folder_that_is_named_needs_no_disk_of_its_own(
        self, edge: Edge, tmp_path: Path
    ) -> None:
        """What the box's settings ask for is meant for the box's own clips."""
        samples, _ = synthesise_scene(2.0, 16000, seed=0)
        soundfile.write(tmp_path / "short.wav", samples, 16000)
        clips = ("--clips", str(tmp_path / "clips"), "--set", "record.require_mount=true")
        done = edge("replay", tmp_path / "short.wav", *clips)
        assert done.returncode == EXIT_OK, done.stderr

    @pytest.mark.parametrize("content", [b"", b"RIFF", bytes(3000), b"no sound\n" * 99])
    def test_what_is_no_recording_is_refused(
        self, edge: Edge, tmp_path: Path, content: bytes
    ) -> None:
        file = tmp_path / "recording.wav"
        file.write_bytes(content)
        done = edge("replay", file)
        assert done.returncode == EXIT_DEVICE
        assert "recording.wav" in done.stderr
        assert done.stdout == ""

    def test_a_missing_recording_and_an_empty_folder_are_refused(
        self, edge: Edge, tmp_path: Path
    ) -> None:
        missing = edge("replay", "none.wav")
        (tmp_path / "empty").mkdir()
        empty = edge("replay", "empty")
        assert missing.returncode == empty.returncode == EXIT_DEVICE
        assert "none.wav" in missing.stderr
        assert "empty" in empty.stderr

    def test_a_reader_that_leaves_early_gets_no_complaint(self, tmp_path: Path) -> None:
        samples, _ = synthesise_scene(12.0, 16000, seed=0)
        soundfile.write(tmp_path / "long.wav", samples, 16000)
        state = f"--set 'state.directory=\"{tmp_path}\"'"
        edge = f"'{sys.executable}' -m edge replay '{tmp_path / 'long.wav'}' {state}"
        done = subprocess.run(
            ["bash", "-c", f"{edge} | head -n 1"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.count("\n") == 1
        assert done.stderr == ""


class TestSynth:
    @pytest.mark.parametrize("suffix", [".wav", ".flac", ".raw"])
    def test_a_scene_is_written_in_each_container_alike(
        self, edge: Edge, tmp_path: Path, suffix: str
    ) -> None:
        file = tmp_path / f"scene{suffix}"
        done = edge("synth", "scene", file, "--seconds", "5", "--rate", "16000")
        assert done.returncode == EXIT_OK
        assert "rain" in done.stdout
        raw = {"samplerate": 16000, "channels": 1, "subtype": "PCM_16", "endian": "LITTLE"}
        samples, rate_hz = soundfile.read(file, dtype="int16", **raw if suffix == ".raw" else {})
        expected, _ = synthesise_scene(5.0, 16000, seed=0)
        assert rate_hz == 16000
        assert abs(samples - expected * 32767).max() <= 0.51

    @pytest.mark.parametrize("file", ["scene.xyz", "scene", "/proc/scene.wav", "/proc/scene.raw"])
    def test_a_file_that_cannot_be_written_is_refused(self, edge: Edge, file: str) -> None:
        done = edge("synth", "scene", file, "--seconds", "5", "--rate", "8000")
        assert done.returncode == EXIT_STORAGE
        assert file in done.stderr


class TestModel:
    def test_the_shipped_model_shows_labels_and_ears(self, edge: Edge) -> None:
        done = edge("model", "show")
        assert done.returncode == EXIT_OK
        assert ": dog_bark, rain, sea_waves" in done.stdout
        assert "hears      16000 Hz" in done.stdout

    @pytest.mark.parametrize("command", ["show", "describe"])
    @pytest.mark.parametrize("content", [b"", bytes(500), b"\x08\x07" * 40])
    def test_what_is_no_model_is_refused_and_left_as_it_was(
        self, edge: Edge, tmp_path: Path, command: str, content: bytes
    ) -> None:
        model, labels = tmp_path / "bad.onnx", tmp_path / "labels.txt"
        model.write_bytes(content)
        labels.write_text("one\ntwo\n")
        more = ("--labels", labels, "--front-end", "yamnet") if command == "describe" else ()
        done = edge("model", command, model, *more)
        assert done.returncode == EXIT_MODEL
        assert "bad.onnx" in done.stderr
        assert model.read_bytes() == content

    def test_a_foreign_model_is_described_and_shows_itself(
        self, edge: Edge, tmp_path: Path, data: Path
    ) -> None:
        models = data / "models"
        out = tmp_path / "yamnet.onnx"
        labels = ("--labels", models / "yamnet_class_map.csv", "--front-end", "yamnet")
        told = edge("model", "describe", models / "yamnet_tfhub_w8.onnx", *labels, "--out", out)
        assert told.returncode == EXIT_OK, told.stderr
        assert edge("model", "show", out).stdout == told.stdout
        assert "labels     521: Speech" in told.stdout
        (tmp_path / "two.txt").write_text("one\ntwo\n")
        two = ("--labels", "two.txt", "--front-end", "yamnet", "--out", "bad.onnx")
        refused = edge("model", "describe", models / "yamnet_tfhub_w8.onnx", *two)
        assert refused.returncode == EXIT_MODEL
        assert "521" in refused.stderr
        assert not (tmp_path / "bad.onnx").exists()


class TestWatch:
    def test_messages_are_printed_as_they_come_when_there_is_no_terminal(
        self, edge: Edge, mosquitto: Callable[..., Mosquitto]
    ) -> None:
        server = mosquitto()
        topic = ("-t", "edge/edge/status", "-m", "online", "-r")
        subprocess.run(["mosquitto_pub", "-p", str(server.port), *topic], check=True)
        done = edge("watch", "--broker", server.url, "--seconds", "4")
        assert done.returncode == EXIT_OK
        assert done.stdout.splitlines()[0] == "edge/edge/status online"

    def test_a_broker_that_is_not_there_is_an_error(self, edge: Edge) -> None:
        done = edge("watch", "--broker", f"mqtt://127.0.0.1:{free_port()}", "--seconds", "1")
        assert done.returncode == EXIT_PUBLISH
        assert "no broker" in done.stderr

    @pytest.mark.parametrize("url", ["", "http://x", "mqtt://"])
    def test_an_address_that_is_none_is_a_wrong_setting(self, edge: Edge, url: str) -> None:
        done = edge("watch", "--set", f'publish.url="{url}"', "--seconds", "1")
        assert done.returncode == EXIT_CONFIG
        assert "publish.url" in done.stderr


def test_check_says_what_levels_are_and_whether_the_loudspeaker_is_there(
    edge: Edge, tmp_path: Path
) -> None:
    state = ("--set", f'state.directory="{tmp_path}"', "--set", 'publish.url=""')
    alarm = ("--set", 'level.alarms=[{name="loud", kind="level", limit_db=70.0}]')
    done = edge("check", *SYNTH, *state, *alarm, "--set", 'playback.device="nobody"')
    assert done.returncode == EXIT_OK, "without it the box listens all the same"
    assert "level.alarms in dB rest until `edge calibrate`: loud" in done.stdout
    assert "not calibrated, levels are dBFS" in done.stdout
    assert "warning  playback: nobody can't be opened" in done.stdout
    assert edge("calibrate", "--sensitivity=-30", *SYNTH, *state).returncode == EXIT_OK
    done = edge("check", *SYNTH, *state)
    assert "-30.0 dBFS at 94 dB" in done.stdout
    assert "alarms" not in done.stdout
    assert "playback" not in done.stdout


def test_check_finds_a_filter_before_the_loudspeaker_that_there_is_no_time_for(
    edge: Edge, tmp_path: Path
) -> None:
    asked = ("capture.channels=2", "capture.channel=0", 'adaptive.method="nlms"')
    asked += ("adaptive.length_s=0.5", 'adaptive.apply_to=["playback"]', 'playback.device="null"')
    overrides = [part for one in asked for part in ("--set", one)]
    state = ("--set", f'state.directory="{tmp_path}"', "--set", 'publish.url=""')
    done = edge("check", *SYNTH, *state, *overrides)
    assert done.returncode == EXIT_CONFIG
    assert "adaptive.length_s = 0.5" in done.stdout


def test_check_finds_an_alarm_that_has_the_name_of_a_label(edge: Edge, tmp_path: Path) -> None:
    state = ("--set", f'state.directory="{tmp_path}"', "--set", 'publish.url=""')
    alarm = ("--set", 'level.alarms=[{name="rain", kind="level", limit_db=70.0}]')
    done = edge("check", *SYNTH, *state, *alarm)
    assert done.returncode == EXIT_CONFIG
    assert "level.alarms.0.name = 'rain' is a label already" in done.stdout
