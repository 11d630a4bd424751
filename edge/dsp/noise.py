# SPDX-License-Identifier: MIT
"""Steady noise out of one channel: windows, a gain for each bin, and back to samples.

The gains are `noise_gain`'s. Windows overlap by three quarters and carry the root of a Hann
window twice, before the spectrum and after, so that gains of 1 give the samples back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from edge.dsp.clean_spec import check_clean_spec
from edge.dsp.noise_gain import NoiseGain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.dsp.clean_spec import NoiseSpec

    Float32 = NDArray[np.float32]

_OVERLAP: Final = 4  # windows over every sample


class NoiseReducer:
    """`reduce_noise` as a stream: output k is input k, cleaned, whatever the cut.

    Keeps one window of samples and of sums, and what `NoiseGain` keeps. An output is there
    once the last window over it is full, so the outputs of `process` lag and `flush` gives
    the rest: as many samples as went in.

    `delay_samples` is the longest that an output waits: output k is there once input
    k + delay_samples is. It is one window less one sample, and no setting makes it more.

    Cost: two FFTs and some thirty vector operations per hop of a quarter window; the FFTs of
    one call are made together. Longer calls are cheaper, up to some ten hops.

    Parameters
    ----------
    rate_hz : 8000 to 192000 are tested.
    max_samples : the longest `x` of one call.

    Raises `ValueError` for a spec that can't be, or a window of fewer than 16 samples.
    """

    def __init__(self, spec: NoiseSpec, rate_hz: int, max_samples: int) -> None:
        check_clean_spec(spec)
        if max_samples < 1:
            raise ValueError(f"max_samples must be 1 or more, not {max_samples}")
        window_samples = _window_samples(spec.window_s, rate_hz)
        hop = window_samples // _OVERLAP
        self._hop = hop
        self._kept = window_samples - hop
        self._max_samples = max_samples
        self.delay_samples = window_samples - 1
        self._gain = NoiseGain(spec, rate_hz, window_samples, hop)
        hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window_samples) / window_samples)
        self._window = np.sqrt(hann).astype(np.float32)
        # Hann windows in steps of a quarter sum to 2.
        self._unwindow = (np.sqrt(hann) * 2.0 / _OVERLAP).astype(np.float32)
        # One hop more than a call brings: `flush` fills up with zeros.
        frames = (max_samples + window_samples) // hop + 1
        self._input = np.zeros(self._kept + frames * hop, np.float32)
        self._frames = np.empty((frames, window_samples), np.float32)
        self._spectrum = np.empty((frames, window_samples // 2 + 1), np.complex64)
        self._sums = np.zeros(self._kept + frames * hop, np.float32)
        self._out = np.empty(frames * hop, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the past, as after a gap: the next sample is number 0 again."""
        self._input[: self._kept] = 0.0
        self._sums[:] = 0.0
        self._filled = self._kept
        self._lead = self._kept  # sums that come before the first sample
        self._owed = 0  # samples that went in and didn't come out
        self._gain.reset()

    def process(self, x: Float32) -> Float32:
        """Return the samples that `x` completes, (m,) float32, the reducer's own.

        They hold until the next call. Raises `ValueError` for more than `max_samples`.

        Parameters
        ----------
        x : (n_samples,) float32, finite, any number up to `max_samples`; only read.
        """
        if x.size > self._max_samples:
            raise ValueError(f"x has {x.size} samples, more than max_samples={self._max_samples}")
        self._input[self._filled : self._filled + x.size] = x
        self._filled += x.size
        self._owed += x.size
        return self._advance((self._filled - self._kept) // self._hop)

    def flush(self) -> Float32:
        """Return the samples that are still owed, and start anew as by `reset`."""
        owed = self._owed
        n_frames = -(-(self._lead + owed) // self._hop)
        end = self._kept + n_frames * self._hop
        self._input[self._filled : end] = 0.0
        self._filled = end
        rest = self._advance(n_frames)[:owed]
        self.reset()
        return rest

    def _advance(self, n_frames: int) -> Float32:
        """Clean the next windows; return the samples that no later window reaches."""
        if n_frames == 0:
            return self._out[:0]
        done = n_frames * self._hop
        for number, cleaned in enumerate(self._cleaned(n_frames)):
            at = number * self._hop
            self._sums[at : at + cleaned.size] += cleaned
        n_lead = min(self._lead, done)
        out = self._out[: done - n_lead]
        out[:] = self._sums[n_lead:done]
        self._lead -= n_lead
        self._owed -= out.size
        self._sums[: self._kept] = self._sums[done : done + self._kept]
        self._sums[self._kept : self._kept + done] = 0.0
        self._filled -= done
        self._input[: self._filled] = self._input[done : done + self._filled]
        return out

    def _cleaned(self, n_frames: int) -> Float32:
        """Return the cleaned windows, (n_frames, window_samples)."""
        stride = self._input.itemsize
        windows = as_strided(
            self._input,
            (n_frames, self._window.size),
            (self._hop * stride, stride),
            writeable=False,
        )
        frames = np.multiply(windows, self._window, out=self._frames[:n_frames])
        # Any other scale of the FFT is a float64 factor, and doubles its time.
        spectrum = self._spectrum[:n_frames]
        np.fft.rfft(frames, norm="forward", out=spectrum)  # type: ignore[arg-type] # it may be
        self._gain.apply(spectrum)
        np.fft.irfft(spectrum, self._window.size, norm="forward", out=frames)
        frames *= self._unwindow
        return frames


def reduce_noise(samples: Float32, rate_hz: int, spec: NoiseSpec) -> Float32:
    """Return the samples, (n_samples,) float32, with what steadily sounds in them lowered.

    Raises `ValueError` as `NoiseReducer`.
    """
    reducer = NoiseReducer(spec, rate_hz, max(samples.size, 1))
    # The first part is valid until `flush`.
    return np.concatenate([reducer.process(samples).copy(), reducer.flush()])


def _window_samples(window_s: float, rate_hz: int) -> int:
    """Return the longest quick FFT of at most `window_s`: a multiple of 4, of 2, 3 and 5."""
    longest = int(window_s * rate_hz)
    if longest < 16:
        raise ValueError(f"window_s of {window_s} at {rate_hz} Hz is under 16 samples")
    return next(n for n in range(longest - longest % 4, 15, -4) if _smooth(n))


def _smooth(n: int) -> bool:
    for factor in (2, 3, 5):
        while n % factor == 0:
            n //= factor
    return n == 1
