# SPDX-License-Identifier: MIT
"""From samples at the model's rate to the patches that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.dsp.logmel import LogMelPatch, LogMelStream, normalise
from edge.dsp.resample import resampler
from edge.ring import Ring
from edge.types import Patch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edge.dsp.resample import Resampler
    from edge.dsp.spec import LogMelSpec
    from edge.types import StreamFormat

    Float32 = NDArray[np.float32]


class PatchCutter:
    """Decimates, keeps the last samples in a ring, and cuts patches when they are whole.

    `write` costs one matrix product; `cut` makes all new frames of a patch at once: one
    real FFT of some 48 rows, one product with the mel matrix. Where a front end hears whole
    patches only, it makes all frames of each anew.

    Parameters
    ----------
    decimator : from the captured rate to the model's.
    rate_hz : the captured rate.
    spec : how the model hears.
    patch_frames, patch_hop : frames in a patch, and from one patch to the next.
    longest_s : what may be written before patches are cut.
    model : the number of the model that the patches are for.
    """

    def __init__(
        self,
        *,
        decimator: Resampler,
        rate_hz: int,
        spec: LogMelSpec,
        patch_frames: int,
        patch_hop: int,
        longest_s: float,
        model: int = 0,
    ) -> None:
        patch_samples = spec.patch_samples(patch_frames)
        self._rate_ratio = rate_hz / spec.rate_hz
        self._spec = spec
        self._model = model
        self._patch_hop = patch_hop
        self._decimator = decimator
        self._ring = Ring(patch_samples + int((longest_s + 0.1) * spec.rate_hz))
        self._patch_samples = patch_samples
        self._log_mel = LogMelPatch(spec) if spec.by_patch else LogMelStream(spec, patch_samples)
        self._frames = np.zeros((patch_frames, spec.n_mels), np.float32)
        self._origin = 0  # captured index where this stretch without a gap began
        self._written = 0  # captured samples since then
        self._consumed = 0  # ring index up to which frames are made
        self._next_frame = 0  # first frame of the next patch, counted from the origin

    @property
    def next_index(self) -> int:
        """Captured sample index of what is written next."""
        return self._origin + self._written

    def write(self, samples: Float32) -> None:
        """Take more samples at the captured rate, (n_samples,) float32; only read."""
        self._written += len(samples)
        self._ring.write(self._decimator.process(samples))

    def cut(self) -> Iterator[Patch]:
        """Give each patch whose last window is there."""
        while self._ring.end >= self._needed():
            yield self._patch(self._new_frames())
            self._next_frame += self._patch_hop

    def _new_frames(self) -> Float32:
        """Return the frames of the next patch, the receiver's own."""
        if isinstance(self._log_mel, LogMelPatch):
            return self._log_mel.process(self._ring.read(self._first(), self._needed()))
        new = self._log_mel.process(self._ring.read(self._consumed, self._needed()))
        self._consumed = self._needed()
        kept = len(self._frames) - len(new)
        self._frames[:kept] = self._frames[len(new) :]
        self._frames[kept:] = new
        return self._frames.copy()

    def restart(self, sample_index: int) -> None:
        """Begin anew behind a gap: the next sample is that of `sample_index`."""
        self._decimator.reset()
        if isinstance(self._log_mel, LogMelStream):
            self._log_mel.reset()
        self._ring.restart(0)
        self._origin, self._written = sample_index, 0
        self._consumed = self._next_frame = 0

    def _first(self) -> int:
        """Return the ring index where the next patch begins."""
        return self._next_frame * self._spec.hop_length

    def _needed(self) -> int:
        """Return the ring index where the next patch ends."""
        return self._first() + self._patch_samples

    def _patch(self, frames: Float32) -> Patch:
        start = self._captured(self._first())
        return Patch(
            sample_index=start,
            n_samples=self._captured(self._needed()) - start,
            frames=normalise(frames, self._spec),
            model=self._model,
        )

    def _captured(self, heard_index: int) -> int:
        """Return the captured sample index of a sample in the ring."""
        delayed = round(heard_index * self._rate_ratio) - self._decimator.delay_samples
        return self._origin + max(delayed, 0)


def patch_cutter(  # noqa: PLR0917 - a stream, a model, and what is between them
    stream: StreamFormat,
    decimation_taps: NDArray[np.float64],
    front_end: LogMelSpec,
    patch_frames: int,
    patch_hop: int,
    most_samples: int,
    *,
    model: int = 0,
) -> PatchCutter:
    """Return what cuts patches for a model out of a stream, up to `most_samples` a batch."""
    decimator = resampler(stream.rate_hz, front_end.rate_hz, decimation_taps, most_samples)
    return PatchCutter(
        decimator=decimator,
        rate_hz=stream.rate_hz,
        spec=front_end,
        patch_frames=patch_frames,
        patch_hop=patch_hop,
        # A patch, and what one call may add before the next one cuts it.
        longest_s=(stream.period_size + 2 * most_samples) / stream.rate_hz,
        model=model,
    )


class Patches:
    """The patches for the model in use, and for the next one once it can go on from there.

    That is with its first whole patch that begins where the last one for the model before ended,
    or earlier: nothing stays unheard in between. Until then the one before gets its patches.
    """

    def __init__(self, cutter: PatchCutter) -> None:
        self._cutter = cutter
        self._next: PatchCutter | None = None
        self._heard_to = 0  # captured index where the newest patch ended

    def change(self, cutter: PatchCutter) -> None:
        """Begin to cut for the next model with the sample that is written next."""
        cutter.restart(self._cutter.next_index)
        self._next = cutter

    def write(self, samples: Float32) -> None:
        """Take more samples, as `PatchCutter.write`."""
        self._cutter.write(samples)
        if self._next:
            self._next.write(samples)

    def cut(self) -> Iterator[Patch]:
        """Give each patch that is whole."""
        if self._next:
            first = [one for one in self._next.cut() if one.sample_index <= self._heard_to]
            if first:
                self._cutter, self._next = self._next, None
                return self._note(first)
        return self._note(self._cutter.cut())

    def _note(self, patches: Iterable[Patch]) -> Iterator[Patch]:
        for patch in patches:
            self._heard_to = patch.sample_index + patch.n_samples
            yield patch

    def restart(self, sample_index: int) -> None:
        """Begin anew behind a gap, as `PatchCutter.restart`."""
        self._cutter.restart(sample_index)
        self._heard_to = sample_index
        if self._next:
            self._next.restart(sample_index)
