# SPDX-License-Identifier: MIT
"""What somebody who listens in hears: each period filtered at once, not in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge.dsp.convert import to_mono
from edge.dsp.filters import BlockFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.types import Samples, StreamFormat

    Float32 = NDArray[np.float32]


class Cleaner(Protocol):
    """A filter that is not linear: noise reduction."""

    def process(self, x: Float32) -> Float32:
        """Return the cleaned samples that are due, valid until the next call."""


class Monitor:
    """One channel through the chain, period by period, its state kept between calls.

    Parameters
    ----------
    stream : the format as granted by the source.
    chain_sos : (n_sections, 6) float64, the designed filters.
    channel : from 0; None: the mean of all.
    gain : linear, applied first.
    cleaner : after the filters.
    """

    def __init__(
        self,
        stream: StreamFormat,
        chain_sos: NDArray[np.float64],
        *,
        channel: int | None = None,
        gain: float = 1.0,
        cleaner: Cleaner | None = None,
    ) -> None:
        self._channel = channel
        self._gain = gain
        self._cleaner = cleaner
        self._mono = np.zeros(stream.period_size, np.float32)
        self._chain = BlockFilter(chain_sos, stream.period_size)
        self._settled = False

    def process(self, samples: Samples) -> Float32:
        """Return what is heard of one period, (n_samples,) float32, valid until the next call.

        Parameters
        ----------
        samples : (n_samples, channels) as a source delivers them, up to a period; only read.
        """
        mono, _ = to_mono(samples, self._channel, self._gain, self._mono)
        if not self._settled and mono.size:  # else the offset is a click that a high-pass passes
            self._chain.reset(settled_at=float(mono.mean()))
            self._settled = True
        filtered = self._chain.process(mono)
        return self._cleaner.process(filtered) if self._cleaner else filtered

    def restart(self) -> None:
        """Begin anew after a gap."""
        self._settled = False
