# SPDX-License-Identifier: MIT
"""What `tools/run` says of its clips in the end."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from edge.cli.heard import Saved
from tests.record.shelf import shelve
from tools.demo.clips import show_clips

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEM = "0000001_untimed_rain"


@pytest.fixture
def analyzer() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that goes on and does nothing."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def saved(file: str) -> Saved:
    return Saved(1, file, "rain", 2.0)


@pytest.mark.parametrize(
    "file",
    ["/etc/passwd", "../x", "", "*", "..", "\0", f"{STEM}.flac", "0000002_untimed_rain.flac"],
)
def test_a_clip_that_is_none_is_passed_over(
    tmp_path: Path,
    analyzer: subprocess.Popen[bytes],
    capsys: pytest.CaptureFixture[str],
    file: str,
) -> None:
    shelve(tmp_path, 3)
    (tmp_path / "0000" / "0000003_untimed_rain.analysis.json").write_text("{}")
    clips = [saved(file), saved("0000003_untimed_rain.flac")]
    show_clips(clips, tmp_path, analyzer, lambda: True)
    first, second, *report = capsys.readouterr().out.splitlines()
    assert first == f"clip: {'deleted since' if file else 'without its sound'}, 2.0 s, rain"
    assert second == f"clip: {tmp_path}/0000/0000003_untimed_rain.flac, 2.0 s, rain"
    assert report == [
        "  analysis: 0 onsets",
        f"  picture: {tmp_path}/0000/0000003_untimed_rain.analysis.png",
    ]


def test_for_a_clip_that_is_deleted_meanwhile_nobody_waits(
    tmp_path: Path, analyzer: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    shelve(tmp_path, 1)
    looks = 0

    def delete() -> bool:
        nonlocal looks
        looks += 1
        (tmp_path / "0000" / f"{STEM}.flac").unlink(missing_ok=True)
        return looks < 3

    show_clips([saved(f"{STEM}.flac")] * 2, tmp_path, analyzer, delete)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  no analysis yet",
        "clip: deleted since, 2.0 s, rain",
    ]
    assert looks == 1


def test_a_report_that_is_none_is_passed_over(
    tmp_path: Path, analyzer: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    shelve(tmp_path, 1)
    (tmp_path / "0000" / f"{STEM}.analysis.json").write_text("[")
    show_clips([saved(f"{STEM}.flac")], tmp_path, analyzer, lambda: True)
    assert capsys.readouterr().out.splitlines()[1] == "  no analysis yet"
