# SPDX-License-Identifier: MIT
"""The real-time path: from a period of integers to levels, patches and events.

A function of its samples: no clock, file, log, setting or queue in here, so
`edge replay` runs the product and not a copy of it.

==========  ===========================  ==========================================
thread      calls                        when
==========  ===========================  ==========================================
capture     `process`                    each period (about 20 ms)
inference   `detect`                     each patch (0.48 s), after the classifier
==========  ===========================  ==========================================

The two share nothing but what they hand over. What one period costs, in the
order of the way of a sound (measured: `tools/README.md`):

==================  ==================  ===========================================
step                due                 work
==================  ==================  ===========================================
keep                each period         one copy of integers
hear, filter        each 83 ms          integers to float, the chain as matrix products
clean, if asked     each 83 ms          adaptive filter, noise reduction; they lag by a window
measure             each 83 ms          A, C, Fast, Slow as matrix products; a Level each second
decimate            each 83 ms          one matrix product into the ring
bands               each 83 ms          third octaves, in the period after; Bands each second
log-Mel             each patch hop      all new frames at once, in a period of its own
==================  ==================  ===========================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.dsp.bands import BandMeter
from edge.dsp.batch import Batch
from edge.dsp.branch import Branches
from edge.dsp.chain import Chain
from edge.dsp.filters import BlockFilter
from edge.dsp.levels import LevelMeter
from edge.patches import PatchCutter, Patches, patch_cutter
from edge.types import Bands, Gap, Level, Patch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.dsp.spec import CoreDesign, LogMelSpec
    from edge.model.detector import Detector, Rule
    from edge.types import Event, Period, Scores, StreamFormat

    Float32 = NDArray[np.float32]

Measured = Level | Bands | Patch

# Fewer are cheaper, but make a period dearer: it stays under 1 ms, but where a front end that
# hears whole patches makes one (mn04: 1.3 ms).
BATCHES_PER_S = 12


def batch_samples(rate_hz: int) -> int:
    """Return how many samples are worked on at once."""
    return max(rate_hz // BATCHES_PER_S, 1)


class Pipeline:
    """Everything between a source and the classifier, and from its scores to events.

    Parameters
    ----------
    stream : the format as granted by the source.
    design : filters designed for its rate.
    front_end : how the model hears.
    patch_frames, patch_hop : frames in a patch, and from one patch to the next.
    detector : scores to events; used by `detect` alone.
    channel : the channel that is listened to, from 0; None: the mean of all.
    gain_db : applied first.
    bands : whether octave and third-octave bands are measured.
    branches : what cleans the signal before it is measured or classified.
    reference : the channel that an adaptive filter listens to.
    """

    def __init__(
        self,
        *,
        stream: StreamFormat,
        design: CoreDesign,
        front_end: LogMelSpec,
        patch_frames: int,
        patch_hop: int,
        detector: Detector,
        channel: int | None = None,
        gain_db: float = 0.0,
        bands: bool = True,
        branches: Branches | None = None,
        reference: int | None = None,
    ) -> None:
        batch = batch_samples(stream.rate_hz)
        self._batch = Batch(batch)
        self._detector = detector
        self._chain = Chain(design.chain_sos, channel, gain_db, batch)
        self._branches = branches or Branches(None, None)
        # Filtered too, or its offset and rumble would be all that an adaptive filter hears.
        other = (design.chain_sos, reference, gain_db, batch)
        self._reference = None if reference is None else Chain(*other)
        most = batch + self._branches.delay_samples  # what they may give at once
        self._correction = BlockFilter(design.correction_sos, most)  # of the microphone
        self._settled = False  # whether correction and weightings have the signal's offset
        self._meter = LevelMeter(stream.rate_hz, design.a_sos, design.c_sos, most)
        band_meter = (stream.rate_hz, design.bands_sos, design.halving_taps, most)
        self._bands = BandMeter(*band_meter) if bands else None
        self._band_input: Float32 | None = None  # valid until the chain works again
        ears = (front_end, patch_frames, patch_hop)
        self._patches = Patches(patch_cutter(stream, design.decimation_taps, *ears, most))
        self.most_samples = most  # there may be to cut patches from at once
        self._sample_index = 0  # after the last sample that came in
        self.weighting_class = int(design.weighting_class)
        """Class of IEC 61672-1 that A and C keep at this rate: 1, 2, or 0 for neither."""

    def process(self, item: Period | Gap) -> list[Measured]:
        """Take what the source read; return what became due, oldest first.

        Raises `ValueError` if `item` does not begin where the one before it ended.
        """
        if item.sample_index != self._sample_index:
            raise ValueError(f"expected sample {self._sample_index}, got {item.sample_index}")
        if isinstance(item, Gap):
            return self._skip(item)
        # Batch, bands and log-Mel each take a period of their own: the dearest stays cheap.
        out: list[Measured] = list(self._patches.cut()) or list(self._measure_bands())
        self._sample_index += len(item.samples)
        rest = item.samples
        while len(rest):
            rest = rest[self._batch.keep(rest) :]
            if self._batch.full:
                out += self._work()
        return out

    def detect(self, scores: Scores) -> list[Event]:
        """Return the events that the scores of one patch begin or end."""
        return self._detector.update(scores)

    def miss(self, end_index: int) -> list[Event]:
        """Return the events that ended where nothing was heard, up to `end_index`."""
        return self._detector.skip(end_index)

    def change_patches(self, cutter: PatchCutter) -> None:
        """Cut patches for another model from its first whole one on (capture thread)."""
        self._patches.change(cutter)

    def change_detector(self, detector: Detector) -> list[Event]:
        """Detect for another model; return the offsets of what still sounded for this one."""
        self._detector, before = detector, self._detector
        return detector.follow(before)

    def change_rule(self, label: str, rule: Rule) -> None:
        """Judge a label by another rule from the next patch on (inference thread)."""
        self._detector.change_rule(label, rule)

    def flush(self) -> list[Measured]:
        """Work on what is left at the end of a stream."""
        return [*self._work_off(), *(self._bands.flush() if self._bands else ())]

    def close_events(self) -> list[Event]:
        """Return the offsets of what still sounds when the stream ends."""
        return self._detector.flush(self._sample_index)

    def _work(self) -> list[Measured]:
        """Hear, filter, measure and decimate the batch that is kept."""
        out: list[Measured] = list(self._measure_bands())  # of the batch before, if they wait
        if (raw := self._batch.take()) is None:
            return out
        filtered, clipped = self._chain.process(raw)
        other = self._reference.process(raw)[0] if self._reference else None
        measured, heard = self._branches.process(filtered, other)
        return out + self._take(measured, heard, clipped)

    def _take(self, measured: Float32, heard: Float32, clipped: int = 0) -> list[Level]:
        """Measure and decimate what has come through the branches."""
        self._patches.write(heard)
        settle = measured.size > 0 and not self._settled
        if settle:  # else an offset, where no high-pass takes it, is a click behind a correction
            self._correction.reset(settled_at=float(measured.mean()))
            self._settled = True
        self._band_input = self._correction.process(measured)
        return self._meter.process(self._band_input, clipped, settle=settle)

    def _measure_bands(self) -> list[Bands]:
        """Measure the bands of the last batch, once."""
        samples, self._band_input = self._band_input, None
        return self._bands.process(samples) if self._bands and samples is not None else []

    def _work_off(self) -> list[Measured]:
        """Work on whatever waits."""
        out = [*self._work(), *self._measure_bands()]
        out += self._take(*self._branches.flush())
        return [*out, *self._patches.cut(), *self._measure_bands()]

    def _skip(self, gap: Gap) -> list[Measured]:
        """Finish what came before the hole; begin anew behind it."""
        out = self._work_off()
        self._sample_index += gap.lost_samples
        out += self._meter.gap(gap.lost_samples)
        out += self._bands.gap(gap.lost_samples) if self._bands else ()
        for chain in (self._chain, self._reference):
            if chain:
                chain.restart()
        self._settled = False
        self._patches.restart(self._sample_index)
        return out
