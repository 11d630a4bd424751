# SPDX-License-Identifier: MIT
"""Recordings of every kind, and what is wrong with them said in a sentence."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from edge.analysis.recording import LEAST_STRETCH_S, STRETCH_S, Recording
from edge.errors import DeviceError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE_HZ = 22050


def tone(seconds: float, rate_hz: int = RATE_HZ, freq_hz: float = 440.0) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * freq_hz * np.arange(round(seconds * rate_hz)) / rate_hz).astype("f4")


def write(path: Path, samples: NDArray[np.float32], rate_hz: int = RATE_HZ, **how: str) -> Path:
    soundfile.write(path, samples, rate_hz, **how)
    return path


def read(path: Path, **how: int) -> tuple[NDArray[np.float32], Recording]:
    recording = Recording(path, **({"max_rate_hz": RATE_HZ} | how))
    stretches = list(recording.stretches())
    recording.close()
    assert all(one.dtype == np.float32 and one.flags.owndata for one in stretches)
    return np.concatenate(stretches), recording


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_every_format_of_soundfile_is_read(tmp_path: Path, suffix: str) -> None:
    samples, recording = read(write(tmp_path / f"a{suffix}", 0.5 * tone(5.0)))
    assert recording.duration_s == pytest.approx(5.0, abs=0.1)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.354, abs=0.01)


def test_samples_at_the_wanted_rate_are_the_recordings_own(tmp_path: Path) -> None:
    made = 0.5 * tone(2.0)
    samples, recording = read(write(tmp_path / "a.wav", made, subtype="FLOAT"))
    np.testing.assert_allclose(samples, made - made.mean(dtype=np.float64), atol=1e-7)
    assert (recording.rate_hz, recording.notes) == (RATE_HZ, ())


def test_a_faster_recording_is_converted_and_its_tone_stays(tmp_path: Path) -> None:
    samples, recording = read(write(tmp_path / "a.wav", 0.5 * tone(4.0, 48000), 48000))
    assert (recording.rate_hz, recording.source_rate_hz) == (RATE_HZ, 48000)
    assert samples.size == pytest.approx(4.0 * RATE_HZ, abs=2)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    assert np.argmax(spectrum) * RATE_HZ / samples.size == pytest.approx(440.0, abs=0.3)


def test_a_recording_slower_than_8_khz_is_converted_up(tmp_path: Path) -> None:
    samples, recording = read(write(tmp_path / "a.wav", 0.5 * tone(2.0, 4000), 4000))
    assert recording.rate_hz == 8000
    assert samples.size == pytest.approx(16000, abs=2)


def test_channels_are_meant_or_one_is_chosen(tmp_path: Path) -> None:
    left, right = 0.2 * tone(1.0), 0.4 * tone(1.0, freq_hz=880.0)
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1), subtype="FLOAT")
    for channel, wanted in ((0, left), (1, right), (None, (left + right) / 2), (7, None)):
        samples, recording = read(path) if channel is None else read(path, channel=channel)
        if wanted is None:
            assert recording.channel is None  # there is no channel 7
        else:
            np.testing.assert_allclose(samples, wanted - wanted.mean(), atol=1e-6)


def test_an_offset_is_taken_out_and_told(tmp_path: Path) -> None:
    samples, recording = read(write(tmp_path / "a.wav", 0.25 + 0.1 * tone(1.0), subtype="FLOAT"))
    assert abs(float(samples.mean())) < 1e-6
    assert recording.offset == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize("seconds", [0.001, 30.0, 34.9, 35.1, 64.0, 95.5])
def test_stretches_are_bounded_and_leave_nothing_out(tmp_path: Path, seconds: float) -> None:
    rng = np.random.default_rng(0)
    made = rng.uniform(-0.5, 0.5, round(seconds * 8000)).astype("f4")
    recording = Recording(write(tmp_path / "a.wav", made, 8000), max_rate_hz=RATE_HZ)
    sizes = [one.size for one in recording.stretches()]
    assert sum(sizes) == made.size
    assert all(size == STRETCH_S * 8000 for size in sizes[:-1])
    assert sizes[-1] <= (STRETCH_S + LEAST_STRETCH_S) * 8000
    assert len(sizes) == 1 or sizes[-1] >= LEAST_STRETCH_S * 8000


def test_one_sample_is_a_recording(tmp_path: Path) -> None:
    samples, recording = read(write(tmp_path / "a.wav", np.full(1, 0.5, "f4")))
    assert (samples.size, recording.source_samples) == (1, 1)


def test_clipped_samples_are_counted_once_for_all_channels(tmp_path: Path) -> None:
    made = 0.5 * np.stack([tone(1.0), tone(1.0)], axis=1)
    made[100:110, 0] = 1.0
    made[105:120, 1] = -1.0
    _, recording = read(write(tmp_path / "a.wav", made))
    assert recording.clipped_samples == 20


def test_what_is_no_number_becomes_silence_and_is_counted(tmp_path: Path) -> None:
    made = 0.1 * tone(1.0)
    made[10:13] = (np.nan, np.inf, -np.inf)
    made[20] = 1e30
    samples, recording = read(write(tmp_path / "a.wav", made, subtype="FLOAT"))
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() < 0.11
    assert recording.bad_samples == 4
    assert "4 samples" in recording.notes[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"this is no recording" * 50, "can't be decoded"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "can't be decoded"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(DeviceError, match=reason):
        Recording(tmp_path / "bad.wav", max_rate_hz=RATE_HZ)


def test_a_file_that_is_not_there_or_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.wav", tmp_path):
        with pytest.raises(DeviceError, match=f"no recording {path}"):
            Recording(path, max_rate_hz=RATE_HZ)


def test_a_recording_of_no_samples_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.zeros(0, "f4"))
    with pytest.raises(DeviceError, match="holds no samples"):
        read(path)


def wav_header(*, rate_hz: int, channels: int, data_bytes: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * channels * 2, channels * 2, 16)
    head = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + struct.pack("<I", 4 + len(head) + data_bytes) + b"WAVE" + head


@pytest.mark.parametrize(
    ("rate_hz", "channels", "reason"),
    [(2**31 - 1, 1, "Hz"), (5, 1, "5 Hz"), (48000, 900, "900 channels")],
)
def test_a_header_that_cannot_be_true_is_refused(
    tmp_path: Path, rate_hz: int, channels: int, reason: str
) -> None:
    header = wav_header(rate_hz=rate_hz, channels=channels, data_bytes=64_800)
    (tmp_path / "a.wav").write_bytes(header + bytes(64_800))
    with pytest.raises(DeviceError, match=reason):
        Recording(tmp_path / "a.wav", max_rate_hz=RATE_HZ)


def test_a_flac_that_promises_hours_and_holds_seconds_costs_seconds(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", 0.5 * tone(3.0))
    content = bytearray(path.read_bytes())
    # STREAMINFO: 36 bits of total samples end 18 bytes into the block, at byte 8 of the file.
    content[8 + 14 : 8 + 18] = struct.pack(">I", 2**31)
    path.write_bytes(content)
    tracemalloc.start()
    samples, recording = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert recording.promised_s > 3600
    assert samples.size == pytest.approx(3.0 * RATE_HZ, abs=4096)
    assert "promises" in recording.notes[0] or "damaged" in recording.notes[0]
    assert peak < 20e6


def test_a_flac_cut_in_the_middle_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / "a.flac", rng.uniform(-0.5, 0.5, 3 * RATE_HZ).astype("f4"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    samples, recording = read(path)
    assert 0.5 * RATE_HZ < samples.size < 2 * RATE_HZ
    assert recording.notes


def test_an_hour_is_read_in_the_memory_of_a_stretch(tmp_path: Path) -> None:
    path = write(tmp_path / "hour.wav", np.tile(0.5 * tone(6.0, 8000), 600), 8000, subtype="PCM_U8")
    recording = Recording(path, max_rate_hz=RATE_HZ)
    tracemalloc.start()
    count = sum(one.size for one in recording.stretches())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 3600 * 8000
    assert peak < 16e6


def test_a_recording_deleted_in_mid_read_is_read_to_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", 0.5 * tone(100.0, 8000), 8000)
    recording = Recording(path, max_rate_hz=RATE_HZ)
    stretches = recording.stretches()
    first = next(stretches)
    path.unlink()
    assert first.size + sum(one.size for one in stretches) == 100 * 8000


def test_a_recording_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(1.0))
    path.chmod(0)
    tmp_path.chmod(0o711)
    program = f"""
import os
from pathlib import Path
from edge.analysis.recording import Recording
from edge.errors import DeviceError
if not os.getuid(): os.setgid(65534); os.setuid(65534)  # root may read everything
try: Recording(Path({str(path)!r}), max_rate_hz=22050)
except DeviceError as error: print(error)
"""
    assert "can't be read: Permission denied" in said_by(program, tmp_path)


def said_by(program: str, tmp_path: Path) -> str:
    """Run a program as nobody, who must be able to reach the file at all."""
    for folder in [tmp_path, *tmp_path.parents][:-2]:
        folder.chmod(folder.stat().st_mode | 0o011)

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr
