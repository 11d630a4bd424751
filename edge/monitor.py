# SPDX-License-Identifier: MIT
"""What somebody who listens in hears: each period filtered at once, not in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.dsp.chain import Chain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.dsp.clean import Cleaner
    from edge.types import Samples, StreamFormat

    Float32 = NDArray[np.float32]


class Monitor:
    """One channel through chain and cleaner, period by period, their state kept between calls.

    A cleaner gives its samples in blocks of its own, and later. Here they wait, so that each
    period gives as many as it took, always as late: by the cleaner's `delay_samples`.

    Parameters
    ----------
    stream : the format as granted by the source.
    chain_sos : (n_sections, 6) float64, the designed filters.
    channel : from 0; None: the mean of all.
    gain_db : applied first.
    cleaner : after the filters.
    reference : the channel that an adaptive filter listens to.
    """

    def __init__(
        self,
        stream: StreamFormat,
        chain_sos: NDArray[np.float64],
        *,
        channel: int | None = None,
        gain_db: float = 0.0,
        cleaner: Cleaner | None = None,
        reference: int | None = None,
    ) -> None:
        self._chain = Chain(chain_sos, channel, gain_db, stream.period_size)
        self._cleaner = cleaner
        # Filtered too, or its offset and rumble would be all that an adaptive filter hears.
        other = (chain_sos, reference, gain_db, stream.period_size)
        self._reference = None if reference is None else Chain(*other)
        self.delay_samples = cleaner.delay_samples if cleaner else 0
        """So much later than captured a sample is heard."""
        self._waiting = np.zeros(self.delay_samples + stream.period_size, np.float32)
        self._n_waiting = self.delay_samples  # silence, until the cleaner's first sample
        self._due = np.zeros(stream.period_size, np.float32)

    def process(self, samples: Samples) -> Float32:
        """Return what is heard of one period, (n_samples,) float32, valid until the next call.

        Parameters
        ----------
        samples : (n_samples, channels) as a source delivers them, up to a period; only read.
        """
        filtered, _ = self._chain.process(samples)
        if self._cleaner is None:
            return filtered
        other = self._reference.process(samples)[0] if self._reference else None
        cleaned = self._cleaner.process(filtered, other)
        end = self._n_waiting + cleaned.size
        self._waiting[self._n_waiting : end] = cleaned
        due = self._due[: filtered.size]
        due[:] = self._waiting[: due.size]
        self._n_waiting = end - due.size
        self._waiting[: self._n_waiting] = self._waiting[due.size : end]
        return due

    def restart(self) -> None:
        """Begin anew after a gap."""
        self._chain.restart()
        if self._reference:
            self._reference.restart()
        if self._cleaner:
            self._cleaner.reset()
            self._waiting[: self.delay_samples] = 0.0
            self._n_waiting = self.delay_samples
