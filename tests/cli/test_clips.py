# SPDX-License-Identifier: MIT
"""`edge clips` on real clips in a real folder."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from edge.errors import EXIT_CONFIG, EXIT_DEVICE, EXIT_OK, EXIT_STORAGE, EXIT_USAGE
from edge.record.sealing import new_identity, seal
from edge.record.store import ClipStore
from tests.record.shelf import flac, sidecar

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Done

SECRET, PUBLIC = new_identity()
SPEECH = {"judge": "silero", "score": 0.9, "spoken": True}


class Box:
    """A folder with a clip of each kind, and `edge clips` on it."""

    def __init__(self, edge: Callable[..., Done], directory: Path) -> None:
        self._edge = edge
        self.directory = directory
        self.setting = f'record.directory="{directory}"'
        long_ago = "2020-01-01T00:00:00.000Z"
        with ClipStore(directory) as store:
            store.save(
                sidecar("dog_bark", clip_id="a-1", start_time=long_ago, duration_s=7.25),
                flac(),
                "flac",
            )
            store.save(
                sidecar(
                    clip_id="a-2", labels=["rain", "siren"], scores={"rain": 0.7, "siren": 0.91}
                ),
                flac(2),
                "flac",
            )
            store.save(sidecar("speech", clip_id="a-3", speech=SPEECH), None, "flac")
            store.save(sidecar(clip_id="a-4"), seal(flac(4), PUBLIC), "flac.age")
            store.save(sidecar(clip_id="a-5", start_time=None), b"no sound at all", "flac")
        self.store = ClipStore(directory)

    def run(self, *arguments: str | Path) -> Done:
        command, *others = arguments
        return self._edge("clips", command, "--set", self.setting, *others)


@pytest.fixture
def box(edge: Callable[..., Done], tmp_path: Path) -> Box:
    return Box(edge, tmp_path / "clips")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key.txt"
    file.write_text(f"# mine\n{SECRET}\n")
    return file


def numbers(done: Done) -> list[str]:
    assert done.returncode == EXIT_OK, done.stderr
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


class TestList:
    def test_without_a_terminal_it_is_fields_between_tabs(self, box: Box) -> None:
        lines = box.run("list").stdout.splitlines()
        assert [line.split("\t") for line in lines[2:]] == [
            ["3", "2026-11-22 22:17:36", "speech", "", "", lines[2].split("\t")[5], "no sound"],
            ["2", "2026-11-22 22:17:36", "rain, siren", "0.91", "", lines[3].split("\t")[5], ""],
            ["1", "2020-01-01 00:00:00", "dog_bark", "", "7.2", lines[4].split("\t")[5], ""],
        ]
        assert lines[1].endswith("\tencrypted")
        assert lines[0].startswith("5\t\train\t")

    def test_on_a_terminal_it_is_a_table(self, box: Box) -> None:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "edge", "clips", "list", "--set", box.setting]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        with subprocess.Popen(
            command, stdout=theirs, cwd=Path(__file__).parents[2], env=environment
        ):
            os.close(theirs)
            shown = _read_terminal(ours)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
        assert re.search(r"clip +time, UTC +labels +score +s +MB", plain)
        assert re.search(r"1 +2020-01-01 00:00:00 +dog_bark +7\.2 ", plain)

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--limit", "2"], ["5", "4"]),
            (["--limit", "0"], ["5", "4", "3", "2", "1"]),
            (["--label", "siren"], ["2"]),
            (["--label", "Dog bark", "--label", "speech"], ["3", "1"]),
            (["--since", "2026-11-22"], ["4", "3", "2"]),
            (["--since", "2026-11-22T23:17:36+01:00"], ["4", "3", "2"]),
            (["--since", "2026-11-22T22:17:37"], []),
            (["--since", "9999w"], ["4", "3", "2", "1"]),
            (["--kept"], ["1"]),
        ],
    )
    def test_it_lists_what_was_asked_for(
        self, box: Box, options: list[str], expected: list[str]
    ) -> None:
        box.store.set_keep(box.store.find("1"), keep=True)
        assert numbers(box.run("list", *options)) == expected

    def test_since_may_be_a_while_ago(self, box: Box) -> None:
        recent = f"{datetime.now(UTC) - timedelta(minutes=30):%Y-%m-%dT%H:%M:%S}.000Z"
        with ClipStore(box.directory) as store:
            store.save(sidecar(start_time=recent), flac(), "flac")
        assert "6" in numbers(box.run("list", "--since", "31m"))
        assert "6" not in numbers(box.run("list", "--since", "29m"))

    @pytest.mark.parametrize("when", ["yesterday", "1y", "2026-13-01", "", "9" * 5000, "999999w"])
    def test_what_is_no_time_is_a_usage_error(self, box: Box, when: str) -> None:
        assert box.run("list", "--since", when).returncode == EXIT_USAGE

    def test_as_json_each_line_is_a_sidecar_with_what_the_folder_knows(self, box: Box) -> None:
        lines = [json.loads(line) for line in box.run("list", "--json").stdout.splitlines()]
        assert [line["clip_id"] for line in lines] == ["a-5", "a-4", "a-3", "a-2", "a-1"]
        assert lines[0]["kept"] is False
        assert lines[0]["path"].endswith("0000005_untimed_rain.flac")
        assert lines[0]["size_bytes"] > 0

    def test_a_box_without_clips_says_so(self, edge: Callable[..., Done], tmp_path: Path) -> None:
        done = edge("clips", "list", "--set", f'state.directory="{tmp_path}"')
        assert (done.returncode, done.stdout) == (EXIT_OK, "")
        assert f"there are no clips yet in {tmp_path}/clips" in done.stderr
        assert not list(tmp_path.iterdir()), "looking makes nothing"

    def test_a_damaged_sidecar_is_listed_as_one(self, box: Box) -> None:
        box.store.find("2").sidecar.write_text("{")
        assert "\tdamaged sidecar" in box.run("list").stdout
        assert json.loads(box.run("list", "--json").stdout.splitlines()[3])["damaged"] is True

    def test_what_was_analysed_is_told_by_its_report(self, box: Box) -> None:
        sound = box.store.find("2").audio
        assert sound
        sound.with_suffix(".analysis.png").touch()
        assert "analysed" not in box.run("list").stdout
        sound.with_suffix(".analysis.json").touch()
        assert box.run("list").stdout.splitlines()[3].endswith("\tanalysed")

    def test_a_hostile_sidecar_neither_steers_the_terminal_nor_breaks_the_list(
        self, box: Box
    ) -> None:
        strange = {"labels": ["\x1b[2J\n[bold]x"], "scores": [1], "duration_s": "long"}
        box.store.find("2").sidecar.write_text(json.dumps(strange))
        done = box.run("list")
        assert len(done.stdout.splitlines()) == 5
        assert "\x1b" not in done.stdout
        assert "\x1b" not in box.run("show", "2").stdout


class TestShow:
    def test_it_says_all_that_is_known_and_where(self, box: Box) -> None:
        done = box.run("show", "a-2")
        assert re.search(r"^clip_id +a-2$", done.stdout, re.MULTILINE)
        assert re.search(r"^scores +rain 0\.7, siren 0\.91$", done.stdout, re.MULTILINE)
        assert str(box.store.find("2").audio) in done.stdout

    def test_each_event_gap_and_file_has_a_line(self, box: Box) -> None:
        events = [{"label": "rain", "score": 0.7}, {"label": "siren", "score": 0.9}]
        entry = box.store.find("2")
        entry.sidecar.write_text(json.dumps({"events": events, "gaps": [], "labels": ["a", "b"]}))
        assert box.run("show", "2").stdout.splitlines() == [
            "events              label rain, score 0.7",
            "                    label siren, score 0.9",
            "gaps                -",
            "labels              a; b",
            "kept                no",
            f"files               {entry.audio}",
            f"                    {entry.sidecar}",
        ]

    def test_as_json(self, box: Box) -> None:
        assert json.loads(box.run("show", "2", "--json").stdout)["scores"]["siren"] == 0.91

    def test_a_damaged_sidecar_is_said(self, box: Box) -> None:
        box.store.find("2").sidecar.write_text("{")
        done = box.run("show", "2")
        assert done.returncode == EXIT_STORAGE
        assert "is damaged" in done.stderr

    def test_a_clip_that_is_not_there_is_said(self, box: Box) -> None:
        done = box.run("show", "99")
        assert done.returncode == EXIT_STORAGE
        assert "there is no clip '99'" in done.stderr
        assert "edge clips list" in done.stderr


class TestKeepAndDelete:
    def test_a_marked_clip_is_not_deleted_by_mistake(self, box: Box) -> None:
        assert "0000001_20200101T000000Z_dog_bark is kept" in box.run("keep", "1", "2").stdout
        done = box.run("delete", "--yes", "1", "3")
        assert done.returncode == EXIT_STORAGE
        assert "dog_bark" in done.stderr
        assert len(list(box.store.entries())) == 5, "none of them"
        assert box.run("keep", "--off", "1").returncode == EXIT_OK
        assert box.run("delete", "--yes", "1").returncode == EXIT_OK
        assert box.run("delete", "--yes", "--force", "2").returncode == EXIT_OK
        assert [entry.number for entry in box.store.entries()] == [3, 4, 5]

    @pytest.mark.parametrize(("answer", "left"), [("y\n", 4), ("n\n", 5), ("\n", 5), ("", 5)])
    def test_it_asks_first(self, box: Box, answer: str, left: int) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "edge", "clips", "delete", "1", "--set", box.setting],
            cwd=Path(__file__).parents[2],
            input=answer,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "delete 1 clip for ever" in done.stdout
        assert (done.returncode == EXIT_OK) is (left == 4)
        assert len(list(box.store.entries())) == left

    def test_one_named_twice_is_deleted_once(self, box: Box) -> None:
        assert "deleted 1 clip," in box.run("delete", "--yes", "1", "a-1").stdout

    def test_when_one_is_missing_none_is_deleted(self, box: Box) -> None:
        assert box.run("delete", "--yes", "1", "99").returncode == EXIT_STORAGE
        assert len(list(box.store.entries())) == 5


class TestExport:
    def test_all_files_of_a_clip_but_the_mark_are_copied(self, box: Box, tmp_path: Path) -> None:
        entry = box.store.find("2")
        report = entry.bucket / f"{entry.stem}.analysis.json"
        report.write_text("{}")
        box.store.set_keep(entry, keep=True)
        out = tmp_path / "a" / "b"
        assert box.run("export", "2", "4", out).returncode == EXIT_OK
        exported = sorted(path.name for path in out.iterdir())
        assert exported == sorted(
            [
                "0000002_20261122T221736Z_rain.analysis.json",
                "0000002_20261122T221736Z_rain.flac",
                "0000002_20261122T221736Z_rain.json",
                "0000004_20261122T221736Z_rain.flac.age",
                "0000004_20261122T221736Z_rain.json",
            ]
        )
        assert (out / "0000002_20261122T221736Z_rain.flac").read_bytes() == flac(2)

    def test_what_leaves_the_store_is_its_owners_alone(
        self, box: Box, tmp_path: Path, key_file: Path
    ) -> None:
        out = tmp_path / "out"
        box.run("export", "2", out)
        box.run("decrypt", "4", "--identity", key_file, "--output", out)
        (out / ".0000001_20200101T000000Z_dog_bark.flac.part").touch(0o644)  # an old leftover
        box.run("export", "1", out)
        assert out.stat().st_mode & 0o777 == 0o700
        assert [path.stat().st_mode & 0o777 for path in out.iterdir()] == [0o600] * 5

    def test_nothing_is_overwritten_unasked(self, box: Box, tmp_path: Path) -> None:
        mine = tmp_path / "out" / "0000002_20261122T221736Z_rain.json"
        mine.parent.mkdir()
        mine.write_text("mine")
        done = box.run("export", "1", "2", mine.parent)
        assert done.returncode == EXIT_STORAGE
        assert "--force" in done.stderr
        assert [path.name for path in mine.parent.iterdir()] == [mine.name], "nor the others"
        assert box.run("export", "--force", "1", "2", mine.parent).returncode == EXIT_OK
        assert json.loads(mine.read_text())["clip_id"] == "a-2"

    def test_into_its_own_folder_by_force_it_does_no_harm(self, box: Box) -> None:
        box.run("export", "--force", "2", box.store.find("2").bucket)
        assert box.store.find("2").sidecar.stat().st_size > 0

    def test_where_nothing_can_be_written_it_is_said(self, box: Box) -> None:
        done = box.run("export", "1", "/proc/out")
        assert done.returncode == EXIT_STORAGE
        assert "can't be written" in done.stderr


class TestPlay:
    def test_what_is_heard_is_what_was_recorded(self, box: Box, tmp_path: Path) -> None:
        """Through alsa-lib's `file` plugin, in a process of its own."""
        played = tmp_path / "played.raw"
        config = tmp_path / "asound.conf"
        config.write_text(
            "</usr/share/alsa/alsa.conf>\n"
            f'pcm.tofile {{ type file slave.pcm "null" file "{played}" format "raw" }}\n'
        )
        command = [sys.executable, "-m", "edge", "clips", "play", "2", "--device", "tofile"]
        subprocess.run(
            [*command, "--set", box.setting],
            env={**os.environ, "ALSA_CONFIG_PATH": str(config)},
            cwd=Path(__file__).parents[2],
            check=True,
        )
        recorded, _ = soundfile.read(box.store.find("2").audio, dtype="int16")
        np.testing.assert_array_equal(np.fromfile(played, "<i2")[: recorded.size], recorded)

    @pytest.mark.parametrize(
        ("clip", "words"),
        [
            ("3", ["without its sound: somebody speaks in it", "speech.action"]),
            ("4", ["is encrypted", "edge clips decrypt 4 --identity KEYFILE"]),
            ("5", ["can't be decoded"]),
        ],
    )
    def test_what_can_not_be_played_says_why(self, box: Box, clip: str, words: list[str]) -> None:
        done = box.run("play", clip)
        assert done.returncode == EXIT_STORAGE
        assert all(word in done.stderr for word in words)

    def test_without_a_card_it_says_what_to_do(self, box: Box) -> None:
        done = box.run("play", "1", "--device", "nosuchcard")
        assert done.returncode == EXIT_DEVICE
        assert "nosuchcard can't be opened" in done.stderr
        assert len(done.stderr.splitlines()) == 2, "alsa-lib keeps quiet"


class TestKeys:
    def test_who_has_the_key_gets_the_sound_back(
        self, box: Box, tmp_path: Path, key_file: Path
    ) -> None:
        out = tmp_path / "out"
        done = box.run("decrypt", "4", "--identity", key_file, "--output", out)
        assert done.returncode == EXIT_OK, done.stderr
        assert done.stdout.strip() == str(out / "0000004_20261122T221736Z_rain.flac")
        assert (out / "0000004_20261122T221736Z_rain.flac").read_bytes() == flac(4)
        again = box.run("decrypt", "4", "--identity", key_file, "--output", out)
        assert again.returncode == EXIT_STORAGE
        assert "--force" in again.stderr

    def test_an_exported_file_is_decrypted_where_no_box_is(
        self, box: Box, edge: Callable[..., Done], tmp_path: Path, key_file: Path
    ) -> None:
        box.run("export", "4", tmp_path / "desk")
        (file,) = (tmp_path / "desk").glob("*.age")
        done = edge("clips", "decrypt", file, "--identity", key_file)
        assert done.returncode == EXIT_OK, done.stderr
        assert (tmp_path / file.stem).read_bytes() == flac(4), "into the folder one stands in"

    def test_another_key_opens_nothing_and_leaves_nothing(self, box: Box, tmp_path: Path) -> None:
        other = tmp_path / "other.txt"
        other.write_text(new_identity()[0])
        done = box.run("decrypt", "4", "--identity", other, "--output", tmp_path / "out")
        assert done.returncode == EXIT_STORAGE
        assert "can't be decrypted" in done.stderr
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("content", "code"), [(b"", EXIT_CONFIG), (b"\xff\0", EXIT_CONFIG), (None, EXIT_STORAGE)]
    )
    def test_a_file_that_is_no_key_is_said(
        self, box: Box, tmp_path: Path, content: bytes | None, code: int
    ) -> None:
        file = tmp_path / "bad.txt"
        if content is not None:
            file.write_bytes(content)
        assert box.run("decrypt", "4", "--identity", file).returncode == code

    def test_what_is_not_encrypted_is_said(self, box: Box, key_file: Path) -> None:
        done = box.run("decrypt", "1", "--identity", key_file)
        assert done.returncode == EXIT_STORAGE
        assert "is not encrypted" in done.stderr

    def test_a_new_key_is_for_its_owner_alone_and_opens_what_it_should(
        self, edge: Callable[..., Done], tmp_path: Path
    ) -> None:
        file = tmp_path / "new.txt"
        done = edge("clips", "keygen", file)
        assert done.returncode == EXIT_OK
        assert file.stat().st_mode & 0o777 == 0o600
        public = re.fullmatch(r'public_key = "(age1\w+)"\n', done.stdout)
        assert public
        assert "AGE-SECRET-KEY" not in done.stdout + done.stderr
        sealed = tmp_path / "sound.flac.age"
        sealed.write_bytes(seal(b"sound", public[1]))
        edge("clips", "decrypt", sealed, "--identity", file)
        assert (tmp_path / "sound.flac").read_bytes() == b"sound"

    def test_on_a_full_disk_no_empty_key_is_left(self, tmp_path: Path) -> None:
        """A limit on the size of files fails a write as a full disk does."""
        file = tmp_path / "new.txt"
        shell = 'ulimit -f 0; exec "$0" -m edge clips keygen "$1"'
        done = subprocess.run(
            ["sh", "-c", shell, sys.executable, file],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == EXIT_STORAGE, done.stderr
        assert "can't be written" in done.stderr
        assert not done.stdout, "no public key without its secret one"
        assert not file.exists()

    def test_a_key_is_never_overwritten(self, edge: Callable[..., Done], key_file: Path) -> None:
        before = key_file.read_text()
        assert edge("clips", "keygen", key_file).returncode == EXIT_STORAGE
        assert key_file.read_text() == before


def _read_terminal(handle: int) -> str:
    shown = b""
    try:
        while piece := os.read(handle, 4096):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(handle)
    return shown.decode()
