# SPDX-License-Identifier: MIT
"""`edge calibrate`, on a virtual microphone of the real alsa-lib."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.capture.alsa import AlsaSource
from edge.measure.calibration import CalibrationStore
from tests.conftest import wait_until
from tools.lab.microphone import VirtualMicrophone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.cli.conftest import Done

    Calibrate = Callable[..., Done]

RATE_HZ = 48000
UMIK = '"Sens Factor =-1.378dB, AGain =18dB, SERNO: 7000000"\n20\t-1.0\n1000\t0.0\n20000\t2.0\n'


def tone(dbfs: float, freq_hz: float = 1000.0) -> NDArray[np.float64]:
    """Return two seconds, without a seam, of that RMS level."""
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    return 10 ** (dbfs / 20) * np.sqrt(2) * np.sin(2 * np.pi * freq_hz * time_s)


def noise(dbfs: float) -> NDArray[np.float64]:
    return 10 ** (dbfs / 20) * np.random.default_rng(1).standard_normal(2 * RATE_HZ)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., VirtualMicrophone]:
    """Put a sound on a new microphone; this process hears it."""

    def put(samples: NDArray[np.float64], name: str) -> VirtualMicrophone:
        raw = tmp_path / f"{name}.raw"
        raw.write_bytes(np.round(samples * 32767).astype("<i2").tobytes())
        microphone = VirtualMicrophone(tmp_path / "microphone", raw, loop=True, name=name)
        monkeypatch.setenv("ALSA_CONFIG_PATH", microphone.environment()["ALSA_CONFIG_PATH"])
        return microphone

    return put


@pytest.fixture
def calibrate(edge: Callable[..., Done], state: Path) -> Calibrate:
    def run(device: str, *arguments: str | Path) -> Done:
        overrides = (
            f'capture.device="{device}"',
            f'state.directory="{state}"',
            "capture.periods=64",  # a second that is not whole is not counted
        )
        settings = [part for one in overrides for part in ("--set", one)]
        return edge("calibrate", *arguments, *settings)

    return run


def test_a_calibrator_is_found_and_kept(
    calibrate: Calibrate, play: Callable[..., VirtualMicrophone], state: Path
) -> None:
    play(tone(-41.1), "calibrated")
    done = calibrate("calibrated")
    assert done.returncode == 0, done.stderr
    assert "steady for 3 of 5 s" in done.stdout
    assert "calibrated   calibrated, channel mean, by a calibrator of 94 dB" in done.stdout
    assert "sensitivity  -41.10 dBFS at 94 dB SPL" in done.stdout
    assert "offset       dBFS +135.10 dB = dB SPL" in done.stdout
    assert "drift" not in done.stdout
    kept = CalibrationStore(state / "calibration.json").current("calibrated", "mean")
    assert kept is not None
    assert kept.sensitivity_dbfs == pytest.approx(-41.1, abs=0.02)


def test_noise_is_no_calibrator_and_nothing_changes(
    calibrate: Calibrate, play: Callable[..., VirtualMicrophone], state: Path
) -> None:
    play(noise(-30.0), "noisy")
    done = calibrate("noisy", "--seconds", "4")
    assert done.returncode == 1
    assert "0 % of the power is at 1 kHz: is the calibrator on?" in done.stdout
    assert "edge: no calibrator was heard in" in done.stderr
    assert not (state / "calibration.json").exists()


def test_a_known_level_of_noise_calibrates(
    calibrate: Calibrate, play: Callable[..., VirtualMicrophone]
) -> None:
    play(noise(-30.0), "known")
    done = calibrate("known", "--known-level", "70")
    assert done.returncode == 0, done.stderr
    assert "by a known level of 70 dB" in done.stdout
    found = re.search(r"sensitivity  (-[\d.]+) dBFS", done.stdout)
    assert found
    # The integral of A's power from 0 to 24 kHz is -2.72 dB; 94 dB are 24 more than 70.
    assert float(found[1]) == pytest.approx(-30.0 - 2.72 + 24.0, abs=0.1)


def test_a_known_level_that_can_not_be_is_said_and_nothing_changes(
    calibrate: Calibrate, play: Callable[..., VirtualMicrophone], state: Path
) -> None:
    """20 dB next to full scale would be a microphone for the inside of an engine."""
    play(tone(-6.0), "loud")
    done = calibrate("loud", "--known-level", "20")
    assert done.returncode == 1
    assert "edge: 20 dB can't be what is heard" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (state / "calibration.json").exists()


def test_a_device_that_is_pulled_out_is_said(
    calibrate: Calibrate, play: Callable[..., VirtualMicrophone], state: Path
) -> None:
    microphone = play(tone(-41.1), "pulled")

    def pull() -> None:
        wait_until(microphone.played, "it is heard")
        microphone.unplug()

    puller = threading.Thread(target=pull)
    puller.start()
    done = calibrate("pulled")
    puller.join()
    assert done.returncode == 69
    assert "pulled was lost" in done.stderr
    assert not (state / "calibration.json").exists()


def test_a_device_that_is_not_there_is_said(
    calibrate: Calibrate, play: Callable[..., VirtualMicrophone]
) -> None:
    play(tone(-41.1), "there")
    done = calibrate("elsewhere")
    assert done.returncode == 69
    assert "elsewhere" in done.stderr


def test_a_sensitivity_is_told_with_a_correction_and_the_drift_is_shown(
    calibrate: Calibrate, play: Callable[..., VirtualMicrophone], tmp_path: Path
) -> None:
    microphone = play(tone(-41.1), "told")
    file = tmp_path / "umik.txt"
    file.write_text(UMIK)
    done = calibrate("told", "--sensitivity", "-41.5", "--correction", file)
    assert done.returncode == 0, done.stderr
    assert microphone.played() == [], "nobody listens for it"
    assert "correction   umik.txt" in done.stdout
    done = calibrate("told", "--sensitivity", "-41.1")
    assert re.search(r"drift        \+0\.40 dB since \d{4}-\d\d-\d\d \d\d:\d\d UTC", done.stdout)
    assert "correction   umik.txt" in done.stdout
    shown = calibrate("told", "--show").stdout.splitlines()
    assert len(shown) == 2
    assert shown[0].startswith("  ")
    assert "-41.50 dBFS, gain 0 dB, drift first" in shown[0]
    assert shown[1].startswith("* ")
    assert "-41.10 dBFS, gain 0 dB, drift +0.40 dB" in shown[1]
    assert "umik.txt" not in calibrate("told", "--sensitivity", "-41", "--no-correction").stdout


def test_a_correction_file_of_rubbish_is_refused_before_anything_is_heard(
    calibrate: Calibrate, play: Callable[..., VirtualMicrophone], tmp_path: Path
) -> None:
    play(tone(-41.1), "rubbish")
    file = tmp_path / "rubbish.txt"
    file.write_text("20 0\n1000 loud\n")
    done = calibrate("rubbish", "--correction", file)
    assert done.returncode == 78
    assert "rubbish.txt, line 2: 'loud' is not a number" in done.stderr


def test_without_a_calibration_that_is_shown(calibrate: Calibrate) -> None:
    assert calibrate("x", "--show").stdout == "not calibrated: levels are in dBFS\n"


def test_two_ways_at_once_are_refused(calibrate: Calibrate) -> None:
    done = calibrate("x", "--known-level", "70", "--sensitivity", "-40")
    assert done.returncode == 2
    assert "choose one" in done.stderr


def test_a_correction_can_not_be_given_and_forgotten(calibrate: Calibrate, tmp_path: Path) -> None:
    file = tmp_path / "umik.txt"
    file.write_text("20 0.0\n20000 1.0\n")
    done = calibrate("x", "--sensitivity=-40", "--correction", str(file), "--no-correction")
    assert done.returncode == 2
    assert "choose one" in done.stderr


def test_a_recording_that_ends_is_no_calibrator(calibrate: Calibrate) -> None:
    source = ("--set", 'capture.source="synth"', "--set", 'capture.signal="tone"')
    length = ("--set", "capture.seconds=3.0", "--set", 'capture.pace="fast"')
    done = calibrate("x", *source, *length)
    assert done.returncode == 1
    assert "no calibrator was heard" in done.stderr


def test_a_microphone_that_the_unit_holds_is_said_with_the_way_out(
    calibrate: Calibrate, play: Callable[..., VirtualMicrophone]
) -> None:
    play(tone(-41.1), "held")
    with AlsaSource("held", rate_hz=RATE_HZ, channels=1, period_size=1024, periods=16):
        done = calibrate("held")
    assert done.returncode == 69
    assert "the unit is running and holds the microphone" in done.stderr
    assert "publish to edge/edge/command/calibrate" in done.stderr
    assert "systemctl stop edge-listen" in done.stderr


def test_a_real_calibrators_recording_makes_the_meter_read_94_db(
    calibrate: Calibrate,
    edge: Callable[..., Done],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
) -> None:
    """Two channels of 32 bit; the right one is silent. Then the recording of a quiet room."""
    settings = ["--set", "capture.channels=2", "--set", "capture.channel=0"]
    for name, level in (("ref94dB", 94.0), ("ref38dB", 36.4)):
        raw = data / f"reference/spl/{name}_48000Hz_32bitsPCM.raw"
        directory = tmp_path / name  # another path: ALSA reads its configuration anew
        microphone = VirtualMicrophone(
            directory, raw, channels=2, sample_format="S32_LE", loop=True, name="reference"
        )
        monkeypatch.setenv("ALSA_CONFIG_PATH", microphone.environment()["ALSA_CONFIG_PATH"])
        if name == "ref94dB":
            assert calibrate("reference", *settings).returncode == 0
        where = (
            "--set",
            'capture.device="reference"',
            "--set",
            f'state.directory="{tmp_path / "state"}"',
        )
        done = edge("meter", "--plain", "--seconds", "5", *settings, *where)
        lines = [line for line in done.stdout.splitlines() if "LAeq,1s" in line]
        assert all(line.endswith(" dB") for line in lines), done.stdout
        # The first seconds hold the start of the filters and of the recording.
        levels = [float(re.findall(r"LAeq,1s ([\d.]+)", line)[0]) for line in lines[2:]]
        assert levels == pytest.approx([level] * len(levels), abs=0.1 if level == 94.0 else 0.3)
