# SPDX-License-Identifier: MIT
from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from edge.record.encode import encode

if TYPE_CHECKING:
    from edge.record.encode import Container
    from edge.types import SampleFormat

RATE_HZ = 8000
RANDOM = np.random.default_rng(1)


def noise(dtype: Any, low: int, high: int, channels: int = 2) -> np.ndarray[Any, Any]:  # noqa: ANN401 - a dtype
    return RANDOM.integers(low, high, (2 * RATE_HZ + 123, channels), endpoint=True).astype(dtype)


def decode(data: bytes, dtype: str) -> np.ndarray[Any, Any]:
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype=dtype, always_2d=True)
    assert rate_hz == RATE_HZ
    return np.asarray(samples)


@pytest.mark.parametrize("container", ["flac", "wav"])
def test_16_bit_comes_back_bit_for_bit(container: Container) -> None:
    samples = noise(np.int16, -(2**15), 2**15 - 1)
    data = encode(samples, RATE_HZ, "S16_LE", container)
    np.testing.assert_array_equal(decode(data, "int16"), samples)
    assert soundfile.info(io.BytesIO(data)).subtype == "PCM_16"


@pytest.mark.parametrize("container", ["flac", "wav"])
@pytest.mark.parametrize("sample_format", ["S24_3LE", "S24_LE"])
def test_24_bit_comes_back_bit_for_bit(container: Container, sample_format: SampleFormat) -> None:
    samples = noise(np.int32, -(2**23), 2**23 - 1) << 8
    data = encode(samples, RATE_HZ, sample_format, container)
    np.testing.assert_array_equal(decode(data, "int32"), samples)
    assert soundfile.info(io.BytesIO(data)).subtype == "PCM_24"


def test_32_bit_comes_back_bit_for_bit_from_wav_and_its_upper_24_from_flac() -> None:
    samples = noise(np.int32, -(2**31), 2**31 - 1)
    whole = decode(encode(samples, RATE_HZ, "S32_LE", "wav"), "int32")
    np.testing.assert_array_equal(whole, samples)
    upper = decode(encode(samples, RATE_HZ, "S32_LE", "flac"), "int32")
    np.testing.assert_array_equal(upper, samples & ~0xFF)


def test_real_samples_keep_every_bit_in_wav_and_are_finite_in_flac() -> None:
    samples = RANDOM.normal(0.0, 0.4, (5000, 1)).astype(np.float32)
    samples[:4, 0] = np.nan, np.inf, -np.inf, 3.0
    whole = decode(encode(samples, RATE_HZ, "FLOAT_LE", "wav"), "float32")
    np.testing.assert_array_equal(whole, samples)
    flac = decode(encode(samples, RATE_HZ, "FLOAT_LE", "flac"), "float32")
    np.testing.assert_allclose(flac[:4, 0], [0.0, 1.0, -1.0, 1.0], atol=2**-23)
    np.testing.assert_allclose(flac[4:], samples[4:].clip(-1, 1), atol=2**-23)


def test_eight_channels_and_one_sample_fit_into_flac() -> None:
    samples = noise(np.int16, -100, 100, channels=8)[:1]
    np.testing.assert_array_equal(
        decode(encode(samples, RATE_HZ, "S16_LE", "flac"), "int16"), samples
    )
