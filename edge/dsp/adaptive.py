# SPDX-License-Identifier: MIT
"""What a reference foretells, taken out: a fan's, a motor's, or a signal's own hum.

The reference is a second microphone at the source, or the signal's own past (`AdaptiveSpec`).
The two engines are `adaptive_engine`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.dsp.adaptive_engine import Engine, FrequencyEngine, NlmsEngine
from edge.dsp.clean_spec import check_clean_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.dsp.clean_spec import AdaptiveSpec

    Float32 = NDArray[np.float32]


class AdaptiveFilter:
    """Subtracts what the reference foretells; output k is input k, whatever the cut.

    The engines work in blocks counted from the first sample, so outputs of `process` lag and
    `flush` gives the rest: as many samples as went in. `delay_samples` is the longest that an
    output waits, one block less one sample.

    Where a block's output would hold more than four times the power of its input, the input
    is given instead: a filter that is wrong for a while never makes it loud.

    Parameters
    ----------
    rate_hz : 8000 to 192000 are tested.
    max_samples : the longest `x` of one call.

    Raises `ValueError` for a spec that can't be.
    """

    def __init__(self, spec: AdaptiveSpec, rate_hz: int, max_samples: int) -> None:
        check_clean_spec(spec)
        if rate_hz < 1:
            raise ValueError(f"rate_hz must be positive, not {rate_hz}")
        if max_samples < 1:
            raise ValueError(f"max_samples must be 1 or more, not {max_samples}")
        self._max_samples = max_samples
        self._engine: Engine = (
            NlmsEngine(spec, rate_hz) if spec.method == "nlms" else FrequencyEngine(spec, rate_hz)
        )
        self._block = self._engine.block
        self.delay_samples = self._block - 1
        # The line enhancer's reference: the signal itself, `ahead` samples ago.
        self._own_past = spec.method == "line"
        ahead = max(round(spec.ahead_s * rate_hz), 1) if self._own_past else 0
        self._ahead = ahead
        room = max_samples + 2 * self._block
        self._input = np.zeros(room, np.float32)
        self._reference = np.zeros(room + ahead, np.float32)
        self._out = np.empty(room, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget what was learnt and the past: the next sample is number 0 again."""
        self._engine.reset()
        self._reference[: self._ahead] = 0.0
        self._filled = 0

    def process(self, x: Float32, reference: Float32 | None = None) -> Float32:
        """Return the samples that `x` completes, (m,) float32, the filter's own.

        They hold until the next call. Raises `ValueError` for more than `max_samples`, or a
        reference that is missing, not wanted ("line") or of another length.

        Parameters
        ----------
        x, reference : (n_samples,) float32, finite, of the same moments; only read.
        """
        if x.size > self._max_samples:
            raise ValueError(f"x has {x.size} samples, more than max_samples={self._max_samples}")
        self._check(x, reference)
        end = self._filled + x.size
        self._input[self._filled : end] = x
        # Of its own past the last `ahead` samples stand before these.
        own = x if reference is None else reference
        self._reference[self._ahead + self._filled : self._ahead + end] = own
        self._filled = end
        return self._advance(end // self._block)

    def flush(self) -> Float32:
        """Return the samples that are still owed, and start anew as by `reset`."""
        owed = self._filled
        end = -(-owed // self._block) * self._block
        self._input[owed:end] = 0.0
        self._reference[self._ahead + owed : self._ahead + end] = 0.0
        rest = self._advance(end // self._block)[:owed]
        self.reset()
        return rest

    def _check(self, x: Float32, reference: Float32 | None) -> None:
        if self._own_past and reference is not None:
            raise ValueError('"line" takes no reference: it hears the signal\'s own past')
        if not self._own_past and reference is None:
            raise ValueError("a reference is needed")
        if reference is not None and reference.size != x.size:
            raise ValueError(f"the reference has {reference.size} samples, x has {x.size}")

    def _advance(self, n_blocks: int) -> Float32:
        block, done = self._block, n_blocks * self._block
        out = self._out[:done]
        for at in range(0, done, block):
            x = self._input[at : at + block]
            cleaned = self._engine.process(x, self._reference[at : at + block])
            quieter = np.dot(cleaned, cleaned) <= 4.0 * np.dot(x, x)  # which a NaN is not
            out[at : at + block] = cleaned if quieter else x
        self._filled = max(self._filled - done, 0)
        self._input[: self._filled] = self._input[done : done + self._filled]
        kept = self._ahead + self._filled
        self._reference[:kept] = self._reference[done : done + kept]
        return out


def cancel(
    samples: Float32, reference: Float32 | None, rate_hz: int, spec: AdaptiveSpec
) -> Float32:
    """Return the samples, (n_samples,) float32, without what the reference foretells.

    Raises `ValueError` as `AdaptiveFilter` and its `process`.
    """
    adaptive = AdaptiveFilter(spec, rate_hz, max(samples.size, 1))
    # The first part is valid until `flush`.
    return np.concatenate([adaptive.process(samples, reference).copy(), adaptive.flush()])
