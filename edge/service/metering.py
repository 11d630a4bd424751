# SPDX-License-Identifier: MIT
"""What measures and does nothing else: for the meter in a terminal, and for calibration."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.clock import format_utc, wall_clock_synchronised
from edge.dsp.bands import BandMeter, bands_of
from edge.dsp.convert import to_mono
from edge.dsp.filters import BlockFilter
from edge.dsp.levels import LevelMeter
from edge.measure.calibration import FILE, Calibration, CalibrationStore
from edge.types import Gap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.config.schema import Settings
    from edge.dsp.spec import CoreDesign
    from edge.measure.calibration import Method
    from edge.measure.correction import Correction
    from edge.types import Bands, Level, Period, StreamFormat

BATCHES_PER_S: Final = 16


class SoundMeter:
    """Gain, filters, levels and bands of a stream, as in the real-time path.

    Parameters
    ----------
    stream : as granted by the source.
    design : filters designed for its rate.
    channel : the one that is measured, from 0; None: the mean of all.
    gain_db : applied first.
    updates_per_s : levels a second; bands come each second.
    response : of the microphone (Hz, dB), taken out.
    """

    def __init__(
        self,
        *,
        stream: StreamFormat,
        design: CoreDesign,
        channel: int | None,
        gain_db: float,
        updates_per_s: int = 1,
        response: Sequence[tuple[float, float]] = (),
    ) -> None:
        rate_hz = stream.rate_hz
        batch = max(rate_hz // BATCHES_PER_S, stream.period_size)
        self.grid = bands_of(rate_hz)
        self.weighting_class = int(design.weighting_class)
        """Class of IEC 61672-1 that A and C keep at this rate: 1, 2, or 0 for neither."""
        self.off_db = 0.0
        """The most that the response is off after it was taken out, from 20 Hz to 20 kHz."""
        self._channel = channel
        self._gain = 10.0 ** (gain_db / 20.0)
        self._mono = np.zeros(stream.period_size, np.float32)
        self._batch = np.zeros(batch, np.float32)
        self._n_batch = self._clipped = 0
        self._chain = BlockFilter(self._chain_of(design, response, rate_hz), batch)
        self._settled = False
        interval = max(rate_hz // updates_per_s, 1)
        self._levels = LevelMeter(rate_hz, design.a_sos, design.c_sos, batch, interval)
        self._bands = BandMeter(rate_hz, design.bands_sos, design.halving_taps, batch)

    def process(self, item: Period | Gap) -> list[Level | Bands]:
        """Take what the source read; return what it completes."""
        if isinstance(item, Gap):
            done = self._work()
            self._settled = False
            return [
                *done,
                *self._levels.gap(item.lost_samples),
                *self._bands.gap(item.lost_samples),
            ]
        mono, clipped = to_mono(item.samples, self._channel, self._gain, self._mono)
        done = self._work() if self._n_batch + mono.size > self._batch.size else []
        self._batch[self._n_batch : self._n_batch + mono.size] = mono
        self._n_batch += mono.size
        self._clipped += clipped
        return done

    def flush(self) -> list[Level | Bands]:
        """Return what is left at the end of a stream."""
        return [*self._work(), *self._bands.flush()]

    def _work(self) -> list[Level | Bands]:
        batch, clipped = self._batch[: self._n_batch], self._clipped
        self._n_batch = self._clipped = 0
        if not batch.size:
            return []
        settle, self._settled = not self._settled, True
        if settle:  # else the offset is a click that a high-pass passes on
            self._chain.reset(settled_at=float(batch.mean()))
        filtered = self._chain.process(batch)
        return [
            *self._levels.process(filtered, clipped, settle=settle),
            *self._bands.process(filtered),
        ]

    def _chain_of(
        self, design: CoreDesign, response: Sequence[tuple[float, float]], rate_hz: int
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        if not response:
            return design.chain_sos
        from edge.dsp.correction_design import correction_sos

        sections, self.off_db = correction_sos(response, rate_hz)
        return np.vstack([design.chain_sos, sections])


def calibration_store(settings: Settings) -> CalibrationStore:
    """Return the calibrations of the box."""
    return CalibrationStore(settings.state.path / FILE)


def current_calibration(settings: Settings, device: str) -> Calibration | None:
    """Return that of a source, by its name, and the channel of the settings.

    Raises `StorageError`.
    """
    return calibration_store(settings).current(device, str(settings.capture.channel))


def calibration_now(
    settings: Settings,
    device: str,
    *,
    method: Method,
    sensitivity_dbfs: float,
    reference_db: float,
    correction: Correction | None,
) -> Calibration:
    """Return a calibration of this moment. Raises `ValueError` for a figure out of range."""
    return Calibration(
        sensitivity_dbfs=round(sensitivity_dbfs, 3),
        method=method,
        device=device,
        channel=str(settings.capture.channel),
        gain_db=settings.core.gain_db,
        reference_db=reference_db,
        time=format_utc(time.time()),
        clock_synchronised=wall_clock_synchronised(),
        correction=correction,
    )
