# SPDX-License-Identifier: MIT
from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.playback.resample import MAX_TRIM, AdaptiveResampler

RATES = [(48000, 48000), (16000, 48000), (48000, 44100), (44100, 48000), (8000, 48000)]
DOWN = [(192000, 48000), (192000, 8000), (48000, 16000)]


def resampled(
    x: np.ndarray, in_rate_hz: int, out_rate_hz: int, trims: np.ndarray, period_size: int = 120
) -> tuple[np.ndarray, np.ndarray]:
    """Return the output and the place in the input, in s, that each sample of it stands for."""
    stream = AdaptiveResampler(in_rate_hz, out_rate_hz, period_size)
    at, out, places = -stream.delay_s, [], []
    for number, start in enumerate(range(0, len(x), period_size)):
        part = stream.process(x[start : start + period_size], float(trims[number])).copy()
        step_s = (1 + trims[number]) / out_rate_hz
        places.append(at + step_s * np.arange(len(part)))
        at += step_s * len(part)
        out.append(part)
    return np.concatenate(out), np.concatenate(places)


def tone_to_rest_db(in_rate_hz: int, out_rate_hz: int, trims: np.ndarray) -> float:
    """Return how far distortion and noise of a 1 kHz tone are under it."""
    n_samples = len(trims) * 120
    tone = 0.5 * np.sin(2 * np.pi * 1000 / in_rate_hz * np.arange(n_samples))
    out, at_s = resampled(tone.astype(np.float32), in_rate_hz, out_rate_hz, trims)
    ideal = 0.5 * np.sin(2 * np.pi * 1000 * at_s)
    rest = (out - ideal)[at_s > 0.01]
    return float(10 * np.log10(np.mean(rest**2) / np.mean(ideal**2)))


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), RATES + DOWN)
def test_a_tone_stays_pure_while_the_ratio_moves(in_rate_hz: int, out_rate_hz: int) -> None:
    """THD+N under -80 dB, with the trim swinging by 300 ppm every second."""
    periods = 3 * in_rate_hz // 120
    trims = 300e-6 * np.sin(2 * np.pi * np.arange(periods) * 120 / in_rate_hz)
    assert tone_to_rest_db(in_rate_hz, out_rate_hz, trims) < -80


def test_between_equal_rates_it_stays_purer_still() -> None:
    trims = np.full(400, 200e-6)
    assert tone_to_rest_db(48000, 48000, trims) < -92


@pytest.mark.parametrize(("in_rate_hz", "out_rate_hz"), RATES + DOWN)
@pytest.mark.parametrize("trim", [-MAX_TRIM, 0.0, MAX_TRIM])
def test_it_gives_as_many_samples_as_the_ratio_says(
    in_rate_hz: int, out_rate_hz: int, trim: float
) -> None:
    periods = 400
    x = np.zeros(periods * 120, np.float32)
    out, _ = resampled(x, in_rate_hz, out_rate_hz, np.full(periods, trim))
    assert len(out) == pytest.approx(len(x) * out_rate_hz / in_rate_hz / (1 + trim), abs=2)


@settings(deadline=None)
@given(st.lists(st.integers(0, 1500), min_size=1, max_size=8), st.sampled_from(RATES + DOWN))
def test_any_cut_gives_the_same(cuts: list[int], rates: tuple[int, int]) -> None:
    x = np.random.default_rng(1).standard_normal(sum(cuts)).astype(np.float32)
    whole = AdaptiveResampler(*rates, max(len(x), 1)).process(x, 1e-4)
    stream = AdaptiveResampler(*rates, 1500)
    bounds = np.cumsum([0, *cuts])
    parts = [stream.process(x[a:b], 1e-4).copy() for a, b in itertools.pairwise(bounds)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-5)


@pytest.mark.parametrize(("freq_hz", "least_db"), [(20, -0.1), (10000, -0.1), (19000, -0.1)])
def test_it_is_flat_to_four_tenths_of_the_rate(freq_hz: float, least_db: float) -> None:
    tone = np.sin(2 * np.pi * freq_hz / 48000 * np.arange(48000)).astype(np.float32)
    out, _ = resampled(tone, 48000, 48000, np.full(400, 1e-4))
    level_db = 10 * np.log10(2 * np.mean(np.square(out[4800:], dtype=np.float64)))
    assert least_db < level_db < 0.1


def test_a_higher_tone_than_the_output_can_have_is_gone() -> None:
    tone = np.sin(2 * np.pi * 5500 / 48000 * np.arange(48000)).astype(np.float32)
    out, _ = resampled(tone, 48000, 8000, np.zeros(400))
    assert np.abs(out[800:]).max() < 1e-3
