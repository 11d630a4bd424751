# SPDX-License-Identifier: MIT
"""The virtual microphone itself, as far as the tests of the card don't show it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import alsaaudio
import numpy as np
import pytest

from tools.lab.microphone import VirtualMicrophone
from tools.lab.plugin import build

if TYPE_CHECKING:
    from collections.abc import Callable
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


def test_it_counts_what_it_has_played_stretch_by_stretch(
    plug_in: Callable[..., VirtualMicrophone], ramp: NDArray[np.int32]
) -> None:
    """After an overrun another stretch begins; a card that is opened anew has another epoch."""
    microphone = plug_in(ramp, sample_format="S32_LE", ppm=100)
    heard = []
    for _ in range(2):
        pcm = alsaaudio.PCM(
            alsaaudio.PCM_CAPTURE,
            device=microphone.name,
            rate=48000,
            channels=1,
            format=alsaaudio.PCM_FORMAT_S32_LE,
            periodsize=480,
            periods=4,
        )
        heard.append(sum(pcm.read()[0] for _ in range(5)))
        time.sleep(0.1)
        assert pcm.read()[0] < 0
        heard.append(sum(pcm.read()[0] for _ in range(3)))
        pcm.close()
    stretches = microphone.played()
    assert [one.samples for one in stretches] == heard
    assert stretches[0].epoch_s == stretches[0].began_s == stretches[1].epoch_s
    assert stretches[1].ended_s < stretches[2].epoch_s == stretches[3].epoch_s
    lost = [
        (after.began_s - one.ended_s) * one.rate_hz for one, after in (stretches[:2], stretches[2:])
    ]
    np.testing.assert_allclose(lost, microphone.overruns(), atol=0.01)


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
