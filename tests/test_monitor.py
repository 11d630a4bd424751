# SPDX-License-Identifier: MIT
from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dsp.clean import Cleaner
from edge.dsp.clean_spec import AdaptiveSpec, NoiseSpec
from edge.dsp.design import chain_sos
from edge.dsp.filters import filter_samples
from edge.dsp.noise import reduce_noise
from edge.monitor import Monitor
from edge.types import FilterSpec, StreamFormat

FORMAT = StreamFormat(48000, 2, 120, "S16_LE")
SOS = chain_sos([FilterSpec("highpass", 100.0), FilterSpec("peaking", 1000.0, 2.0, 6.0)], 48000)


def captured(n_samples: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-9000, 9000, (n_samples, 2)).astype(np.int16)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 120), min_size=1, max_size=30))
def test_any_cut_of_the_periods_is_heard_the_same_and_as_the_chain_says(cuts: list[int]) -> None:
    samples = captured(sum(cuts))
    monitor = Monitor(FORMAT, SOS, channel=1, gain_db=-6.0)
    bounds = np.cumsum([0, *cuts])
    parts = [monitor.process(samples[a:b]).copy() for a, b in itertools.pairwise(bounds)]
    mono = samples[:, 1].astype(np.float32) * np.float32(10**-0.3 / 32768)
    # It starts settled on the mean of its first samples, which a high-pass takes away.
    first = next((n for n in cuts if n), 0)
    offset = mono[:first].mean() if first else 0.0
    expected = filter_samples(SOS, mono - offset)
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=2e-5)


def test_without_filters_it_is_the_mean_of_the_channels() -> None:
    samples = captured(120)
    heard = Monitor(FORMAT, np.zeros((0, 6))).process(samples)
    np.testing.assert_allclose(heard, samples.mean(axis=1) / 32768, atol=1e-6)


def test_an_offset_of_the_microphone_does_not_click_at_the_start_nor_after_a_gap() -> None:
    monitor = Monitor(FORMAT, SOS)
    offset = np.full((120, 2), 8000, np.int16)
    for _ in range(2):
        heard = [np.abs(monitor.process(offset)).max() for _ in range(20)]
        assert max(heard) < 1e-4
        monitor.restart()


def test_a_cleaner_comes_after_the_filters_and_hears_the_reference() -> None:
    """The reference is the sound itself here: it is taken away."""
    samples = np.repeat(captured(96_000)[:, :1], 2, axis=1)
    cleaner = Cleaner(AdaptiveSpec(guard=np.inf), None, 48000, 120)
    monitor = Monitor(FORMAT, SOS, channel=0, cleaner=cleaner, reference=1)
    heard = [monitor.process(samples[k : k + 120]).copy() for k in range(0, 96_000, 120)]
    assert np.std(heard[-1]) < 0.1 * np.std(samples / 32768)


def test_an_offset_of_the_reference_keeps_nothing_from_being_learnt() -> None:
    rng = np.random.default_rng(4)
    fan = 0.01 * rng.standard_normal(5 * 48000) + 0.05
    samples = np.round(np.stack([fan, fan], axis=1) * 32768).astype(np.int16)
    cleaner = Cleaner(AdaptiveSpec(), None, 48000, 120)
    monitor = Monitor(FORMAT, SOS, channel=0, cleaner=cleaner, reference=1)
    heard = [monitor.process(samples[k : k + 120]).copy() for k in range(0, len(samples), 120)]
    assert np.std(np.concatenate(heard[-400:])) < 0.1 * 0.01


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 120), min_size=1, max_size=8))
def test_what_is_cleaned_comes_as_it_is_captured_and_always_as_late(cuts: list[int]) -> None:
    """No burst and no pause, which a card's short queue would not survive; behind a gap too."""
    samples = captured(24_000)
    cleaner = Cleaner(None, NoiseSpec(), 48000, 120)
    monitor = Monitor(FORMAT, np.zeros((0, 6)), channel=0, cleaner=cleaner)
    expected = reduce_noise(samples[:, 0].astype(np.float32) / 32768, 48000, NoiseSpec())
    sizes = itertools.cycle([*cuts, 120])
    for _ in range(2):
        heard, at = [], 0
        while at < len(samples):
            n = min(next(sizes), len(samples) - at)
            heard.append(monitor.process(samples[at : at + n]).copy())
            assert len(heard[-1]) == n
            at += n
        late = np.concatenate(heard)
        assert not late[: cleaner.delay_samples].any()
        wanted = expected[: len(late) - cleaner.delay_samples]
        np.testing.assert_allclose(late[cleaner.delay_samples :], wanted, atol=1e-6)
        monitor.restart()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_what_is_no_sound_is_silence_and_is_forgotten(bad: float) -> None:
    monitor = Monitor(StreamFormat(48000, 1, 120, "FLOAT_LE"), SOS)
    samples = np.zeros((120, 1), np.float32)
    samples[5] = bad
    assert np.isfinite(monitor.process(samples)).all()
    assert not monitor.process(np.zeros((120, 1), np.float32)).any()
