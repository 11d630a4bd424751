# SPDX-License-Identifier: MIT
"""Noise reduction as one: first what a reference foretells, then what steadily sounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.dsp.adaptive import AdaptiveFilter
from edge.dsp.noise import NoiseReducer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.dsp.clean_spec import AdaptiveSpec, NoiseSpec

    Float32 = NDArray[np.float32]


class Cleaner:
    """An adaptive filter and a noise reducer, either of which may be absent.

    As many samples come out of `process` and `flush` together as went in; output k is input
    k, whatever the cut. Output k is there once input k + `delay_samples` is.

    Parameters
    ----------
    rate_hz : 8000 to 192000 are tested.
    max_samples : the longest `x` of one call.

    Raises `ValueError` for a spec that can't be.
    """

    def __init__(
        self,
        adaptive: AdaptiveSpec | None,
        noise: NoiseSpec | None,
        rate_hz: int,
        max_samples: int,
    ) -> None:
        self._adaptive = AdaptiveFilter(adaptive, rate_hz, max_samples) if adaptive else None
        lag = self._adaptive.delay_samples if self._adaptive else 0
        self._noise = NoiseReducer(noise, rate_hz, max_samples + lag) if noise else None
        self.delay_samples = lag + (self._noise.delay_samples if self._noise else 0)
        self.needs_reference = adaptive is not None and adaptive.method != "line"

    def process(self, x: Float32, reference: Float32 | None = None) -> Float32:
        """Return the samples that `x` completes, (m,) float32, valid until the next call.

        With neither filter that is `x` itself. Raises `ValueError` for more than
        `max_samples`, and for a reference that is missing or of another length where there
        is `needs_reference`.

        Parameters
        ----------
        x, reference : (n_samples,) float32, finite, of the same moments; only read. A
            reference that nothing needs is left alone.
        """
        if self._adaptive:
            x = self._adaptive.process(x, reference if self.needs_reference else None)
        return self._noise.process(x) if self._noise else x

    def flush(self) -> Float32:
        """Return the samples that are still owed, and start anew as by `reset`."""
        rest = self._adaptive.flush() if self._adaptive else np.empty(0, np.float32)
        if self._noise is None:
            return rest
        return np.concatenate([self._noise.process(rest), self._noise.flush()])

    def reset(self) -> None:
        """Forget the past and what was learnt, as after a gap."""
        for stage in (self._adaptive, self._noise):
            if stage:
                stage.reset()


def clean(
    samples: Float32,
    reference: Float32 | None,
    rate_hz: int,
    adaptive: AdaptiveSpec | None,
    noise: NoiseSpec | None,
) -> Float32:
    """Return the samples, (n_samples,) float32, cleaned; the samples themselves are kept.

    Raises `ValueError` as `Cleaner` and its `process`.
    """
    cleaner = Cleaner(adaptive, noise, rate_hz, max(samples.size, 1))
    # The first part is valid until `flush`.
    return np.concatenate([cleaner.process(samples, reference).copy(), cleaner.flush()])
