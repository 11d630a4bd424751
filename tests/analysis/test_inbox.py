# SPDX-License-Identifier: MIT
"""The work list is the folder: what is whole and has no report, the newest important first."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.analysis.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Iterable


def put(clips: Path, number: int, label: str = "rain", suffixes: Iterable[str] = ()) -> str:
    """Make the files of a clip; return its stem."""
    bucket = clips / f"{number // 1000:04d}"
    bucket.mkdir(parents=True, exist_ok=True)
    stem = f"{number:07d}_20261122T221736Z_{label}"
    for suffix in (".json", ".flac", *suffixes):
        (bucket / f"{stem}{suffix}").touch()
    return stem


def take(inbox: Inbox) -> str | None:
    """Return the stem of the next clip and mark it as done."""
    clip = inbox.next()
    if clip:
        clip.report.touch()
    return clip.stem if clip else None


def all_of(inbox: Inbox) -> list[str]:
    taken: list[str] = []
    while stem := take(inbox):
        assert stem not in taken
        taken.append(stem)
    return taken


def test_the_newest_comes_first_and_each_comes_once(tmp_path: Path) -> None:
    stems = [put(tmp_path, number) for number in (7, 999, 1000, 2500)]
    assert all_of(Inbox(tmp_path)) == stems[::-1]


def test_kept_clips_and_recordings_at_a_command_come_before_newer_ones(tmp_path: Path) -> None:
    kept = put(tmp_path, 3, suffixes=[".keep"])
    asked = put(tmp_path, 1200, label="command")
    plain = put(tmp_path, 5000)
    assert all_of(Inbox(tmp_path)) == [asked, kept, plain]


def test_what_comes_meanwhile_is_seen(tmp_path: Path) -> None:
    put(tmp_path, 1)
    inbox = Inbox(tmp_path)
    assert len(all_of(inbox)) == 1
    for number in (2, 1003, 4):
        assert take(inbox) is None
        assert put(tmp_path, number) == take(inbox)


def test_a_folder_that_has_been_quiet_is_not_listed_again_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3000):
        put(tmp_path, number, suffixes=[".analysis.json"])
    long_ago = time.time() - 60
    for bucket in tmp_path.iterdir():
        os.utime(bucket, (long_ago, long_ago))
    inbox = Inbox(tmp_path)
    assert inbox.next() is None
    listed: list[Path] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or real(path))
    assert inbox.next() is None
    looked_into = [path for path in listed if Path(path) != tmp_path]
    assert looked_into == []
    newest = put(tmp_path, 1500, label="dog")
    assert take(inbox) == newest
    assert {Path(path) for path in listed} - {tmp_path} == {tmp_path / "0001"}


def test_ten_thousand_clips_are_done_in_order_with_one_clip_kept_for_each_bucket(
    tmp_path: Path,
) -> None:
    for number in range(10_000):
        put(tmp_path, number)
    inbox = Inbox(tmp_path)
    assert [take(inbox) for _ in range(20)] == [
        f"{number:07d}_20261122T221736Z_rain" for number in range(9999, 9979, -1)
    ]
    assert inbox.waiting == 10_000 - 19
    assert len(inbox._buckets) == 10  # noqa: SLF001 - its memory is the claim


@pytest.mark.parametrize(
    "name",
    [
        "0000001_20261122T221736Z_rain.flac.age",  # nobody here can read it
        ".0000001_20261122T221736Z_rain.flac.part",
        "holiday.flac",
        "0000001_20261122T221736Z_rain.harmonic.flac",
        "0000001_yesterday_rain.flac",
    ],
)
def test_what_is_no_clip_of_ours_is_left_alone(tmp_path: Path, name: str) -> None:
    bucket = tmp_path / "0000"
    bucket.mkdir()
    (bucket / name).touch()
    (bucket / "0000001_20261122T221736Z_rain.json").touch()
    (tmp_path / "holiday").mkdir()
    put(tmp_path / "holiday", 4)
    assert Inbox(tmp_path).next() is None


def test_a_sound_without_its_sidecar_or_behind_a_link_is_not_taken(tmp_path: Path) -> None:
    put(tmp_path, 1)
    bucket = tmp_path / "0000"
    (bucket / "0000001_20261122T221736Z_rain.json").unlink()
    (tmp_path / "elsewhere").touch()
    (bucket / "0000002_20261122T221736Z_rain.json").touch()
    (bucket / "0000002_20261122T221736Z_rain.flac").symlink_to(tmp_path / "elsewhere")
    assert Inbox(tmp_path).next() is None


def test_a_replayed_clip_without_a_time_is_taken(tmp_path: Path) -> None:
    (tmp_path / "0000").mkdir()
    for suffix in (".wav", ".json"):
        (tmp_path / "0000" / f"0000012_untimed_dog_bark{suffix}").touch()
    clip = Inbox(tmp_path).next()
    assert clip is not None
    assert (clip.stem, clip.sound.suffix) == ("0000012_untimed_dog_bark", ".wav")


def test_clips_in_folders_without_permission_are_passed_over_and_said(tmp_path: Path) -> None:
    """Nothing can be written into the first, nothing read from the second."""
    clips = tmp_path / "clips"
    stems = [put(clips, number) for number in (1, 1001, 2001)]
    (clips / "0002").chmod(0o500)
    (clips / "0001").chmod(0)
    (clips / "0000").chmod(0o777)
    for folder in [clips, *clips.parents][:-2]:
        folder.chmod(folder.stat().st_mode | 0o011)
    program = f"""
import os
from pathlib import Path
from edge.analysis.inbox import Inbox
if not os.getuid(): os.setgid(65534); os.setuid(65534)  # root may do everything
os.chdir("/")
inbox = Inbox(Path({str(clips)!r}))
print(inbox.next().stem, *(inbox.find(stem) for stem in {stems[1:]!r}))
print(inbox.unreadable)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for name in ("0001", "0002"):
        (clips / name).chmod(0o700)
    best, why = done.stdout.splitlines()
    assert best == f"{stems[0]} None None", done.stderr
    assert "may not be read and written" in why


def test_a_folder_that_is_not_there_or_no_folder_is_no_work(tmp_path: Path) -> None:
    assert Inbox(tmp_path / "nothing").next() is None
    (tmp_path / "0000").touch()
    inbox = Inbox(tmp_path)
    assert inbox.next() is None
    assert "0000" in inbox.unreadable


def test_a_clip_is_found_by_its_stem_only_while_it_is_to_be_done(tmp_path: Path) -> None:
    stem = put(tmp_path, 1007, suffixes=[".keep"])
    inbox = Inbox(tmp_path)
    found = inbox.find(stem)
    assert found == inbox.next()
    assert take(inbox) == stem
    assert inbox.find(stem) is None
    assert inbox.find("../../etc/passwd") is None
