# SPDX-License-Identifier: MIT
"""The inference thread: the newest patch to scores to events.

==========  =====================================================================
thread      calls
==========  =====================================================================
capture     `put`, `miss`: neither waits
inference   `run`: classifier, detector, and who takes what they give
main        `figures`, `stall_s`, `close`
==========  =====================================================================
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from edge.service.figures import Durations
from edge.service.notify import INFERENCE_STALL_S
from edge.service.recording import new_model
from edge.service.rules import state_labels
from edge.service.supervisor import Mailbox
from edge.types import Gap

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config.schema import Settings
    from edge.model.registry import ModelInfo
    from edge.pipeline import Pipeline
    from edge.record.recorder import Recorder
    from edge.service.models import Models
    from edge.service.reporter import Reporter
    from edge.service.shedding import Shedding
    from edge.service.thresholds import Thresholds
    from edge.types import Event, Patch

log = logging.getLogger(__name__)


class Inference:
    """Hears with the model in use, as far as the box can bear it.

    Parameters
    ----------
    rate_hz : of the sample indices.
    models : which classifier, and when another takes over.
    pipeline : whose `detect` and `miss` belong to this thread.
    recorder : None: nothing is recorded.
    thresholds : what was told of them.
    paused : whether nothing is to be classified now.
    tell : takes the events.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        rate_hz: int,
        models: Models,
        pipeline: Pipeline,
        shedding: Shedding,
        reporter: Reporter,
        recorder: Recorder | None,
        thresholds: Thresholds,
        paused: Callable[[], bool],
        tell: Callable[[list[Event]], None],
    ) -> None:
        self._settings = settings
        self._rate_hz = rate_hz
        self._models = models
        self._pipeline = pipeline
        self._shedding = shedding
        self._reporter = reporter
        self._recorder = recorder
        self._thresholds = thresholds
        self._paused = paused
        self._tell = tell
        self._patches: Mailbox[Patch | Gap] = Mailbox()
        self._durations = Durations()
        self._inferences = 0
        self._output_bad = False
        self.turns = 0
        """Patches and holes so far: this thread is alive while they grow."""

    def put(self, patch: Patch) -> None:
        """Leave a patch in the place of one that still waits."""
        self._patches.put(patch)

    def miss(self, gap: Gap) -> None:
        """Leave a hole that lasts, where no patch waits."""
        self._patches.offer(gap)

    def close(self) -> None:
        """Make `run` come to its end after the patch that waits."""
        self._patches.close()

    def run(self) -> None:
        """Work until `close`."""
        self._begin(self._models.classifier.info)
        while item := self._patches.take():
            self.turns += 1
            if isinstance(item, Gap):
                self._pass_over(item.sample_index + item.lost_samples)
                continue
            if item.model != self._models.number:
                self._take_over()
            for label, rule in self._thresholds.news():
                self._pipeline.change_rule(label, rule)
            if self._paused():
                self._pause(item)
            elif self._shedding.classifies():
                self._classify(item)
            else:
                self._pass_over(item.sample_index)

    def figures(self) -> dict[str, Any]:
        """Return what `health` says of it."""
        return {
            "inferences": self._inferences,
            "late_patches": self._patches.dropped,
            "bad_outputs": self._models.classifier.bad_outputs,
            "model": self._models.trouble or "ok",
            **self._durations.figures("inference"),
        }

    def stall_s(self) -> float:
        """Return how long no turn is too long: a slow model's patches are far apart."""
        model = self._models.classifier.info
        hop_s = model.front_end.hop_length / model.front_end.rate_hz
        return max(INFERENCE_STALL_S, (3 * model.patch_hop + model.patch_frames) * hop_s)

    def _classify(self, patch: Patch) -> None:
        classifier = self._models.classifier
        bad_before = classifier.bad_outputs
        began_s = time.perf_counter()
        scores = classifier.classify(patch)
        self._durations.add(time.perf_counter() - began_s)
        self._note_output(bad=classifier.bad_outputs > bad_before)
        self._models.note(valid=scores.valid)
        # Events first: with a patch's scores the recorder takes all before its end as known.
        self._tell(self._pipeline.detect(scores))
        self._reporter.scores(scores)
        if self._recorder:
            self._recorder.scores(scores)
        self._inferences += 1

    def _pause(self, patch: Patch) -> None:
        """Let nobody hear this patch, nor find it in a clip."""
        if self._recorder:  # first: what ends with it ends before it
            self._recorder.pause(patch.sample_index, patch.sample_index + patch.n_samples)
        self._pass_over(patch.sample_index)

    def _pass_over(self, end_index: int) -> None:
        """End what nobody hears any more, events and clips."""
        self._tell(self._pipeline.miss(end_index))
        if self._recorder:
            self._recorder.miss(end_index)

    def _begin(self, model: ModelInfo) -> None:
        for label, rule in self._thresholds.begin(model).items():
            self._pipeline.change_rule(label, rule)

    def _take_over(self) -> None:
        """Hear with another model from this patch on."""
        if ears := self._models.take_over():
            model = ears.classifier.info
            self._tell(self._pipeline.change_detector(ears.detector))
            self._begin(model)
            self._reporter.change_labels(model.scored, state_labels(self._settings, model))
            if self._recorder:
                self._recorder.change_model(new_model(self._settings, self._rate_hz, model))
            ears.taken.set()

    def _note_output(self, *, bad: bool) -> None:
        if bad and not self._output_bad:
            log.error("the model's scores are not in 0..1 and count as 0")
        if self._output_bad and not bad:
            log.info(
                "the model's scores are in 0..1 again: %d were not",
                self._models.classifier.bad_outputs,
            )
        self._output_bad = bad
