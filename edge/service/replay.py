# SPDX-License-Identifier: MIT
"""`edge replay`: the listening unit's pipeline over recordings, as fast as it goes.

Nothing here depends on a clock, so the same recordings, settings and model give
the same lines on every machine; golden files of the tests are made from it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from edge.capture.replay import ReplaySource
from edge.errors import StorageError
from edge.publish.payloads import event_fields, level_fields, top_scores
from edge.service import build
from edge.service.calibrated import Calibrated
from edge.service.instrument import Instrument
from edge.service.recording import build_recorder
from edge.types import Bands, Gap, Level, Patch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edge.config.schema import Settings
    from edge.pipeline import Measured
    from edge.record.recorder import Recorder
    from edge.types import Event, StreamFormat

Record = dict[str, Any]

STREAM_ID: Final = "replay"
CLIP_FIELDS: Final = ("clip_id", "number", "file", "labels", "duration_s")


class Replay:
    """One run over recordings.

    Parameters
    ----------
    files : recordings or folders, as one stream at the first one's rate.
    record : whether the clips that the unit would save are saved into `record.directory`.
    """

    def __init__(self, settings: Settings, files: Sequence[Path], *, record: bool = False) -> None:
        self._classifier = build.open_model(settings)
        self._source = ReplaySource(
            files, period_size=settings.capture.period_size, pace="fast", rate_hz=None
        )
        stream = self._source.format
        self._calibrated = Calibrated(settings, self._source.name)
        self._pipeline = build.build_pipeline(
            settings, stream, self._classifier.info, STREAM_ID, self._calibrated.response
        )
        self._clips: deque[Mapping[str, Any]] = deque()
        self._recorder = self._build_recorder(settings, stream) if record else None
        self._alarms: deque[Event] = deque()
        self._measuring = Instrument(
            settings,
            stream=stream,
            stream_id=STREAM_ID,
            labels=self._classifier.info.scored,
            topics=build.build_topics(settings),
            clock=None,
            calibrated=self._calibrated,
            tell=self._alarms.append,
            send=lambda _: None,
        ).measuring
        self._rate_hz = stream.rate_hz
        self._under_range_dbfs = build.under_range_dbfs(settings, stream)
        self._labels = self._classifier.info.scored
        self._top = settings.model.top_scores

    @property
    def notes(self) -> tuple[str, ...]:
        """What could be read only in part, a sentence each; complete when the records are."""
        return self._source.notes

    def records(self) -> Iterator[Record]:
        """Give levels, scores and events, alarms among them, as they become due.

        Nobody knows the time of day of a recording: limits for some hours hold in all.
        """
        with self._source as source:
            while item := source.read():
                if isinstance(item, Gap):
                    lost = {"lost_samples": item.lost_samples, "cause": item.cause}
                    yield {"type": "gap", "time_s": self._seconds(item.sample_index), **lost}
                if self._recorder:
                    self._recorder.keep(item)
                yield from self._follow(self._pipeline.process(item))
            yield from self._follow(self._pipeline.flush())
        yield from map(self._event, self._pipeline.close_events())
        self._measuring.finish()
        yield from self._sounded()
        yield from self._finish()

    def _follow(self, outputs: Iterable[Measured]) -> Iterator[Record]:
        for output in outputs:
            match output:
                case Patch():
                    yield from self._classify(output)
                case Level():
                    self._measuring.level(output)
                    if self._recorder:
                        self._recorder.level(output)
                    start_s = self._seconds(output.sample_index)
                    figures = level_fields(
                        output, self._calibrated.offset_db(), self._under_range_dbfs
                    )
                    yield {"type": "level", "time_s": start_s, **figures}
                case Bands():
                    self._measuring.bands(output)
            self._measuring.work_off()
            yield from self._sounded()

    def _sounded(self) -> Iterator[Record]:
        """Give the alarms that have begun or ended."""
        while self._alarms:
            yield self._event(self._alarms.popleft())

    def _classify(self, patch: Patch) -> Iterator[Record]:
        scores = self._classifier.classify(patch)
        best = top_scores(self._labels, scores, self._top)
        yield {"type": "scores", "time_s": self._seconds(patch.sample_index), "scores": best}
        yield from map(self._event, self._pipeline.detect(scores))
        if self._recorder:
            self._recorder.scores(scores)
            self._recorder.work_off()
            yield from self._saved()

    def _finish(self) -> Iterator[Record]:
        if self._recorder:
            self._recorder.work_off()
            self._recorder.finish()
            yield from self._saved()
            if self._recorder.trouble:
                raise StorageError(self._recorder.trouble)

    def _saved(self) -> Iterator[Record]:
        while self._clips:
            sidecar = self._clips.popleft()
            start_s = self._seconds(sidecar["start_sample"])
            yield {"type": "clip", "time_s": start_s, **{key: sidecar[key] for key in CLIP_FIELDS}}

    def _event(self, what: Event) -> Record:
        if self._recorder:
            self._recorder.event(what)
        end = what.offset_index
        at = what.onset_index if end is None else end
        length = {} if end is None else {"duration_s": self._seconds(end - what.onset_index)}
        return {
            "type": "event",
            "time_s": self._seconds(at),
            "event_type": what.edge,
            **event_fields(what),
            **length,
        }

    def _build_recorder(self, settings: Settings, stream: StreamFormat) -> Recorder:
        recorder = build_recorder(
            settings,
            stream=stream,
            stream_id=STREAM_ID,
            device=self._source.name,
            model=self._classifier.info,
            utc=None,
            saved=self._clips.append,
            offset_db=self._calibrated.offset_db,
        )
        recorder.open()
        return recorder

    def _seconds(self, sample_index: int) -> float:
        return round(sample_index / self._rate_hz, 3)
