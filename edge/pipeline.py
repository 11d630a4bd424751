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
measure             each 83 ms          A, C, Fast as matrix products; a Level each second
decimate            each 83 ms          one matrix product into the ring
log-Mel             each patch hop      all new frames at once, in a period of its own
==================  ==================  ===========================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.dsp.convert import to_mono
from edge.dsp.filters import BlockFilter
from edge.dsp.levels import LevelMeter
from edge.dsp.logmel import LogMelStream, normalise
from edge.dsp.resample import resampler
from edge.ring import Ring
from edge.types import Gap, Patch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.dsp.spec import CoreDesign, LogMelSpec
    from edge.model.detector import Detector
    from edge.types import Event, Level, Period, Samples, Scores, StreamFormat

BATCHES_PER_S = 12  # fewer are cheaper, but the dearest period must stay under 1 ms


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
    ) -> None:
        self._batch = batch = max(stream.rate_hz // BATCHES_PER_S, 1)
        patch_samples = (patch_frames - 1) * front_end.hop_length + front_end.win_length
        # A patch, and what one call may add before the next one cuts it.
        longest_s = (stream.period_size + 2 * batch) / stream.rate_hz
        self._rate_ratio = stream.rate_hz / front_end.rate_hz
        self._spec = front_end
        self._patch_hop = patch_hop
        self._channel = channel
        self._gain = 10.0 ** (gain_db / 20.0)
        self._detector = detector
        self._kept: Samples | None = None  # made when the first period tells the integer type
        self._n_kept = 0
        self._mono = np.zeros(batch, np.float32)
        self._chain = BlockFilter(design.chain_sos, batch)
        self._settled = False  # the filters, on the microphone's offset
        self._meter = LevelMeter(stream.rate_hz, design.a_sos, design.c_sos, batch)
        taps = design.decimation_taps
        self._decimator = resampler(stream.rate_hz, front_end.rate_hz, taps, batch)
        self._ring = Ring(patch_samples + int((longest_s + 0.1) * front_end.rate_hz))
        self._log_mel = LogMelStream(front_end, patch_samples)
        self._frames = np.zeros((patch_frames, front_end.n_mels), np.float32)
        self._sample_index = 0  # after the last sample that came in
        self._origin = 0  # captured index where this stretch without a gap began
        self._consumed = 0  # ring index up to which frames are made
        self._next_frame = 0  # first frame of the next patch, counted from the origin

    def process(self, item: Period | Gap) -> list[Level | Patch]:
        """Take what the source read; return what became due, oldest first.

        Raises `ValueError` if `item` does not begin where the one before it ended.
        """
        if item.sample_index != self._sample_index:
            raise ValueError(f"expected sample {self._sample_index}, got {item.sample_index}")
        if isinstance(item, Gap):
            return self._skip(item)
        # A patch is cut in the call after the one that completed it, so that batch
        # and log-Mel do not meet in one period: the dearest period stays cheap.
        out: list[Level | Patch] = list(self._cut_patches())
        self._sample_index += len(item.samples)
        rest = item.samples
        while len(rest):
            rest = rest[self._keep(rest) :]
            if self._n_kept == self._batch:
                out += self._work()
        return out

    def detect(self, scores: Scores) -> list[Event]:
        """Return the events that the scores of one patch begin or end."""
        return self._detector.update(scores)

    def flush(self) -> list[Level | Patch]:
        """Work on what is left at the end of a stream."""
        return [*self._work(), *self._cut_patches()]

    def close_events(self) -> list[Event]:
        """Return the offsets of what still sounds when the stream ends."""
        return self._detector.flush(self._sample_index)

    def _keep(self, samples: Samples) -> int:
        """Copy what fits into the batch; return how many."""
        if self._kept is None:
            self._kept = np.zeros((self._batch, samples.shape[1]), samples.dtype)
        n = min(len(samples), self._batch - self._n_kept)
        self._kept[self._n_kept : self._n_kept + n] = samples[:n]
        self._n_kept += n
        return n

    def _work(self) -> list[Level]:
        """Hear, filter, measure and decimate the batch that is kept."""
        if self._kept is None or self._n_kept == 0:
            return []
        raw, self._n_kept = self._kept[: self._n_kept], 0
        mono, clipped = to_mono(raw, self._channel, self._gain, self._mono)
        settle, self._settled = not self._settled, True
        if settle:  # else the offset is a click that a high-pass passes on
            self._chain.reset(settled_at=float(mono.mean()))
        filtered = self._chain.process(mono)
        levels = self._meter.process(filtered, clipped, settle=settle)
        self._ring.write(self._decimator.process(filtered))
        return levels

    def _cut_patches(self) -> Iterator[Patch]:
        """Give each patch whose last window is there."""
        while self._ring.end >= self._needed():
            new = self._log_mel.process(self._ring.read(self._consumed, self._needed()))
            self._consumed = self._needed()
            kept = len(self._frames) - len(new)
            self._frames[:kept] = self._frames[len(new) :]
            self._frames[kept:] = new
            yield self._patch()
            self._next_frame += self._patch_hop

    def _needed(self) -> int:
        """Return the ring index where the next patch's last window ends."""
        last_frame = self._next_frame + len(self._frames) - 1
        return last_frame * self._spec.hop_length + self._spec.win_length

    def _patch(self) -> Patch:
        first = self._next_frame * self._spec.hop_length
        return Patch(
            sample_index=self._captured(first),
            n_samples=self._captured(self._needed()) - self._captured(first),
            frames=normalise(self._frames.copy(), self._spec),
        )

    def _captured(self, heard_index: int) -> int:
        """Return the captured sample index of a sample in the ring."""
        delayed = round(heard_index * self._rate_ratio) - self._decimator.delay_samples
        return self._origin + max(delayed, 0)

    def _skip(self, gap: Gap) -> list[Level | Patch]:
        """Finish what came before the hole; begin anew behind it."""
        out = self.flush()
        self._sample_index += gap.lost_samples
        out += self._meter.gap(gap.lost_samples)
        self._settled = False
        self._decimator.reset()
        self._log_mel.reset()
        self._ring.restart(0)
        self._origin = self._sample_index
        self._consumed = self._next_frame = 0
        return out
