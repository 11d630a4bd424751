# SPDX-License-Identifier: MIT
"""From the captured rate to the model's: whole factors by NumPy, others by soxr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

# Outputs per row of the product: more of them share the copied taps' worth of history, but
# each costs one multiplication more per row.
_OUTPUTS: Final = 32


class Resampler(Protocol):
    """What every change of rate promises."""

    delay_samples: int
    """How late the output is, in samples of the input: output k sounds like input sample
    k * rate_in / rate_out - delay_samples."""

    def process(self, x: Float32) -> Float32:
        """Return the samples that `x` completes; valid until the next call."""

    def reset(self) -> None:
        """Forget the past, as after a gap: the next output is number 0 again."""


def resampler(rate_in_hz: int, rate_out_hz: int, taps: Float64, max_samples: int) -> Resampler:
    """Return what leads from one rate to the other.

    Parameters
    ----------
    taps : low-pass for a whole factor (`design.decimation_taps`); otherwise unused, (0,).
    max_samples : the longest input of one call.

    Raises `ValueError` when a whole factor has no taps, or a rate isn't positive.
    """
    if rate_in_hz < 1 or rate_out_hz < 1:
        raise ValueError(f"rates must be positive, not {rate_in_hz} and {rate_out_hz}")
    if rate_in_hz == rate_out_hz:
        return PassThrough()
    if rate_in_hz % rate_out_hz:
        return SoxrResampler(rate_in_hz, rate_out_hz)
    if taps.size == 0:
        raise ValueError(f"taps are needed for a factor of {rate_in_hz // rate_out_hz}")
    return Decimator(taps, rate_in_hz // rate_out_hz, max_samples)


class PassThrough:
    """No change of rate: the samples themselves, without copy."""

    delay_samples = 0

    def process(self, x: Float32) -> Float32:
        """Return `x`."""
        return x

    def reset(self) -> None:
        """Do nothing: there is no past."""


class Decimator:
    """Low-pass and keep every `factor`-th sample, as one matrix product per call.

    Output k is the taps over the input up to sample k * factor, the first one over a past
    of zeros: after n samples there are ceil(n / factor), whatever the cut. A row of the
    product makes 32 outputs at once, so that only kept samples are computed.

    Keeps the last n_taps - 1 samples. `delay_samples` is half the taps' length.

    Parameters
    ----------
    taps : (n_taps,) float64, odd and linear-phase (`design.decimation_taps`).
    factor : input rate over output rate, 1 or more.
    max_samples : the longest `x` of one call.
    """

    def __init__(self, taps: Float64, factor: int, max_samples: int) -> None:
        if taps.ndim != 1 or taps.size % 2 == 0:
            raise ValueError(f"taps must be (n_taps,) with n_taps odd, not {taps.shape}")
        if not 1 <= factor <= taps.size:
            raise ValueError(f"factor must be 1 to n_taps={taps.size}, not {factor}")
        if max_samples < 1:
            raise ValueError(f"max_samples must be 1 or more, not {max_samples}")
        self._factor = factor
        self._history = taps.size - 1
        self._max_samples = max_samples
        self.delay_samples = self._history // 2
        window = (_OUTPUTS - 1) * factor + taps.size
        self._product = np.zeros((window, _OUTPUTS), np.float32)
        for k in range(_OUTPUTS):
            self._product[k * factor : k * factor + taps.size, k] = taps[::-1]
        rows = -(-max_samples // (factor * _OUTPUTS)) + 1
        # The last row reads past the end when it isn't full; those outputs are cut off.
        self._input = np.zeros(rows * _OUTPUTS * factor + window, np.float32)
        self._rows = np.empty((rows, window), np.float32)
        self._kept = np.empty((rows, _OUTPUTS), np.float32)
        self._filled = self._history

    def reset(self) -> None:
        """Forget the past: the next sample is kept, over a past of zeros."""
        self._input[: self._history] = 0.0
        self._filled = self._history

    def process(self, x: Float32) -> Float32:
        """Return the outputs up to the last sample of `x`, (n_outputs,) float32.

        The array is the decimator's own and holds until the next call. Allocates nothing.
        Raises `ValueError` for more than `max_samples`.

        Parameters
        ----------
        x : (n_samples,) float32, any number up to `max_samples`; only read.
        """
        if x.size > self._max_samples:
            raise ValueError(f"x has {x.size} samples, more than max_samples={self._max_samples}")
        end = self._filled + x.size
        self._input[self._filled : end] = x
        n_outputs = max(0, -(-(end - self._history) // self._factor))
        n_rows = -(-n_outputs // _OUTPUTS)
        rows = self._rows[:n_rows]
        # The windows overlap, which BLAS doesn't take: copied out, they cost far less than
        # the product.
        rows[:] = self._windows(n_rows)
        kept = np.matmul(rows, self._product, out=self._kept[:n_rows]).reshape(-1)[:n_outputs]
        consumed = n_outputs * self._factor
        self._filled = end - consumed
        self._input[: self._filled] = self._input[consumed:end]
        return kept

    def _windows(self, n_rows: int) -> Float32:
        stride = self._input.itemsize
        return as_strided(
            self._input,
            (n_rows, self._rows.shape[1]),
            (_OUTPUTS * self._factor * stride, stride),
            writeable=False,
        )


class SoxrResampler:
    """Any rate to any other through libsoxr's stream, quality HQ.

    soxr takes its own delay out: output k sounds like input k * rate_in / rate_out, so
    `delay_samples` is 0, but it comes up to 50 ms late. Allocates its output.
    """

    delay_samples = 0

    def __init__(self, rate_in_hz: int, rate_out_hz: int) -> None:
        import soxr

        self._stream = soxr.ResampleStream(
            rate_in_hz, rate_out_hz, 1, dtype="float32", quality="HQ"
        )

    def process(self, x: Float32) -> Float32:
        """Return the samples that `x` completes, (n_outputs,) float32, the caller's own."""
        resampled: Float32 = self._stream.resample_chunk(x)
        return resampled

    def reset(self) -> None:
        """Forget the past."""
        self._stream.clear()
