# SPDX-License-Identifier: MIT
"""Resampling by any ratio that may change at any time: what joins two cards' clocks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

MAX_TRIM: Final = 1e-3
HALF_TAPS: Final = 16  # on each side, at the lower one of the two rates
_BETA: Final = 8.6  # Kaiser's: side lobes 88 dB down
_PHASES: Final = 512  # interpolated linearly between them: an error of -116 dB
_SLICE: Final = 512  # input samples worked on at once: what is in work stays in the cache


class AdaptiveResampler:
    """A windowed sinc at fractional places, (n,) float32 in, (m,) float32 out.

    Between calls it keeps the last samples and the place of the next output, so any cut of
    the same samples gives the same output where the trim is the same. Flat within 0.1 dB up
    to 0.4 of the lower rate. Delay: `delay_s`.

    Parameters
    ----------
    in_rate_hz, out_rate_hz : nominal.
    max_samples : the longest `x` of one call.
    """

    def __init__(self, in_rate_hz: int, out_rate_hz: int, max_samples: int) -> None:
        self._step = in_rate_hz / out_rate_hz
        narrow = max(1.0, self._step)  # a lower output rate needs a longer, lower filter
        self._half = math.ceil(HALF_TAPS * narrow)
        self._table, self._slope = _kernel(self._half, 1.0 if narrow == 1.0 else 0.9 / narrow)
        self.delay_s = self._half / in_rate_hz
        longest = min(max_samples, _SLICE)
        most = math.ceil(longest / (self._step * (1 - MAX_TRIM))) + 1
        taps = 2 * self._half
        self._kept = np.zeros(taps + longest + math.ceil(self._step) + 1, np.float32)
        self._views = np.lib.stride_tricks.sliding_window_view(self._kept, taps)
        self._n_kept = taps - 1
        self._at = self._half - 1.0  # place of the next output among the kept samples
        self._counting = np.arange(most, dtype=np.float64)
        self._weights = np.empty((most, taps), np.float32)
        self._slopes = np.empty((most, taps), np.float32)
        self._out = np.empty(most * -(-max_samples // longest), np.float32)

    def process(self, x: Float32, trim: float) -> Float32:
        """Return what is due, valid until the next call.

        Parameters
        ----------
        x : (n_samples,) float32, up to `max_samples`; only read.
        trim : how much faster than nominal the input is used up, within +-`MAX_TRIM`.
        """
        done = 0
        for start in range(0, len(x), _SLICE):
            part = self._process(x[start : start + _SLICE], trim)
            self._out[done : done + len(part)] = part
            done += len(part)
        return self._out[:done]

    def _process(self, x: Float32, trim: float) -> Float32:
        self._kept[self._n_kept : self._n_kept + len(x)] = x
        n_kept = self._n_kept + len(x)
        step = self._step * (1.0 + trim)
        # The last place whose window ends within what is kept.
        n_out = max(math.ceil((n_kept - self._half - self._at) / step), 0)
        places = self._at + step * self._counting[:n_out]
        whole = places.astype(np.int64)
        phases = (places - whole) * _PHASES
        rows = phases.astype(np.int64)
        self._at += step * n_out
        filtered = self._weigh(whole - (self._half - 1), rows, (phases - rows).astype(np.float32))
        # Keep what the next window needs.
        spent = min(max(int(self._at) - (self._half - 1), 0), n_kept)
        self._kept[: n_kept - spent] = self._kept[spent:n_kept]
        self._n_kept = n_kept - spent
        self._at -= spent
        return filtered

    def _weigh(
        self, first: NDArray[np.int64], rows: NDArray[np.int64], between: Float32
    ) -> Float32:
        n_out = len(first)
        weights = np.take(self._table, rows, axis=0, out=self._weights[:n_out], mode="clip")
        slopes = np.take(self._slope, rows, axis=0, out=self._slopes[:n_out], mode="clip")
        slopes *= between[:, None]
        weights += slopes
        filtered: Float32 = np.vecdot(self._views[first], weights)
        return filtered


def _kernel(half: int, cutoff: float) -> tuple[Float32, Float32]:
    """Return the weights at each phase, (phases, 2 half), and the way to the next phase's."""
    phase = np.arange(_PHASES + 1)[:, None] / _PHASES
    distance = np.arange(2 * half)[None, :] - (half - 1) - phase
    inside = np.maximum(1.0 - np.square(distance / half), 0.0)
    weights = np.sinc(cutoff * distance) * np.i0(_BETA * np.sqrt(inside))
    weights /= weights.sum(axis=1, keepdims=True)  # 1.0 at DC, whatever the phase
    return weights[:-1].astype(np.float32), np.diff(weights, axis=0).astype(np.float32)
