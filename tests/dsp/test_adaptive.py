# SPDX-License-Identifier: MIT
"""What a reference foretells goes, other sounds stay, and nothing blows up."""

import dataclasses
import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from edge.dsp.adaptive import AdaptiveFilter, cancel
from edge.dsp.adaptive_engine import NlmsEngine
from edge.dsp.clean_spec import LINE, AdaptiveSpec

Float32 = NDArray[np.float32]
RATE_HZ = 16000
METHODS = ("nlms", "frequency", "line")
NLMS = AdaptiveSpec(method="nlms", length_s=0.016)
FREQUENCY = AdaptiveSpec(length_s=0.032)


def white(n: int, rms: float = 0.1, seed: int = 3) -> Float32:
    return (rms * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def room(n_taps: int, seed: int = 5) -> NDArray[np.float64]:
    """Return a path of reflections that die away within n_taps."""
    taps = np.random.default_rng(seed).standard_normal(n_taps)
    taps *= np.exp(-6.0 * np.arange(n_taps) / n_taps)
    return taps / np.sqrt(np.sum(taps**2))


def through(path: NDArray[np.float64], x: Float32) -> Float32:
    return np.convolve(x, path)[: x.size].astype(np.float32) if x.size else x


def lowered_db(x: Float32, y: Float32, part: slice) -> float:
    return float(10 * np.log10(np.mean(x[part] ** 2.0) / np.mean(y[part] ** 2.0)))


def streamed(adaptive: AdaptiveFilter, x: Float32, r: Float32 | None, sizes: list[int]) -> Float32:
    parts, at = [], 0
    for size in sizes:
        part = None if r is None else r[at : at + size]
        parts.append(adaptive.process(x[at : at + size], part).copy())
        at += size
    return np.concatenate([*parts, adaptive.flush()])


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 1500), min_size=1, max_size=12),
    method=st.sampled_from(METHODS),
    rate_hz=st.sampled_from([8000, 11025, 48000]),
)
def test_any_cut_gives_the_same_and_as_many_samples(
    sizes: list[int], method: Literal["nlms", "frequency", "line"], rate_hz: int
) -> None:
    reference = white(sum(sizes))
    x = through(room(60), reference)
    spec = AdaptiveSpec(method=method, length_s=0.01)
    given_ = None if method == "line" else reference
    got = streamed(AdaptiveFilter(spec, rate_hz, 1500), x, given_, sizes)
    assert got.dtype == np.float32
    assert got.size == x.size
    np.testing.assert_array_equal(got, cancel(x, given_, rate_hz, spec))


@pytest.mark.parametrize("method", METHODS)
def test_an_output_waits_for_no_more_than_the_stated_delay(
    method: Literal["nlms", "frequency", "line"],
) -> None:
    adaptive = AdaptiveFilter(AdaptiveSpec(method=method, length_s=0.01), RATE_HZ, 1)
    waits, n_out = [], 0
    for n_in, sample in enumerate(white(2000), start=1):
        one = np.array([sample])
        n_new = adaptive.process(one, None if method == "line" else one).size
        waits += [n_in - 1 - k for k in range(n_out, n_out + n_new)]
        n_out += n_new
    assert max(waits) == adaptive.delay_samples


def test_blocks_of_nlms_are_the_loop_over_samples() -> None:
    """Errors of the textbook's recursion, in float64, one sample after the other."""
    spec = dataclasses.replace(NLMS, guard=math.inf, leakage_per_s=0.0)
    reference, n_taps = white(4000), 256
    x = through(room(200), reference) + white(4000, 0.01, seed=8)
    past = np.concatenate([np.zeros(n_taps - 1), reference.astype(np.float64)])
    weights, errors = np.zeros(n_taps), np.zeros(4000)
    for k in range(4000):
        window = past[k : k + n_taps]
        errors[k] = x[k] - weights @ window
        weights += spec.step * errors[k] * window / (window @ window + n_taps * 1e-14)
    np.testing.assert_allclose(cancel(x, reference, RATE_HZ, spec), errors, atol=2e-6)


@pytest.mark.parametrize("spec", [NLMS, FREQUENCY], ids=["nlms", "frequency"])
@pytest.mark.parametrize("rate_hz", [8000, 48000])
def test_a_correlated_reference_is_20_db_down_after_2_s(spec: AdaptiveSpec, rate_hz: int) -> None:
    reference = white(4 * rate_hz)
    x = through(room(int(0.8 * spec.length_s * rate_hz)), reference)
    y = cancel(x, reference, rate_hz, spec)
    assert lowered_db(x, y, slice(2 * rate_hz, None)) > 20.0


@pytest.mark.parametrize("seed", range(6))
def test_a_knock_that_has_left_the_window_leaves_nothing_of_it(seed: int) -> None:
    """Products that keep its rounding become powers that are none, and steps without measure."""
    rng = np.random.default_rng(seed)
    reference = np.zeros(4 * RATE_HZ, np.float32)
    for second in range(1, 4):
        n = int(rng.integers(5, 400))
        at = second * RATE_HZ + int(rng.integers(0, 2000))
        reference[at : at + n] = np.clip(0.4 * rng.standard_normal(n), -1.0, 1.0)
    x = (through(room(4), reference) + white(reference.size, 1e-3, seed)).astype(np.float32)
    engine = NlmsEngine(NLMS, RATE_HZ)
    cut = range(0, x.size, engine.block)
    blocks = [engine.process(x[k : k + 32], reference[k : k + 32]).copy() for k in cut]
    assert np.abs(np.concatenate(blocks)).max() < 3.0


def test_in_bins_a_coloured_reference_is_learnt_as_well() -> None:
    reference = through(np.array(signal.firwin(63, 400, fs=RATE_HZ)), white(4 * RATE_HZ))
    reference += white(reference.size, 1e-4, seed=8)
    x = through(room(400), reference)
    y = cancel(x, reference, RATE_HZ, FREQUENCY)
    assert lowered_db(x, y, slice(2 * RATE_HZ, None)) > 20.0


@pytest.mark.parametrize("spec", [NLMS, FREQUENCY], ids=["nlms", "frequency"])
def test_another_sound_over_the_reference_spoils_less_with_the_guard(spec: AdaptiveSpec) -> None:
    reference = white(6 * RATE_HZ)
    hum = through(room(200), reference)
    other = white(6 * RATE_HZ, 0.5, seed=11)
    other[: 3 * RATE_HZ] = 0.0
    talk = slice(3 * RATE_HZ, 4 * RATE_HZ)
    guarded, plain = (
        cancel(hum + other, reference, RATE_HZ, dataclasses.replace(spec, guard=times)) - other
        for times in (spec.guard, math.inf)
    )
    assert lowered_db(plain, guarded, talk) > 3.0


@pytest.mark.parametrize("spec", [NLMS, FREQUENCY], ids=["nlms", "frequency"])
def test_a_moved_microphone_is_learnt_anew(spec: AdaptiveSpec) -> None:
    reference = white(12 * RATE_HZ)
    x = through(room(200), reference)
    x[3 * RATE_HZ :] = through(room(200, seed=6), reference)[3 * RATE_HZ :]
    y = cancel(x, reference, RATE_HZ, spec)
    assert lowered_db(x, y, slice(-2 * RATE_HZ, None)) > 20.0


def test_the_line_enhancer_takes_a_hum_and_leaves_noise() -> None:
    t = np.arange(14 * RATE_HZ) / RATE_HZ
    hum = sum(0.1 * np.sin(2 * np.pi * 50 * k * t + k) for k in (1, 2, 3, 4)).astype(np.float32)
    noise = white(hum.size, 0.03)
    tail = slice(12 * RATE_HZ, None)
    y = cancel(hum + noise, None, RATE_HZ, LINE)
    assert lowered_db(hum, y - noise, tail) > 15.0
    assert lowered_db(noise, cancel(noise, None, RATE_HZ, LINE), tail) < 0.5


@settings(max_examples=40, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    rate_hz=st.sampled_from([8000, 192000]),
    kind=st.sampled_from(["silence", "denormals", "dc", "square", "wild"]),
    heard=st.sampled_from(["itself", "dead", "loud step", "stranger"]),
    step=st.sampled_from([0.01, 0.4, 0.999]),
)
def test_whatever_comes_the_output_is_finite_and_bounded(
    method: Literal["nlms", "frequency", "line"], rate_hz: int, kind: str, heard: str, step: float
) -> None:
    n = rate_hz // 4
    x = {
        "silence": np.zeros(n),
        "denormals": np.full(n, 1e-41),
        "dc": np.ones(n),
        "square": np.sign(np.sin(np.arange(n) * 0.05 + 0.1)),
        "wild": 64.0 * np.sign(white(n)),
    }[kind].astype(np.float32)
    reference = {
        "itself": x,
        "dead": np.zeros(n, np.float32),
        "loud step": white(n) * np.repeat(np.float32([1e-5, 100.0]), -(-n // 2))[:n],
        "stranger": np.sign(white(n, seed=8)),
    }[heard]
    spec = AdaptiveSpec(method=method, length_s=0.004, step=step)
    with np.errstate(all="raise", under="ignore"):
        y = cancel(x, None if method == "line" else reference, rate_hz, spec)
    assert np.isfinite(y).all()
    assert np.linalg.norm(y) <= 2.0 * np.linalg.norm(x) * (1 + 1e-5)


@pytest.mark.parametrize("spec", [NLMS, FREQUENCY], ids=["nlms", "frequency"])
def test_a_reference_that_is_the_signal_takes_it_away_and_lets_go_again(
    spec: AdaptiveSpec,
) -> None:
    same, own = white(4 * RATE_HZ), white(4 * RATE_HZ, seed=9)
    other = white(4 * RATE_HZ, seed=10)
    y = cancel(np.r_[same, own], np.r_[same, other], RATE_HZ, spec)
    assert lowered_db(same, y[: same.size], slice(2 * RATE_HZ, None)) > 40.0
    assert lowered_db(own, y[same.size :], slice(2 * RATE_HZ, None)) > -3.0


@pytest.mark.parametrize("spec", [NLMS, FREQUENCY], ids=["nlms", "frequency"])
def test_a_dead_reference_leaves_the_signal_alone(spec: AdaptiveSpec) -> None:
    x = white(RATE_HZ)
    np.testing.assert_array_equal(cancel(x, np.zeros_like(x), RATE_HZ, spec), x)


@pytest.mark.parametrize("spec", [NLMS, FREQUENCY], ids=["nlms", "frequency"])
def test_a_step_in_level_of_the_source_is_no_trouble(spec: AdaptiveSpec) -> None:
    reference = white(6 * RATE_HZ)
    reference[3 * RATE_HZ :] *= 30.0
    x = through(room(200), reference)
    y = cancel(x, reference, RATE_HZ, spec)
    assert lowered_db(x, y, slice(3 * RATE_HZ, None)) > 20.0


@pytest.mark.parametrize("spec", [NLMS, FREQUENCY, LINE], ids=METHODS)
def test_after_a_reset_or_a_flush_the_past_is_forgotten(spec: AdaptiveSpec) -> None:
    x = white(5000)
    reference = None if spec.method == "line" else x
    adaptive = AdaptiveFilter(spec, RATE_HZ, 5000)
    adaptive.process(white(5000, 1.0, seed=5), reference)
    adaptive.reset()
    once = streamed(adaptive, x, reference, [5000])
    np.testing.assert_array_equal(streamed(adaptive, x, reference, [5000]), once)
    np.testing.assert_array_equal(once, cancel(x, reference, RATE_HZ, spec))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "magic"},
        {"length_s": 0.0},
        {"step": 1.0},
        {"leakage_per_s": 1.0},
        {"guard": 0.5},
        {"block_s": float("nan")},
    ],
)
def test_a_spec_that_cant_be_is_refused_by_name(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        AdaptiveFilter(dataclasses.replace(AdaptiveSpec(), **change), RATE_HZ, 100)


def test_calls_that_cant_be_are_refused() -> None:
    x = white(100)
    with pytest.raises(ValueError, match="rate_hz"):
        AdaptiveFilter(NLMS, 0, 100)
    with pytest.raises(ValueError, match="max_samples"):
        AdaptiveFilter(NLMS, RATE_HZ, 0)
    with pytest.raises(ValueError, match="100 samples"):
        AdaptiveFilter(NLMS, RATE_HZ, 99).process(x, x)
    with pytest.raises(ValueError, match="is needed"):
        AdaptiveFilter(NLMS, RATE_HZ, 100).process(x)
    with pytest.raises(ValueError, match="takes no reference"):
        AdaptiveFilter(LINE, RATE_HZ, 100).process(x, x)
    with pytest.raises(ValueError, match="has 99 samples"):
        AdaptiveFilter(NLMS, RATE_HZ, 100).process(x, x[:99])


@pytest.mark.parametrize("spec", [NLMS, FREQUENCY], ids=["nlms", "frequency"])
def test_a_source_that_starts_after_silence_is_learnt_in_2_s(spec: AdaptiveSpec) -> None:
    """Its first error is no other sound: the reference has grown as much."""
    reference = white(7 * RATE_HZ)
    reference[: 3 * RATE_HZ] = 0.0
    x = through(room(200), reference) + white(reference.size, 1e-5, seed=10)
    reference += white(reference.size, 1e-5, seed=11)
    y = cancel(x, reference, RATE_HZ, spec)
    assert lowered_db(x, y, slice(5 * RATE_HZ, None)) > 20.0


def test_the_constraint_keeps_partitions_from_learning_what_is_not_there() -> None:
    """Taps that wrap around within a block would leave 13 dB more."""
    reference = white(8 * RATE_HZ)
    x = through(room(800), reference)
    y = cancel(x, reference, RATE_HZ, AdaptiveSpec(length_s=0.064))
    assert lowered_db(x, y, slice(7 * RATE_HZ, None)) > 40.0
