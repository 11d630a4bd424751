# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from scipy import signal

from edge.dsp.chain import Chain
from edge.dsp.design import chain_sos
from edge.types import FilterSpec

RATE_HZ = 48000
SOS = chain_sos([FilterSpec("highpass", 20.0)], RATE_HZ)


def stereo(n_samples: int = 9600, offset: int = 0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (1000 * rng.standard_normal((n_samples, 2)) + offset).astype(np.int16)


def test_one_channel_goes_through_gain_and_filters() -> None:
    raw = stereo()
    chain = Chain(SOS, 1, 6.0, 1000)
    parts = [chain.process(raw[k : k + 1000])[0].copy() for k in range(0, 9600, 1000)]
    got = np.concatenate(parts)
    x = raw[:, 1] / 32768 * 10**0.3
    start = signal.sosfilt_zi(SOS) * x[:1000].mean()
    wanted, _ = signal.sosfilt(SOS, x, zi=start)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_the_microphones_offset_is_no_click_at_the_start_and_behind_a_gap() -> None:
    raw = stereo(960, offset=20_000) // 100 * 100
    chain = Chain(SOS, None, 0.0, 960)
    for _ in range(2):
        assert not chain.settled
        filtered, clipped = chain.process(raw)
        assert chain.settled
        assert np.abs(filtered).max() < 0.15
        assert clipped == 0
        chain.restart()


def test_a_channel_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="channel"):
        Chain(SOS, 2, 0.0, 100).process(stereo(100))
