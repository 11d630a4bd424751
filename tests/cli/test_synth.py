# SPDX-License-Identifier: MIT
"""What `edge synth` writes, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from edge.errors import EXIT_DEVICE, EXIT_OK, EXIT_STORAGE, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Done

    Edge = Callable[..., Done]


def made(edge: Edge, command: str, *options: str) -> tuple[np.ndarray, int]:
    done = edge("synth", command, "x.wav", *options)
    assert done.returncode == EXIT_OK, done.stderr
    return soundfile.read("x.wav")


def level_dbfs(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples))))


def freq_hz(samples: np.ndarray, rate_hz: int) -> float:
    """Return the strongest frequency, to a tenth of a bin of a Hann window."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    k = int(spectrum.argmax())
    a, b, c = np.log(spectrum[k - 1 : k + 2])
    return float((k + 0.5 * (a - c) / (a - 2 * b + c)) * rate_hz / len(samples))


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000, 192000])
@pytest.mark.parametrize("level", [-3.02, -20, -60])
def test_a_tone_has_its_frequency_and_its_level(edge: Edge, rate_hz: int, level: float) -> None:
    samples, rate = made(edge, "tone", "--rate", rate_hz, "--level", level, "--seconds", "2")
    assert (rate, len(samples)) == (rate_hz, 2 * rate_hz)
    steady = samples[rate // 10 : -rate // 10]
    assert level_dbfs(steady) == pytest.approx(level, abs=0.01)
    assert freq_hz(steady, rate) == pytest.approx(1000, abs=0.05)


def test_a_tone_fades_in_and_out_so_that_nothing_clicks(edge: Edge) -> None:
    samples, _ = made(edge, "tone", "--freq", "1000.7", "--seconds", "1", "--level", "-6")
    assert np.abs(samples[[0, -1]]).max() < 1e-3
    # No step between two samples is greater than the tone's own greatest.
    steepest = np.abs(np.diff(samples[4800:9600])).max()
    assert np.abs(np.diff(samples)).max() < 1.01 * steepest


def test_a_sweep_takes_as_long_for_each_octave(edge: Edge) -> None:
    options = ("--from", "100", "--to", "6400", "--seconds", "6", "--level", "-10")
    samples, rate = made(edge, "sweep", *options)
    assert level_dbfs(samples[rate : 5 * rate]) == pytest.approx(-10, abs=0.05)
    for second in range(6):
        middle = round((second + 0.5) * rate)
        around = samples[middle - 2400 : middle + 2400]
        assert freq_hz(around, rate) == pytest.approx(100 * 2 ** (second + 0.5), rel=0.02)


@pytest.mark.parametrize(("colour", "slope_db"), [("white", 0.0), ("pink", -3.01)])
def test_noise_has_its_level_and_its_slope(edge: Edge, colour: str, slope_db: float) -> None:
    samples, rate = made(edge, "noise", "--colour", colour, "--seconds", "20", "--level", "-30")
    assert level_dbfs(samples) == pytest.approx(-30, abs=0.1)
    power = np.square(np.abs(np.fft.rfft(samples)))
    hz = np.fft.rfftfreq(len(samples), 1 / rate)
    octaves = [power[(hz >= low) & (hz < 2 * low)].mean() for low in 125.0 * 2 ** np.arange(6)]
    slopes_db = 10 * np.diff(np.log10(octaves))
    assert slopes_db == pytest.approx([slope_db] * 5, abs=0.3)


def test_noise_is_the_same_for_the_same_seed(edge: Edge) -> None:
    one, other, again = (made(edge, "noise", "--seed", seed)[0] for seed in (1, 2, 1))
    assert (one == again).all()
    assert (one != other).any()


@pytest.mark.parametrize("burst_ms", [200, 50, 10, 1])
@pytest.mark.parametrize("rate_hz", [44100, 48000])
def test_tonebursts_are_as_long_as_they_are_told(edge: Edge, burst_ms: int, rate_hz: int) -> None:
    """To the sample: what is not sounding is zero to the bit."""
    options = ("--burst-ms", burst_ms, "--spacing-ms", "500", "--level", "-10", "--seconds", "2")
    samples, rate = made(edge, "bursts", *options, "--rate", rate_hz)
    for number in range(4):
        start = round(number * 0.5 * rate)
        burst = samples[start : start + rate // 2]
        sounding = np.flatnonzero(burst)
        assert sounding[0] <= 2
        assert sounding[-1] + 1 == pytest.approx(burst_ms / 1000 * rate, abs=2)
        # A burst's energy is the steady tone's times its length: IEC 61672-1's reference.
        energy_db = 10 * np.log10(np.sum(burst**2) / (burst_ms / 1000 * rate))
        assert energy_db == pytest.approx(-10, abs=0.02)
    assert freq_hz(samples[: round(burst_ms / 1000 * rate)], rate) == pytest.approx(4000, rel=0.02)


def test_a_two_tone_alarm_takes_turns_without_a_jump(edge: Edge) -> None:
    samples, rate = made(edge, "alarm", "--seconds", "2", "--level", "-10")
    heard = [freq_hz(samples[n * rate // 2 + 2400 : n * rate // 2 + 21600], rate) for n in range(4)]
    assert heard == pytest.approx([800, 1000, 800, 1000], abs=0.2)
    assert level_dbfs(samples[4800:-4800]) == pytest.approx(-10, abs=0.02)
    steepest = np.abs(np.diff(samples[30000:40000])).max()
    assert np.abs(np.diff(samples)).max() < 1.01 * steepest


def test_a_temporal_three_alarm_has_its_pattern(edge: Edge) -> None:
    samples, rate = made(edge, "alarm", "--pattern", "temporal-three", "--seconds", "8")
    half_seconds = samples.reshape(16, rate // 2)
    loud = [bool(np.abs(half).max() > 0.01) for half in half_seconds]
    assert loud == [True, False] * 3 + [False] * 2 + [True, False] * 3 + [False] * 2
    # The edges are soft: half a cosine of 5 ms each takes 1/160 of the half second's power.
    assert level_dbfs(half_seconds[2]) == pytest.approx(-20.05, abs=0.03)
    assert np.abs(np.diff(samples)).max() < 0.1 * 2 * np.pi * 520 / rate * np.sqrt(2) * 1.01


@pytest.mark.parametrize(
    ("suffix", "subtype"), [(".wav", "PCM_24"), (".flac", "PCM_24"), (".raw", "PCM_16")]
)
def test_every_container_holds_the_same(edge: Edge, suffix: str, subtype: str) -> None:
    name = f"tone{suffix}"
    assert edge("synth", "tone", name, "--seconds", "1").returncode == EXIT_OK
    if suffix == ".raw":
        samples = np.fromfile(name, "<i2") / 32768
    else:
        assert soundfile.info(name).subtype == subtype
        samples, _ = soundfile.read(name)
    assert level_dbfs(samples[4800:-4800]) == pytest.approx(-20, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["tone"], EXIT_USAGE, "name a FILE, or --play"),
        (["tone", "x.wav", "--level", "-1"], EXIT_USAGE, "take 2.0 dB off"),
        (["tone", "x.wav", "--freq", "30000"], EXIT_USAGE, "half the rate, 24000 Hz"),
        (["sweep", "x.wav", "--from", "900", "--to", "90"], EXIT_USAGE, "not below --to"),
        (["bursts", "x.wav", "--burst-ms", "1000"], EXIT_USAGE, "not below --spacing-ms"),
        (["noise", "x.wav", "--level", "-3"], EXIT_USAGE, "clipped"),
        (["alarm", "x.mp3"], EXIT_STORAGE, "no suffix that is known"),
        (["alarm", "nowhere/x.wav"], EXIT_STORAGE, "can't be written"),
        (["alarm", "--play", "nosuchcard"], EXIT_DEVICE, "nosuchcard can't be opened"),
    ],
)
def test_what_can_not_be_made_is_refused_and_nothing_is_written(
    edge: Edge, arguments: list[str], code: int, word: str
) -> None:
    done = edge("synth", *arguments)
    assert done.returncode == code
    assert word in done.stderr
    assert not list(Path().glob("x.*"))


def test_played_it_is_what_would_be_written(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "asound.conf"
    config.write_text(
        f'</usr/share/alsa/alsa.conf>\npcm.heard {{ type file slave.pcm "null" '
        f'file "{tmp_path}/heard.raw" format "raw" }}\n'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(config))
    done = edge("synth", "bursts", "x.wav", "--seconds", "0.3", "--play", "heard")
    assert done.returncode == EXIT_OK, done.stderr
    heard = np.fromfile(tmp_path / "heard.raw", "<i4")[:14400] / 2**31
    written, _ = soundfile.read("x.wav")
    np.testing.assert_allclose(heard, written, atol=2**-22)
