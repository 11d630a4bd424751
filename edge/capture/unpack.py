# SPDX-License-Identifier: MIT
"""Bytes of the sample formats to arrays, 24 bits left-aligned in 32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.types import SampleFormat, Samples

# Made once: NumPy would parse the dtype's name at each call.
_UINT8 = np.dtype(np.uint8)
_INT16: np.dtype[np.int16] = np.dtype("<i2")
_INT32: np.dtype[np.int32] = np.dtype("<i4")
_FLOAT32: np.dtype[np.float32] = np.dtype("<f4")


class Unpacker:
    """Turns the bytes of one read into (n_samples, channels).

    Keeps one period of int32 for the 24-bit formats: what `unpack` returns is valid
    until its next call. The other formats are views on the bytes, read-only.
    """

    def __init__(self, sample_format: SampleFormat, channels: int, period_size: int) -> None:
        self._channels = channels
        self._wide: NDArray[np.int32] = np.zeros(period_size * channels, _INT32)
        by_format: dict[SampleFormat, Callable[[bytes], Samples]] = {
            "S16_LE": self._int16,
            "S24_3LE": self._packed_24,
            "S24_LE": self._padded_24,
            "S32_LE": self._int32,
            "FLOAT_LE": self._float32,
        }
        self.unpack = by_format[sample_format]

    def _int16(self, data: bytes) -> NDArray[np.int16]:
        return np.frombuffer(data, _INT16).reshape(-1, self._channels)

    def _int32(self, data: bytes) -> NDArray[np.int32]:
        return np.frombuffer(data, _INT32).reshape(-1, self._channels)

    def _float32(self, data: bytes) -> NDArray[np.float32]:
        return np.frombuffer(data, _FLOAT32).reshape(-1, self._channels)

    def _padded_24(self, data: bytes) -> NDArray[np.int32]:
        """Three low bytes of four; the top one may hold anything, and is shifted out."""
        raw = np.frombuffer(data, _INT32)
        wide = self._wide[: len(raw)]
        np.left_shift(raw, 8, out=wide)
        return wide.reshape(-1, self._channels)

    def _packed_24(self, data: bytes) -> NDArray[np.int32]:
        """Three bytes a sample, into the upper three of four; the lowest stays zero."""
        raw = np.frombuffer(data, _UINT8).reshape(-1, 3)
        wide = self._wide[: len(raw)]
        wide.view(_UINT8).reshape(-1, 4)[:, 1:] = raw
        return wide.reshape(-1, self._channels)
