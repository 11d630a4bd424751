# SPDX-License-Identifier: MIT
"""Steady noise goes, the sound stays, and no cut of the samples shows."""

import dataclasses
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from edge.dsp.clean_spec import NoiseSpec
from edge.dsp.noise import NoiseReducer, reduce_noise
from edge.dsp.noise_gain import exponential_integral

METHODS: tuple[Literal["logmmse", "wiener", "subtract"], ...] = ("logmmse", "wiener", "subtract")
RATE_HZ = 16000


def white(n: int, rms: float = 0.05, seed: int = 3) -> NDArray[np.float32]:
    return (rms * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def power_db(x: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(x.astype(np.float64) ** 2) + 1e-30))


def streamed(
    reducer: NoiseReducer, x: NDArray[np.float32], sizes: list[int]
) -> NDArray[np.float32]:
    cuts = np.split(x, np.cumsum(sizes)[:-1])
    parts = [reducer.process(cut).copy() for cut in cuts]
    return np.concatenate([*parts, reducer.flush()])


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 2500), min_size=1, max_size=12),
    method=st.sampled_from(METHODS),
    rate_hz=st.sampled_from([8000, 11025, 16000, 44100]),
)
def test_any_cut_gives_the_same_and_as_many_samples(
    sizes: list[int], method: Literal["logmmse", "wiener", "subtract"], rate_hz: int
) -> None:
    x = white(sum(sizes))
    x[len(x) // 2 :] *= 4
    spec = NoiseSpec(method=method, window_s=0.02)
    got = streamed(NoiseReducer(spec, rate_hz, 2500), x, sizes)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, reduce_noise(x, rate_hz, spec))
    assert got.size == x.size


@pytest.mark.parametrize("rate_hz", [8000, 22050, 48000, 192000])
def test_with_nothing_to_take_away_the_samples_come_back(rate_hz: int) -> None:
    x = white(rate_hz // 2)
    np.testing.assert_allclose(reduce_noise(x, rate_hz, NoiseSpec(floor_db=0.0)), x, atol=3e-7)


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000])
def test_an_output_waits_for_no_more_than_the_stated_delay(rate_hz: int) -> None:
    """One sample at a time: after input k + delay output k is there, and once just then."""
    reducer = NoiseReducer(NoiseSpec(window_s=0.01), rate_hz, 1)
    waits, n_out = [], 0
    for n_in, sample in enumerate(white(4000), start=1):
        n_new = reducer.process(np.array([sample])).size
        waits += [n_in - 1 - k for k in range(n_out, n_out + n_new)]
        n_out += n_new
    assert max(waits) == reducer.delay_samples < 0.01 * rate_hz


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000, 192000])
@pytest.mark.parametrize("method", ["logmmse", "wiener"])
def test_steady_noise_loses_over_15_db(method: Literal["logmmse", "wiener"], rate_hz: int) -> None:
    noise = white(4 * rate_hz)
    quiet = reduce_noise(noise, rate_hz, NoiseSpec(method=method))
    tail = slice(rate_hz, None)
    assert power_db(noise[tail]) - power_db(quiet[tail]) > 15.0


def test_no_more_is_taken_than_the_floor_says() -> None:
    noise = white(4 * RATE_HZ)
    quiet = reduce_noise(noise, RATE_HZ, NoiseSpec(floor_db=-6.0))
    assert power_db(noise) - power_db(quiet) <= 6.1


def test_more_over_subtraction_quiets_more() -> None:
    noise = white(3 * RATE_HZ)
    few, many = (
        reduce_noise(noise, RATE_HZ, NoiseSpec(method="subtract", over_subtraction=times))
        for times in (1.0, 4.0)
    )
    assert power_db(few) - power_db(many) > 6.0


@pytest.mark.parametrize("method", METHODS)
def test_a_burst_30_db_over_the_noise_is_kept(
    method: Literal["logmmse", "wiener", "subtract"],
) -> None:
    x = white(4 * RATE_HZ, 0.003)
    at = slice(3 * RATE_HZ, 3 * RATE_HZ + RATE_HZ // 4)
    burst = white(RATE_HZ // 4, 0.1, seed=9)
    x[at] += burst
    heard = reduce_noise(x, RATE_HZ, NoiseSpec(method=method))[at]
    assert power_db(heard - burst) - power_db(burst) < -20.0


def test_a_noise_that_has_grown_louder_is_noise_after_the_memory() -> None:
    x = np.concatenate([white(3 * RATE_HZ, 0.001), white(8 * RATE_HZ, 0.1, seed=4)])
    quiet = reduce_noise(x, RATE_HZ, NoiseSpec(memory_s=2.0))
    last = slice(-2 * RATE_HZ, None)
    assert power_db(x[last]) - power_db(quiet[last]) > 10.0


@pytest.mark.parametrize("fades", [False, True])
def test_a_muted_microphone_is_no_quieter_noise(fades: bool) -> None:  # noqa: FBT001
    """What a filter before it still rings with is no noise either."""
    x = white(12 * RATE_HZ, 0.003)
    mute = slice(5 * RATE_HZ, 9 * RATE_HZ)
    ringing = 1e-2 * np.exp(-np.arange(4 * RATE_HZ) / (0.0225 * RATE_HZ))
    x[mute] = np.where(ringing > 1e-20, ringing, 0.0) if fades else 0.0
    quiet = reduce_noise(x, RATE_HZ, NoiseSpec())
    for second in (9, 10, 11):
        at = slice(second * RATE_HZ, (second + 1) * RATE_HZ)
        assert power_db(x[at]) - power_db(quiet[at]) > 10.0, second


def test_noise_that_follows_digital_silence_is_noise_after_the_memory() -> None:
    x = np.concatenate([np.zeros(2 * RATE_HZ, np.float32), white(8 * RATE_HZ)])
    quiet = reduce_noise(x, RATE_HZ, NoiseSpec(memory_s=2.0))
    last = slice(-2 * RATE_HZ, None)
    assert power_db(x[last]) - power_db(quiet[last]) > 10.0


@settings(max_examples=30, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    rate_hz=st.sampled_from([8000, 48000, 192000]),
    kind=st.sampled_from(["silence", "denormals", "dc", "square", "steps", "wild"]),
    over_subtraction=st.sampled_from([0.5, 1.2, 10.0]),
)
def test_whatever_comes_the_output_is_finite_and_holds_no_more_energy(
    method: Literal["logmmse", "wiener", "subtract"],
    rate_hz: int,
    kind: str,
    over_subtraction: float,
) -> None:
    n = rate_hz
    x = {
        "silence": np.zeros(n, np.float32),
        "denormals": np.full(n, 1e-41, np.float32),
        "dc": np.ones(n, np.float32),
        "square": np.sign(np.sin(np.arange(n) * 0.05 + 0.1)).astype(np.float32),
        "steps": white(n) * np.repeat(np.float32([1e-6, 1, 0, 1e-3]), -(-n // 4))[:n],
        "wild": 64.0 * np.sign(white(n)),
    }[kind].astype(np.float32)
    spec = NoiseSpec(method=method, over_subtraction=over_subtraction)
    with np.errstate(all="raise", under="ignore"):
        y = reduce_noise(x, rate_hz, spec)
    assert np.isfinite(y).all()
    assert np.linalg.norm(y) <= np.linalg.norm(x) * (1 + 1e-5)


def test_after_a_reset_or_a_flush_the_past_is_forgotten() -> None:
    x = white(5000)
    reducer = NoiseReducer(NoiseSpec(), RATE_HZ, 5000)
    reducer.process(white(5000, 1.0, seed=5))
    reducer.reset()
    once = streamed(reducer, x, [5000])
    np.testing.assert_array_equal(streamed(reducer, x, [5000]), once)
    np.testing.assert_array_equal(once, reduce_noise(x, RATE_HZ, NoiseSpec()))


def test_the_exponential_integral_is_scipys() -> None:
    x = np.logspace(-6, 1.7, 400)
    np.testing.assert_allclose(exponential_integral(x), special.exp1(x), rtol=2e-5, atol=3e-7)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "magic"},
        {"over_subtraction": 0.0},
        {"floor_db": 3.0},
        {"window_s": 1.0},
        {"memory_s": float("nan")},
    ],
)
def test_a_spec_that_cant_be_is_refused_by_name(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        NoiseReducer(dataclasses.replace(NoiseSpec(), **change), RATE_HZ, 100)


def test_windows_and_calls_that_cant_be_are_refused() -> None:
    with pytest.raises(ValueError, match="under 16 samples"):
        NoiseReducer(NoiseSpec(window_s=0.004), 2000, 100)
    with pytest.raises(ValueError, match="max_samples"):
        NoiseReducer(NoiseSpec(), RATE_HZ, 0)
    with pytest.raises(ValueError, match="101 samples"):
        NoiseReducer(NoiseSpec(), RATE_HZ, 100).process(white(101))


def test_a_sound_that_comes_and_goes_is_no_noise_however_long_it_does() -> None:
    """Half a second on, half off, for 24 s: four times as long as what sounds on is noise."""
    n = 24 * RATE_HZ
    at = np.arange(n)
    on = at // (RATE_HZ // 2) % 2 == 0
    beeps = (0.3 * np.sin(2 * np.pi * 1000.0 * at / RATE_HZ) * on).astype(np.float32)
    cleaned = reduce_noise(beeps + white(n, rms=0.01), RATE_HZ, NoiseSpec())
    last = slice(22 * RATE_HZ, None)
    heard = cleaned[last][on[last]]
    assert power_db(heard) == pytest.approx(power_db(beeps[last][on[last]]), abs=1.0)


def test_a_steady_sound_shorter_than_the_memory_is_kept_whole() -> None:
    """The minimum of the whole memory counts, not that of its newest or loudest stretch."""
    x = white(9 * RATE_HZ, 0.003)
    sound = slice(4 * RATE_HZ, 8 * RATE_HZ)
    x[sound] *= 30.0
    late = slice(7 * RATE_HZ, round(7.8 * RATE_HZ))
    y = reduce_noise(x, RATE_HZ, NoiseSpec(memory_s=6.0))
    assert power_db(y[late]) > power_db(x[late]) - 1.0
