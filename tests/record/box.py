# SPDX-License-Identifier: MIT
"""A recorder on a real folder, fed by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from edge.record.history import History
from edge.record.logbook import Logbook
from edge.record.planner import ClipPlanner, Lengths
from edge.record.recorder import Recorder
from edge.record.retention import Limits, Retention
from edge.record.sidecar import Origin
from edge.record.store import ClipStore
from edge.record.writer import ClipWriter, Privacy
from edge.types import Event, Gap, Period, Scores, StreamFormat, Utc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RATE_HZ = 8000
STREAM = StreamFormat(RATE_HZ, 1, 400, "S16_LE")
LENGTHS = Lengths(pre_roll=8000, post_roll=4000, max_clip=40_000, known_after=8000)
ORIGIN = Origin("box", "box-1", "Test", {"name": "m", "version": "1", "sha256": "0"}, "0.1")
SOUND = np.random.default_rng(0).integers(-(2**15), 2**15, (200_000, 1)).astype(np.int16)


class Box:
    """A recorder, what it was fed, and what it saved."""

    def __init__(
        self,
        directory: Path,
        *,
        privacy: Privacy | None = None,
        limits: Limits | None = None,
        labels: frozenset[str] | None = None,
        utc: bool = True,
        offset_db: float | None = None,
    ) -> None:
        self.saved: list[Mapping[str, Any]] = []
        self.now_s = 0.0
        self.store = ClipStore(directory)
        self._history = History(STREAM, LENGTHS.memory + 16_000)
        self.logbook = Logbook(("rain", "speech"), 100_000)
        self.writer = ClipWriter(
            stream=STREAM,
            origin=ORIGIN,
            history=self._history,
            logbook=self.logbook,
            store=self.store,
            retention=Retention(self.store, limits or Limits()),
            container="flac",
            privacy=privacy or Privacy(),
            utc=_utc if utc else None,
            saved=self.saved.append,
            offset_db=lambda: offset_db,
            mono_s=lambda: self.now_s,
        )
        self.recorder = Recorder(
            name=ORIGIN.stream_id,
            rate_hz=RATE_HZ,
            history=self._history,
            logbook=self.logbook,
            planner=ClipPlanner(LENGTHS),
            writer=self.writer,
            labels=labels,
            speech=frozenset({"speech"}),
        )
        self._fed = 0

    def feed(self, stop: int, *, work_off: bool = True) -> None:
        """Hear up to `stop`, in periods, with a patch each half second."""
        while self._fed < stop:
            n = min(400, stop - self._fed)
            self.recorder.keep(Period(self._fed, SOUND[self._fed : self._fed + n], 0.0))
            self._fed += n
            if self._fed % 4000 == 0:
                values = np.array([0.7, 0.1], np.float32)
                self.recorder.scores(Scores(self._fed - 4000, 4000, values))
            if work_off:
                self.recorder.work_off()

    def skip(self, lost: int) -> None:
        self.recorder.keep(Gap(self._fed, lost, "xrun", 0.0))
        self._fed += lost

    def hear(self, name: str, start: int, stop: int) -> None:
        """Tell an event, whole."""
        event = Event("onset", name, name, 0.5, start)
        self.recorder.event(event)
        self.recorder.event(replace(event, edge="offset", offset_index=stop, score=0.9))

    def audio_of(self, sidecar: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        entry = self.store.find(str(sidecar["number"]))
        samples, rate_hz = soundfile.read(
            entry.bucket / sidecar["file"], dtype="int16", always_2d=True
        )
        assert rate_hz == RATE_HZ
        return np.asarray(samples)


def _utc(index: int) -> Utc:
    return Utc(f"2026-01-01T00:00:{index / RATE_HZ:06.3f}Z", synchronised=True)


def run(box: Box, *, stop: int = 120_000) -> Box:
    """Feed a box whose recorder works in this thread, to the end."""
    box.recorder.open()
    box.feed(stop)
    box.recorder.finish()
    return box
