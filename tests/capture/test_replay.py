# SPDX-License-Identifier: MIT
from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.capture.replay import ReplaySource
from edge.errors import DeviceError
from edge.types import Period
from tests.conftest import UNTIMED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RATE_HZ = 16000


def wave(n_samples: int = 5000, channels: int = 1, *, freq_hz: float = 440.0) -> np.ndarray:
    t = np.arange(n_samples) / RATE_HZ
    return np.tile(0.5 * np.sin(2 * np.pi * freq_hz * t)[:, np.newaxis], (1, channels))


def periods(paths: Sequence[Path], **how: object) -> tuple[list[Period], ReplaySource]:
    with ReplaySource(paths, pace="fast", **how) as source:
        return list(iter(source.read, None)), source


def heard(paths: Sequence[Path], **how: object) -> np.ndarray:
    return np.concatenate([period.samples for period in periods(paths, **how)[0]])


@pytest.mark.parametrize(
    ("name", "subtype", "dtype"),
    [
        ("a.wav", "PCM_U8", np.int16),
        ("a.wav", "PCM_16", np.int16),
        ("a.wav", "PCM_24", np.int32),
        ("a.wav", "PCM_32", np.int32),
        ("a.wav", "FLOAT", np.float32),
        ("a.flac", "PCM_16", np.int16),
        ("a.flac", "PCM_24", np.int32),
        ("a.ogg", "VORBIS", np.float32),
        ("a.mp3", "MPEG_LAYER_III", np.float32),
    ],
)
def test_integers_stay_integers_and_reals_stay_real(
    tmp_path: Path, name: str, subtype: str, dtype: type
) -> None:
    # Not a pure tone: LAME at 16 kHz then writes what mpg123 can't read.
    noisy = wave(RATE_HZ) + 0.02 * np.random.default_rng(0).standard_normal((RATE_HZ, 1))
    soundfile.write(tmp_path / name, noisy, RATE_HZ, subtype)
    samples = heard([tmp_path / name])
    assert samples.dtype == dtype
    full_scale = {np.int16: 2.0**15, np.int32: 2.0**31, np.float32: 1.0}[dtype]
    middle = samples[6000:10000] / full_scale
    assert np.argmax(np.abs(np.fft.rfft(middle[:, 0]))) == 440 * 4000 // RATE_HZ
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32"])
@pytest.mark.parametrize("period_size", [1, 160, 1024, 100_000])
def test_every_sample_arrives_to_the_bit_whatever_the_period(
    tmp_path: Path, subtype: str, period_size: int
) -> None:
    stored = np.random.default_rng(0).integers(-(2**31), 2**31, (1500, 2), dtype=np.int32)
    stored &= ~0 << {"PCM_16": 16, "PCM_24": 8, "PCM_32": 0}[subtype]
    soundfile.write(tmp_path / "a.wav", stored, RATE_HZ, subtype)
    samples = heard([tmp_path / "a.wav"], period_size=period_size)
    if subtype == "PCM_16":
        stored >>= 16
    np.testing.assert_array_equal(samples, stored)


def test_only_the_last_period_is_short(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", wave(2500), RATE_HZ)
    soundfile.write(tmp_path / "b.wav", wave(2500), RATE_HZ)
    lengths = [len(p.samples) for p in periods([tmp_path], period_size=1024)[0]]
    assert lengths == [1024, 1024, 1024, 1024, 904]


def test_a_folder_is_one_stream_in_the_order_of_names(tmp_path: Path) -> None:
    for name, value in [("b.wav", 2), ("a.flac", 1), ("c.wav", 3)]:
        soundfile.write(tmp_path / name, np.full(1000, value, dtype=np.int16), RATE_HZ)
    (tmp_path / "readme.txt").write_text("not a recording")
    samples = heard([tmp_path], period_size=300)
    np.testing.assert_array_equal(samples[:, 0], np.repeat([1, 2, 3], 1000))


def test_the_name_is_that_of_the_file_being_heard(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, wave(1000), RATE_HZ)
    names = []
    with ReplaySource([tmp_path], pace="fast", period_size=1000) as source:
        while source.read() is not None:
            names.append(source.name)
    assert names == ["a.wav", "b.wav"]


@pytest.mark.parametrize("rate_hz", [None, 48000])
def test_other_rates_are_converted_to_the_first_or_to_the_one_asked_for(
    tmp_path: Path, rate_hz: int | None
) -> None:
    """A tone keeps its pitch, its level and its length."""
    soundfile.write(tmp_path / "a.wav", wave(RATE_HZ), RATE_HZ)
    t = np.arange(44100) / 44100
    soundfile.write(tmp_path / "b.wav", 0.5 * np.sin(2 * np.pi * 440 * t), 44100)
    got, source = periods([tmp_path], rate_hz=rate_hz)
    rate = rate_hz or RATE_HZ
    samples = np.concatenate([period.samples for period in got])[:, 0]
    assert source.format.rate_hz == rate
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(2 * rate, abs=2)
    for half in (samples[:rate], samples[rate:]):
        middle = half[rate // 4 : rate * 3 // 4]
        assert np.argmax(np.abs(np.fft.rfft(middle))) == 220
        assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)


def test_depths_that_differ_become_real(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", wave(), RATE_HZ, "PCM_16")
    soundfile.write(tmp_path / "b.wav", wave(), RATE_HZ, "PCM_24")
    samples = heard([tmp_path])
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples[:5000], samples[5000:], atol=2**-15)


def test_another_number_of_channels_is_refused_by_name(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", wave(), RATE_HZ)
    soundfile.write(tmp_path / "b.wav", wave(channels=2), RATE_HZ)
    with pytest.raises(DeviceError, match=r"b\.wav has 2 channels where .*a\.wav has 1"):
        ReplaySource([tmp_path])


def test_a_nan_in_a_recording_passes_through(tmp_path: Path) -> None:
    samples = wave()
    samples[123] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, "FLOAT")
    assert np.flatnonzero(np.isnan(heard([tmp_path / "a.wav"]))).tolist() == [123]


def test_what_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"there is no recording .*nosuch\.wav"):
        ReplaySource([tmp_path / "nosuch.wav"])
    with pytest.raises(DeviceError, match="there is no recording in"):
        ReplaySource([tmp_path])
    with pytest.raises(DeviceError, match="there is no recording in nothing"):
        ReplaySource([])


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.raw", "a.mp3"])
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, *UNTIMED],
)
@given(content=st.binary(max_size=300))
def test_what_is_not_audio_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x00" + content)
    with pytest.raises(DeviceError, match=name.replace(".", r"\.")):
        ReplaySource([path])


def test_an_empty_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(DeviceError, match=r"a\.wav is empty"):
        ReplaySource([tmp_path])
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE_HZ)
    with pytest.raises(DeviceError, match=r"a\.wav holds no samples"):
        ReplaySource([tmp_path])


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_of_a_truncated_recording_the_part_that_is_there_is_heard(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    noise = 0.3 * np.random.default_rng(0).standard_normal(3 * RATE_HZ)
    soundfile.write(path, noise, RATE_HZ)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    got, source = periods([path])
    assert sum(len(period.samples) for period in got) == pytest.approx(1.5 * RATE_HZ, rel=0.2)
    (note,) = source.notes
    assert name in note
    assert "truncated" in note


def test_a_whole_recording_has_no_notes(tmp_path: Path) -> None:
    for name in ("a.wav", "b.flac", "c.ogg", "d.mp3"):
        soundfile.write(tmp_path / name, wave(RATE_HZ), RATE_HZ)
    assert periods([tmp_path])[1].notes == ()


def test_a_header_with_nothing_behind_it_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", wave(), RATE_HZ)
    (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:100])
    with pytest.raises(DeviceError, match=r"a\.flac"):
        ReplaySource([tmp_path])


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
class TestFfmpeg:
    """What soundfile can't read."""

    def recording(self, tmp_path: Path, name: str, seconds: int = 1) -> Path:
        soundfile.write(tmp_path / "x.wav", wave(seconds * RATE_HZ, 2), RATE_HZ)
        command = ["ffmpeg", "-v", "error", "-i", tmp_path / "x.wav", tmp_path / name]
        subprocess.run(command, check=True)
        return tmp_path / name

    @pytest.mark.parametrize("name", ["a.m4a", "-a.mka", "file:a b.m4a"])
    def test_other_formats_are_heard_through_it(self, tmp_path: Path, name: str) -> None:
        made = self.recording(tmp_path, "made." + name.rpartition(".")[2])
        path = made.rename(tmp_path / name)
        got, source = periods([path])
        samples = np.concatenate([period.samples for period in got])
        assert (source.format.rate_hz, source.format.channels) == (RATE_HZ, 2)
        assert source.notes == ()
        middle = samples[4000:12000, 1]
        assert np.argmax(np.abs(np.fft.rfft(middle))) == 220
        assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)

    def test_what_it_complains_of_is_noted(self, tmp_path: Path) -> None:
        path = self.recording(tmp_path, "a.mka", seconds=20)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        got, source = periods([path])
        assert 0 < sum(len(period.samples) for period in got) < 20 * RATE_HZ
        (note,) = source.notes
        assert "a.mka is damaged" in note

    def test_closing_early_ends_it(self, tmp_path: Path) -> None:
        source = ReplaySource([self.recording(tmp_path, "a.m4a")], pace="fast", period_size=100)
        source.read()
        source.close()
        assert source.read() is None or len(source.read() or []) == 0


def test_in_fast_pace_time_is_the_sample_index(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", wave(2500), RATE_HZ)
    got, _ = periods([tmp_path], period_size=1000)
    assert [period.mono_s for period in got] == [1000 / RATE_HZ, 2000 / RATE_HZ, 2500 / RATE_HZ]


def test_in_real_pace_no_sample_comes_before_its_time(tmp_path: Path) -> None:
    """... and a reader that was late catches up, so that nothing drifts."""
    soundfile.write(tmp_path / "a.wav", wave(4000), RATE_HZ)
    with ReplaySource([tmp_path / "a.wav"], period_size=400) as source:
        begun_s = time.monotonic()
        for _ in range(10):
            period = source.read()
            assert isinstance(period, Period)
            due_s = begun_s + (period.sample_index + 400) / RATE_HZ
            assert due_s <= period.mono_s <= time.monotonic()
            if period.sample_index == 400:
                time.sleep(0.1)
                late_s = period.mono_s
        assert late_s < period.mono_s


def test_an_mp3_read_in_periods_sounds_as_it_does_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "tone.mp3"
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    soundfile.write(path, tone, 44100, format="MP3")
    with ReplaySource([path], period_size=1024, pace="fast", rate_hz=None) as source:
        heard = []
        while isinstance(item := source.read(), Period):
            heard.append(item.samples[:, 0].copy())
    whole, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(np.concatenate(heard), whole, atol=1e-4)
