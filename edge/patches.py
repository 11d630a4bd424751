# SPDX-License-Identifier: MIT
"""From samples at the model's rate to the patches that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.dsp.logmel import LogMelStream, normalise
from edge.ring import Ring
from edge.types import Patch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.dsp.resample import Resampler
    from edge.dsp.spec import LogMelSpec

    Float32 = NDArray[np.float32]


class PatchCutter:
    """Decimates, keeps the last samples in a ring, and cuts patches when they are whole.

    `write` costs one matrix product; `cut` makes all new frames of a patch at once: one
    real FFT of some 48 rows, one product with the mel matrix.

    Parameters
    ----------
    decimator : from the captured rate to the model's.
    rate_hz : the captured rate.
    spec : how the model hears.
    patch_frames, patch_hop : frames in a patch, and from one patch to the next.
    longest_s : what may be written before patches are cut.
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
    ) -> None:
        patch_samples = (patch_frames - 1) * spec.hop_length + spec.win_length
        self._rate_ratio = rate_hz / spec.rate_hz
        self._spec = spec
        self._patch_hop = patch_hop
        self._decimator = decimator
        self._ring = Ring(patch_samples + int((longest_s + 0.1) * spec.rate_hz))
        self._log_mel = LogMelStream(spec, patch_samples)
        self._frames = np.zeros((patch_frames, spec.n_mels), np.float32)
        self._origin = 0  # captured index where this stretch without a gap began
        self._consumed = 0  # ring index up to which frames are made
        self._next_frame = 0  # first frame of the next patch, counted from the origin

    def write(self, samples: Float32) -> None:
        """Take more samples at the captured rate, (n_samples,) float32; only read."""
        self._ring.write(self._decimator.process(samples))

    def cut(self) -> Iterator[Patch]:
        """Give each patch whose last window is there."""
        while self._ring.end >= self._needed():
            new = self._log_mel.process(self._ring.read(self._consumed, self._needed()))
            self._consumed = self._needed()
            kept = len(self._frames) - len(new)
            self._frames[:kept] = self._frames[len(new) :]
            self._frames[kept:] = new
            yield self._patch()
            self._next_frame += self._patch_hop

    def restart(self, sample_index: int) -> None:
        """Begin anew behind a gap: the next sample is that of `sample_index`."""
        self._decimator.reset()
        self._log_mel.reset()
        self._ring.restart(0)
        self._origin = sample_index
        self._consumed = self._next_frame = 0

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
