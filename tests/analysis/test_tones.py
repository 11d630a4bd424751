# SPDX-License-Identifier: MIT
"""Tones are found to a cent, with their level, their time and their drift."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.analysis.segment import Options, analyse_segment
from edge.analysis.tones import Tones, note_name


def tones(samples: NDArray[np.float64], rate_hz: int = 22050) -> Tones:
    return analyse_segment(samples.astype(np.float32), rate_hz, Options()).tones


def sine(frequency_hz: float, rate_hz: int = 22050, seconds: float = 3.0) -> NDArray[np.float64]:
    return np.sin(2.0 * np.pi * frequency_hz * np.arange(int(seconds * rate_hz)) / rate_hz)


def cents(frequency_hz: float, true_hz: float) -> float:
    return 1200.0 * math.log2(frequency_hz / true_hz)


@settings(max_examples=25, deadline=None)
@given(
    log_hz=st.floats(math.log(60.0), math.log(3500.0)),
    rate_hz=st.sampled_from([8000, 16000, 22050, 48000]),
)
def test_a_tone_is_found_to_a_cent(log_hz: float, rate_hz: int) -> None:
    """In noise 40 dB below, at any place between the bins of any rate."""
    true_hz = math.exp(log_hz)
    clean = 0.1 * sine(true_hz, rate_hz)
    noise = 1e-3 * np.random.default_rng(14).standard_normal(clean.size)
    tone = tones(clean + noise, rate_hz).tones[0]
    assert abs(cents(tone.frequency_hz, true_hz)) < 1.0
    assert tone.level_dbfs == pytest.approx(-23.01, abs=0.1)
    assert tone.time_share > 0.95
    assert tone.drift_cents_per_s == pytest.approx(0.0, abs=1.0)


def test_the_partials_of_a_hum_come_strongest_first() -> None:
    hum = sum(0.2 / k * sine(50.0 * k, seconds=5.0) for k in (2, 4, 6))
    found = tones(hum).tones
    assert [round(tone.frequency_hz) for tone in found] == [100, 200, 300]
    assert [tone.note for tone in found] == ["G2 +35", "G3 +35", "D4 +37"]


def test_a_gliding_machine_drifts() -> None:
    """20 cents a second from 440 Hz on: each part of the glide says so."""
    time_s = np.arange(5 * 22050) / 22050
    phase = 2.0 * np.pi * np.cumsum(440.0 * 2.0 ** (20.0 * time_s / 1200.0)) / 22050
    tone = tones(0.1 * np.sin(phase)).tones[0]
    assert tone.drift_cents_per_s == pytest.approx(20.0, abs=1.0)


def test_a_tone_that_sounds_a_third_of_the_time_says_so() -> None:
    """Its level is that while it sounds."""
    whole = 0.1 * sine(1000.0, seconds=6.0)
    whole[2 * 22050 :] = 0.0
    tone = tones(whole).tones[0]
    assert tone.time_share == pytest.approx(1.0 / 3.0, abs=0.03)
    assert tone.level_dbfs == pytest.approx(-23.01, abs=0.5)


def test_noise_has_no_tones() -> None:
    for color in (0.0, 1.0):
        spectrum = np.fft.rfft(np.random.default_rng(15).standard_normal(5 * 22050))
        spectrum /= np.maximum(np.arange(spectrum.size), 1.0) ** color
        noise = np.fft.irfft(spectrum)
        heard = tones(0.1 * noise / noise.std())
        assert heard.tonality is not None
        assert heard.tonality < 0.1
        assert all(tone.time_share < 0.1 for tone in heard.tones)


def test_tonality_is_the_share_of_the_energy() -> None:
    """A tone of as much energy as the noise around it."""
    noise = 0.1 * np.random.default_rng(16).standard_normal(3 * 22050)
    heard = tones(noise + 0.1 * math.sqrt(2.0) * sine(1500.0))
    assert heard.tonality == pytest.approx(0.5, abs=0.04)
    assert tones(0.1 * sine(1500.0)).tonality == pytest.approx(1.0, abs=0.02)


def test_clicks_are_no_tones() -> None:
    clicks = np.zeros(3 * 22050)
    clicks[4000::9000] = 0.9
    assert tones(clicks).tones == ()


@pytest.mark.parametrize(
    ("frequency_hz", "name"),
    [
        (440.0, "A4 +0"),
        (261.6256, "C4 +0"),
        (32.7032, "C1 +0"),
        (450.0, "A4 +39"),
        (430.0, "A4 -40"),
        (466.1638, "A♯4 +0"),
        (246.0, "B3 -7"),
        (16.3516, "C0 +0"),
    ],
)
def test_notes_have_their_names(frequency_hz: float, name: str) -> None:
    assert note_name(frequency_hz) == name
