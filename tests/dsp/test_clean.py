# SPDX-License-Identifier: MIT
"""Both ways of noise reduction as one stream."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from edge.dsp.adaptive import cancel
from edge.dsp.clean import Cleaner, clean
from edge.dsp.clean_spec import LINE, AdaptiveSpec, NoiseSpec
from edge.dsp.noise import reduce_noise

RATE_HZ = 16000
ADAPTIVE = AdaptiveSpec(length_s=0.02)
NOISE = NoiseSpec(window_s=0.02)


def white(n: int, seed: int = 3) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 1500), min_size=1, max_size=12),
    adaptive=st.sampled_from([None, ADAPTIVE, LINE]),
    noise=st.sampled_from([None, NOISE]),
)
def test_any_cut_gives_the_same_and_as_many_samples(
    sizes: list[int], adaptive: AdaptiveSpec | None, noise: NoiseSpec | None
) -> None:
    reference = white(sum(sizes))
    x = reference + white(reference.size, seed=4)
    cleaner = Cleaner(adaptive, noise, RATE_HZ, 1500)
    cuts = np.cumsum(sizes)[:-1]
    parts = [
        cleaner.process(a, b).copy()
        for a, b in zip(np.split(x, cuts), np.split(reference, cuts), strict=True)
    ]
    got = np.concatenate([*parts, cleaner.flush()])
    assert got.size == x.size
    np.testing.assert_array_equal(got, clean(x, reference, RATE_HZ, adaptive, noise))


@pytest.mark.parametrize("adaptive", [None, ADAPTIVE, LINE])
@pytest.mark.parametrize("noise", [None, NOISE])
def test_an_output_waits_for_no_more_than_the_stated_delay(
    adaptive: AdaptiveSpec | None, noise: NoiseSpec | None
) -> None:
    cleaner = Cleaner(adaptive, noise, RATE_HZ, 1)
    waits, n_out = [], 0
    for n_in, sample in enumerate(white(3000), start=1):
        n_new = cleaner.process(np.array([sample]), np.array([sample])).size
        waits += [n_in - 1 - k for k in range(n_out, n_out + n_new)]
        n_out += n_new
    assert max(waits) <= cleaner.delay_samples


def test_first_the_reference_is_heard_and_then_the_steady_noise() -> None:
    reference = white(2 * RATE_HZ)
    x = np.asarray(signal.lfilter([0.0, 0.5, 0.2], 1.0, reference), np.float32)
    x += white(x.size, seed=4)
    np.testing.assert_array_equal(
        clean(x, reference, RATE_HZ, ADAPTIVE, NOISE),
        reduce_noise(cancel(x, reference, RATE_HZ, ADAPTIVE), RATE_HZ, NOISE),
    )


def test_with_neither_the_samples_pass() -> None:
    x = white(1000)
    cleaner = Cleaner(None, None, RATE_HZ, 1000)
    assert cleaner.process(x) is x
    assert cleaner.flush().size == cleaner.delay_samples == 0


def test_only_a_filter_with_a_reference_needs_one() -> None:
    x = white(1000)
    assert not Cleaner(LINE, NOISE, RATE_HZ, 1000).needs_reference
    assert Cleaner(ADAPTIVE, None, RATE_HZ, 1000).needs_reference
    with pytest.raises(ValueError, match="is needed"):
        Cleaner(ADAPTIVE, None, RATE_HZ, 1000).process(x)


def test_after_a_reset_the_past_is_forgotten() -> None:
    x, reference = white(5000), white(5000, seed=4)
    cleaner = Cleaner(ADAPTIVE, NOISE, RATE_HZ, 5000)
    cleaner.process(reference, x)
    cleaner.reset()
    got = np.concatenate([cleaner.process(x, reference).copy(), cleaner.flush()])
    np.testing.assert_array_equal(got, clean(x, reference, RATE_HZ, ADAPTIVE, NOISE))


def test_the_listener_stays_lean() -> None:
    code = "import sys, edge.dsp.clean; sys.exit(any('scipy' in name for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True)
