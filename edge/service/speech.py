# SPDX-License-Identifier: MIT
"""Whether somebody speaks in a clip, before anybody writes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.dsp.convert import to_mono
from edge.dsp.resample import resampler
from edge.model.voice import RATE_HZ, WINDOW, VoiceModel
from edge.record.sidecar import Speech

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.record.history import Stretch
    from edge.record.logbook import Logbook

BLOCK_S: Final = 1.0  # decimated at a time


class VoiceJudge:
    """Asks a voice model about the whole of a clip, pre- and post-roll too, and every channel.

    It wants `context_samples` from before and after a clip with it: one window less than
    `min_s`. So a word that lies across an edge counts whole, in both clips where one is cut,
    and one that lies beside it does not.

    Parameters
    ----------
    model : the model's file.
    rate_hz : of the clips.
    taps : of the decimation to the model's rate; empty where it is no whole factor.
    threshold : probability that counts as voice.
    min_s : so much voice, anywhere in the clip, makes it speech.
    """

    def __init__(
        self,
        model: Path,
        *,
        rate_hz: int,
        taps: NDArray[np.float64],
        threshold: float,
        min_s: float,
    ) -> None:
        self._model = VoiceModel(model)
        self._name = model.stem
        self._rate_hz = rate_hz
        self._block = round(rate_hz * BLOCK_S)
        self._resampler = resampler(rate_hz, RATE_HZ, taps, self._block)
        self._threshold = threshold
        self._windows = max(math.ceil(min_s * RATE_HZ / WINDOW), 1)
        self.context_samples = (self._windows - 1) * WINDOW * rate_hz // RATE_HZ

    def __call__(self, stretch: Stretch) -> Speech:
        """Return the verdict; the score is reached for `min_s` of what is heard."""
        channels = range(stretch.samples.shape[1])
        score = max(self._score(stretch, channel) for channel in channels)
        return Speech(self._name, score, score >= self._threshold)

    def _score(self, stretch: Stretch, channel: int) -> float:
        voiced = np.sort(self._model.probabilities(self._hear(stretch, channel)))
        return float(voiced[-min(self._windows, len(voiced))])

    def _hear(self, stretch: Stretch, channel: int) -> Iterator[NDArray[np.float32]]:
        """Give one channel at the model's rate, to its last sample, a second at a time."""
        mono = np.zeros(self._block, np.float32)
        self._resampler.reset()
        wanted = (len(stretch.samples) + self._resampler.delay_samples) * RATE_HZ / self._rate_hz
        for at in range(0, len(stretch.samples), self._block):
            heard, _ = to_mono(stretch.samples[at : at + self._block], channel, 1.0, mono)
            wanted -= len(part := self._resampler.process(heard))
            yield part
        # What is still inside the resampler comes out with what follows: silence.
        mono[:] = 0.0
        while wanted > 0:
            wanted -= len(part := self._resampler.process(mono))
            yield part


class LabelJudge:
    """Asks the classifier's own speech labels, as they stand in the logbook.

    Parameters
    ----------
    labels : that are speech; the classifier has one of them or more.
    threshold : score that counts.
    """

    context_samples = 0
    """Patches reach over the edges of a clip by themselves."""

    def __init__(self, logbook: Logbook, labels: Sequence[str], threshold: float) -> None:
        self._logbook = logbook
        self._labels = labels
        self._threshold = threshold

    def __call__(self, stretch: Stretch) -> Speech:
        """Return the verdict over all patches that touch the clip.

        A clip of which the classifier has not heard everything could hold anything: it counts
        as speech. So does the last clip before a stop.
        """
        stop = stretch.start + len(stretch.samples)
        heard = self._logbook.scores_of(stretch.start, stop)
        score = max((heard[label] for label in self._labels if label in heard), default=1.0)
        if not self._logbook.covers(stretch.start, stop, stretch.holes):
            score = 1.0
        return Speech("classifier", score, score >= self._threshold)
