# SPDX-License-Identifier: MIT
"""`edge setup`: without a terminal by options, and asked for in one."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import threading
import time
import tomllib
from typing import TYPE_CHECKING

import pytest

from edge.cli.setup_ask import usual_id
from edge.config.load import load_settings
from edge.config.schema import Node
from edge.errors import EXIT_CONFIG, EXIT_MODEL, EXIT_USAGE
from edge.model.registry import describe, read_model, shipped_model
from edge.model.shelf import Shelf
from tests.conftest import wait_until
from tests.service.conftest import microphone, scene_raw

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Mosquitto
    from tools.lab.microphone import VirtualMicrophone

__all__ = ["microphone", "scene_raw"]
EDGE = [sys.executable, "-m", "edge"]


class Desk:
    """A settings file, and who is asked for it."""

    def __init__(self, folder: Path, microphone: VirtualMicrophone) -> None:
        self.file = folder / "etc" / "edge.toml"
        self.file.parent.mkdir()
        self.state = folder / "state"
        self.file.write_text(f'# mine\n[state]\ndirectory = "{self.state}"\n[log]\nlevel="debug"\n')
        self._environment = microphone.environment()

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run_other("setup", *options)

    def run_other(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*EDGE, command, "--config", str(self.file), *options],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def talk(self, answers: list[tuple[str, str]], code: int = 0) -> str:
        """Answer each question in a terminal; return all that was shown."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*EDGE, "setup", "--config", str(self.file)],
            env=self._environment | {"TERM": "xterm", "COLUMNS": "100"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            close_fds=True,
        )
        os.close(theirs)
        shown: list[str] = []

        def read() -> None:
            try:
                while data := os.read(ours, 4096):
                    shown.append(data.decode(errors="replace"))
            except OSError:  # the other end is closed
                return

        reader = threading.Thread(target=read)
        reader.start()
        try:
            seen = 0
            for question, answer in answers:
                seen = wait_until(
                    lambda start=seen, text=question: (  # type: ignore[misc] # found or not
                        place + len(text)
                        if (place := "".join(shown).find(text, start)) >= 0
                        else None
                    ),
                    f"{question!r} in {''.join(shown)[-300:]!r}",
                )
                time.sleep(0.1)
                os.write(ours, answer.encode() if answer == "\x04" else f"{answer}\n".encode())
            assert process.wait(60) == code, "".join(shown)
        finally:
            process.kill()
            process.wait()
            reader.join(60)
            os.close(ours)
        return "".join(shown)


@pytest.fixture
def desk(tmp_path: Path, microphone: VirtualMicrophone) -> Desk:
    return Desk(tmp_path, microphone)


def test_options_write_a_file_that_the_unit_takes_and_keep_what_else_is_in_it(
    desk: Desk, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto()
    desk.file.chmod(0o640)
    done = desk.run(
        *("--yes", "--name", "The Hive 7", "--device", "edgemic", "--broker", server.url),
        *("--speech", "drop"),
    )
    assert done.returncode == 0, done.stderr
    text = desk.file.read_text()
    assert text.startswith("# mine\n")
    assert desk.file.stat().st_mode & 0o777 == 0o640
    assert not desk.state.exists(), "what root makes there the unit could not write"
    assert 'level="debug"' in text
    settings = load_settings(desk.file)
    assert (settings.node.name, settings.node.id) == ("The Hive 7", "the-hive-7")
    assert (settings.capture.device, settings.publish.url) == ("edgemic", server.url)
    assert settings.speech.action == "drop"
    assert "ok       microphone: edgemic, 48000 Hz" in done.stdout
    assert f"ok       broker: {server.url} answers" in done.stdout
    assert 'will show "The Hive 7" with' in done.stdout
    assert "LAeq" in done.stdout
    assert "Dog bark threshold" in done.stdout
    again = desk.run("--yes", "--name", "The Hive 7")
    assert "stays as it is" in again.stdout
    assert desk.file.read_text() == text


def test_a_file_is_made_where_there_is_none(desk: Desk) -> None:
    desk.file.unlink()
    done = desk.run("--yes", "--device", "edgemic", "--broker", "", "--id", "box")
    assert done.returncode == 0, done.stderr
    assert tomllib.loads(desk.file.read_text()) == {
        "node": {"id": "box"},
        "capture": {"device": "edgemic"},
        "publish": {"url": ""},
    }


def test_what_is_away_is_said_and_written_all_the_same(desk: Desk) -> None:
    done = desk.run("--yes", "--device", "nothing", "--broker", "mqtt://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    assert "warning  microphone" in done.stdout
    assert "warning  broker" in done.stdout
    assert load_settings(desk.file).capture.device == "nothing"


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--yes", "--id", "a b"], EXIT_CONFIG, "node.id"),
        (["--yes", "--broker", "http://x"], EXIT_CONFIG, "publish.url"),
        (["--yes", "--model", "none"], EXIT_MODEL, "no model 'none'"),
        (["--yes", "--speech", "never"], EXIT_USAGE, "never"),
        ([], EXIT_USAGE, "add --yes"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    desk: Desk, options: list[str], code: int, reason: str
) -> None:
    before = desk.file.read_text()
    done = desk.run(*options)
    assert done.returncode == code
    assert reason in done.stderr
    assert desk.file.read_text() == before


def test_a_file_that_is_wrong_already_is_named_by_its_own_name(desk: Desk) -> None:
    desk.file.write_text("[node]\nnam = 3\n")
    done = desk.run("--yes", "--name", "x")
    assert done.returncode == EXIT_CONFIG
    assert f"{desk.file}: node.nam: unknown key" in done.stderr


def test_a_person_is_asked_hears_the_microphone_and_gets_the_same_file(
    desk: Desk, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto("allow_anonymous true")
    shown = desk.talk(
        [
            ("What is this box called", "Garden"),
            ("Id, in topics [garden]", ""),
            ("Microphone", "1"),
            ("Is this the one", "y"),
            ("MQTT broker", "mqtt://127.0.0.1:1"),
            ("User", ""),
            ("Keep it all the same", "n"),
            ("MQTT broker", server.url),
            ("User", "garden"),
            ("Password", "secret"),
            ("Speech", "strip"),
        ]
    )
    assert "█" in shown, "a bar is drawn"
    assert "secret" not in shown
    settings = load_settings(desk.file)
    assert (settings.node.id, settings.publish.url) == ("garden", server.url)
    assert (settings.publish.user, settings.speech.action) == ("garden", "strip")
    password = desk.file.parent / "mqtt-password"
    assert settings.publish.password_file == str(password)
    assert password.read_text() == "secret\n"
    assert password.stat().st_mode & 0o777 == 0o600


def test_who_gives_up_keeps_the_password_that_works(
    desk: Desk, mosquitto: Callable[..., Mosquitto]
) -> None:
    server = mosquitto("allow_anonymous true")
    password = desk.file.parent / "mqtt-password"
    password.write_text("works\n")
    before = desk.file.read_text()
    desk.talk(
        [
            ("What is this box called", "Garden"),
            ("Id, in topics", ""),
            ("Microphone", "1"),
            ("Is this the one", "y"),
            ("MQTT broker", server.url),
            ("User", "garden"),
            ("Password", "a slip of the pen"),
            ("Speech", "\x04"),
        ],
        code=130,  # as after Ctrl-C
    )
    assert password.read_text() == "works\n"
    assert desk.file.read_text() == before


def test_an_answer_that_another_file_overrules_is_refused(desk: Desk) -> None:
    folder = desk.file.parent / "edge.d"
    folder.mkdir()
    (folder / "10-site.toml").write_text('[node]\nid = "site"\n')
    before = desk.file.read_text()
    done = desk.run("--yes", "--id", "garden")
    assert done.returncode == EXIT_CONFIG
    assert "node.id is set in edge.d" in done.stderr
    assert desk.file.read_text() == before


HOST = socket.gethostname()


@pytest.mark.parametrize(
    ("name", "before", "made"),
    [
        ("The Hive 7", "edge", "the-hive-7"),
        ("Garden", HOST.lower(), "garden"),
        ("Garden", f"{HOST}-1a2b", "garden"),
        ("Garden", f"{HOST.title()}-1a2b", "garden"),
        ("Garden", f"{HOST}-attic", f"{HOST}-attic"),
        ("Garden", "chosen", "chosen"),
        ("***", "edge", "edge"),
        ("Edge 1a2b", f"{HOST}-1a2b", f"{HOST}-1a2b"),
    ],
)
def test_an_id_is_made_of_another_name_until_somebody_chose_one(
    name: str, before: str, made: str
) -> None:
    assert usual_id(name, Node(id=before, name="Edge 1a2b")) == made


@pytest.mark.parametrize("text", ['node.id = "a"\n', '["node"]\nid = "a"\n'])
def test_what_is_not_edited_is_not_called_wrong(desk: Desk, text: str) -> None:
    desk.file.write_text(text)
    done = desk.run("--yes", "--id", "garden")
    assert done.returncode == EXIT_CONFIG
    assert "not edited here" in done.stderr
    assert desk.file.read_text() == text


AWAY = ("--broker", "mqtt://127.0.0.1:1")


def test_what_is_shown_is_of_the_model_that_is_chosen_and_the_microphone_that_is_there(
    desk: Desk,
) -> None:
    shelf, info = Shelf(desk.state), read_model(shipped_model())
    describe(
        info.path,
        shelf.room("drops"),
        labels=["drizzle" if label == "rain" else label for label in info.labels],
        front_end=info.front_end,
        patch_frames=info.patch_frames,
        patch_hop=info.patch_hop,
        name="drops",
        version="1",
        negative_labels=info.negative_labels,
    )
    done = desk.run("--yes", "--device", "edgemic", "--model", "drops", *AWAY)
    assert done.returncode == 0, done.stderr
    assert "Drizzle" in done.stdout
    assert "Rain" not in done.stdout
    assert "LAeq dBFS" in done.stdout
    desk.run_other("calibrate", "--sensitivity=-26")
    done = desk.run("--yes", "--model", "shipped")
    assert "Rain" in done.stdout
    assert "LAeq;" in done.stdout
    assert "dBFS;" not in done.stdout


def test_a_model_that_is_gone_keeps_nobody_from_setting_up(desk: Desk) -> None:
    desk.state.mkdir()
    (desk.state / "model").write_text("gone\n")
    done = desk.run("--yes", "--device", "edgemic", *AWAY)
    assert done.returncode == 0, done.stderr
    assert "warning  model: there is no model 'gone'" in done.stdout
    assert load_settings(desk.file).publish.url == AWAY[1]
    done = desk.run("--yes", "--model", "shipped", "--broker", "mqtt://127.0.0.1:2")
    assert done.returncode == 0, done.stderr
    assert load_settings(desk.file).publish.url == "mqtt://127.0.0.1:2"
    assert "LAeq" in done.stdout
    assert Shelf(desk.state).chosen() == "shipped"
