# SPDX-License-Identifier: MIT
"""What measures and does nothing else: for the meter in a terminal, and for calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.dsp.bands import BandMeter, bands_of
from edge.dsp.batch import Batch
from edge.dsp.chain import Chain
from edge.dsp.levels import LevelMeter
from edge.types import Gap

if TYPE_CHECKING:
    from edge.dsp.spec import CoreDesign
    from edge.types import Bands, Level, Period, StreamFormat

BATCHES_PER_S: Final = 16


class SoundMeter:
    """Gain, filters, levels and bands of a stream, as in the real-time path.

    Parameters
    ----------
    stream : as granted by the source.
    design : filters designed for its rate; the microphone's correction is applied.
    channel : the one that is measured, from 0; None: the mean of all.
    gain_db : applied first.
    updates_per_s : levels a second; bands come each second.
    """

    def __init__(
        self,
        *,
        stream: StreamFormat,
        design: CoreDesign,
        channel: int | None,
        gain_db: float,
        updates_per_s: int = 1,
    ) -> None:
        rate_hz = stream.rate_hz
        batch = max(rate_hz // BATCHES_PER_S, 1)
        self.grid = bands_of(rate_hz)
        self.weighting_class = int(design.weighting_class)
        """Class of IEC 61672-1 that A and C keep at this rate: 1, 2, or 0 for neither."""
        self.off_db = float(design.correction_off_db)
        """The most that the response is off after it was taken out, from 20 Hz to 20 kHz."""
        self._batch = Batch(batch)
        filters = np.vstack([design.chain_sos, design.correction_sos])
        self._chain = Chain(filters, channel, gain_db, batch)
        interval = max(rate_hz // updates_per_s, 1)
        self._levels = LevelMeter(rate_hz, design.a_sos, design.c_sos, batch, interval)
        self._bands = BandMeter(rate_hz, design.bands_sos, design.halving_taps, batch)

    def process(self, item: Period | Gap) -> list[Level | Bands]:
        """Take what the source read; return what it completes."""
        if isinstance(item, Gap):
            done = self._work()
            self._chain.restart()
            return [
                *done,
                *self._levels.gap(item.lost_samples),
                *self._bands.gap(item.lost_samples),
            ]
        done = []
        rest = item.samples
        while len(rest):
            rest = rest[self._batch.keep(rest) :]
            if self._batch.full:
                done += self._work()
        return done

    def flush(self) -> list[Level | Bands]:
        """Return what is left at the end of a stream."""
        return [*self._work(), *self._bands.flush()]

    def _work(self) -> list[Level | Bands]:
        if (raw := self._batch.take()) is None:
            return []
        settle = not self._chain.settled
        filtered, clipped = self._chain.process(raw)
        return [
            *self._levels.process(filtered, clipped, settle=settle),
            *self._bands.process(filtered),
        ]
