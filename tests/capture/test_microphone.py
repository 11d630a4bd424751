# SPDX-License-Identifier: MIT
"""The virtual microphone itself, as far as the tests of the card don't show it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tools.lab.microphone import VirtualMicrophone
from tools.lab.plugin import build

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def test_it_is_compiled_once(lab: Path) -> None:
    first = build("edgemic", lab)
    stamp = first.stat().st_mtime_ns
    assert build("edgemic", lab) == first
    assert first.stat().st_mtime_ns == stamp


def test_without_a_compiler_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="gcc libc6-dev libasound2-dev"):
        build("edgemic", tmp_path)


def test_when_it_does_not_compile_it_shows_the_compilers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without libasound2-dev: a compiler that finds no header."""
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'alsa/asoundlib.h: No such file' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(RuntimeError, match=r"libasound2-dev\n.*asoundlib"):
        build("edgemic", tmp_path)
    assert not list(tmp_path.glob("*.so"))


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        ("kill -9 $$", r"ended with -9"),
        ("echo 'fatal error: Killed signal terminated program cc1' >&2; exit 1", "Killed signal"),
        ("echo 'error: No space left on device' >&2; exit 1", "No space left on device"),
    ],
)
def test_a_compiler_that_fails_for_another_reason_is_not_to_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, why: str
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(f"#!/bin/sh\n{ends}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(RuntimeError, match=why) as failed:
        build("edgemic", tmp_path)
    assert "apt-get" not in str(failed.value)


def test_the_compiler_is_understood_in_every_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\n[ \"$LC_ALL\" = C ] && echo 'No such file' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with pytest.raises(RuntimeError, match="apt-get install"):
        build("edgemic", tmp_path)


@pytest.mark.skipif(shutil.which("arecord") is None, reason="alsa-utils is not installed")
def test_another_program_hears_it_by_the_environment_alone(
    lab: Path, tmp_path: Path, ramp: NDArray[np.int32]
) -> None:
    """ALSA's own recorder, which knows nothing of this project."""
    raw = tmp_path / 'a "b" c.raw'
    raw.write_bytes(ramp.astype("<i2")[:16000].tobytes())
    microphone = VirtualMicrophone(lab, raw, rate_hz=16000, name="elsewhere", loop=True)
    recorder = ["arecord", "-q", "-D", "elsewhere", "-t", "raw", "-f", "S16_LE"]
    recorded = subprocess.run(
        [*recorder, "-r", "16000", "-s", "4000"],
        env=microphone.environment(),
        capture_output=True,
        check=True,
    )
    heard = np.frombuffer(recorded.stdout, dtype="<i2")
    np.testing.assert_array_equal(heard[:4000], ramp[:4000])
    assert microphone.overruns() == []
