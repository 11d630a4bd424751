# SPDX-License-Identifier: MIT
"""From what a card delivers to the filtered signal: channel, gain, filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.dsp.convert import to_mono
from edge.dsp.filters import BlockFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.types import Samples

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]


class Chain:
    """One channel, or the mean of all, through gain and filters; keeps the filters' state.

    Parameters
    ----------
    sos : (n_sections, 6) float64, the designed filters.
    channel : from 0; None: the mean of all.
    gain_db : applied first.
    max_samples : the most of one call.
    """

    def __init__(self, sos: Float64, channel: int | None, gain_db: float, max_samples: int) -> None:
        self._channel = channel
        self._gain = 10.0 ** (gain_db / 20.0)
        self._mono = np.zeros(max_samples, np.float32)
        self._filters = BlockFilter(sos, max_samples)
        self.settled = False
        """Whether the filters have the microphone's offset: not before the first samples."""

    def process(self, raw: Samples) -> tuple[Float32, int]:
        """Return the filtered samples, (n_samples,) float32, and how many were clipped.

        They are valid until the next call. Allocates nothing that grows unless a sample is
        clipped. Raises `ValueError` as `to_mono`.

        Parameters
        ----------
        raw : (n_samples, channels) as a source delivers them; only read.
        """
        mono, clipped = to_mono(raw, self._channel, self._gain, self._mono)
        if not self.settled and mono.size:  # else the offset is a click that a high-pass passes on
            self._filters.reset(settled_at=float(mono.mean()))
            self.settled = True
        return self._filters.process(mono), clipped

    def restart(self) -> None:
        """Begin anew behind a gap."""
        self.settled = False
