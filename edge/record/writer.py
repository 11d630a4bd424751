# SPDX-License-Identifier: MIT
"""From a plan to a clip on disk; pauses where the disk fails, and says so."""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from edge.decibels import named
from edge.errors import StorageError
from edge.record.encode import encode
from edge.record.folder import read_sidecar
from edge.record.name import read_stem
from edge.record.probe import probe
from edge.record.sidecar import TOP_SCORES, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.record.encode import Container
    from edge.record.history import History, Stretch
    from edge.record.logbook import Logbook
    from edge.record.planner import Plan
    from edge.record.retention import Retention
    from edge.record.sidecar import Origin, Speech
    from edge.record.store import ClipStore
    from edge.types import Samples, StreamFormat, Utc

log = logging.getLogger(__name__)

RETRY_S: Final = 10.0  # between two looks whether what failed works again
TEND_S: Final = 3600.0  # clips grow old and disks full also while nothing is heard


@dataclass(slots=True)
class Counters:
    """What became of the clips."""

    saved: int = 0  # with their sound
    vetoed: int = 0  # speech: not written, or without their sound
    lost: int = 0  # the disk was full, or failed
    overwritten_samples: int = 0  # disk or judge were so slow that the history had gone on


@dataclass(frozen=True, slots=True)
class Privacy:
    """Whom clips are for.

    judge : says whether somebody speaks; None: nobody is asked.
    context_samples : of what was before and after a clip the judge hears so much too, for a
        word may lie across an edge of it, and most of all across a cut.
    drop : a clip with speech is not written at all; else its sidecar is, without the sound.
    seal : encrypts the bytes of a clip; None: they are written as they are.
    """

    judge: Callable[[Stretch], Speech] | None = None
    context_samples: int = 0
    drop: bool = False
    seal: Callable[[bytes], bytes] | None = None


class ClipWriter:
    """Judges, encodes, encrypts and saves clips (record thread).

    Parameters
    ----------
    stream, origin : what is recorded, and by whom.
    history, logbook : the sound, and what was measured and heard in it.
    store, retention : where clips go, and what goes for them.
    container : of the files.
    utc : sample index to time; None: a replay has none.
    saved : told the sidecar of each clip that was written.
    offset_db : dBFS to dB SPL now; None: not calibrated.
    process : gives a clip other samples than were captured; None: it is as captured.
    processed : what a sidecar says of that.
    mono_s : the monotonic clock.
    """

    def __init__(
        self,
        *,
        stream: StreamFormat,
        origin: Origin,
        history: History,
        logbook: Logbook,
        store: ClipStore,
        retention: Retention,
        container: Container,
        privacy: Privacy,
        utc: Callable[[int], Utc] | None,
        saved: Callable[[Mapping[str, Any]], None],
        offset_db: Callable[[], float | None] = lambda: None,
        process: Callable[[Stretch], Samples] | None = None,
        processed: Mapping[str, Any] | None = None,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._origin = origin
        self._history = history
        self._logbook = logbook
        self._store = store
        self._retention = retention
        self._container: Container = container
        self._privacy = privacy
        self._utc = utc
        self._saved = saved
        self._offset_db = offset_db
        self._process = process
        self._processed = processed
        self._mono_s = mono_s
        self._is_open = False
        self._look_s = 0.0
        self._owed_bytes = 0  # of the clip for which there was no room
        self.trouble = ""
        """Why nothing is written now; empty: all is well."""
        self.counters = Counters()

    def change_model(self, facts: Mapping[str, str]) -> None:
        """Say of clips from now on that another model heard them: name, version and sha256."""
        self._origin = replace(self._origin, model=facts)

    def open(self) -> None:
        """Become the one who writes here, make room, and see whether what failed works again."""
        self._look_s = self._mono_s() + TEND_S
        try:
            if not self._is_open:
                self._become_writer()
            self._make_room(self._owed_bytes)
            if self.trouble:
                probe(self._store.directory, "record.directory")
        except StorageError as error:
            self._fail(error)
            self._look_s = self._mono_s() + RETRY_S
        else:
            self._heal()

    def close(self) -> None:
        """Let another process write here."""
        self._store.close()

    def write(self, plans: Sequence[Plan]) -> None:
        """Make a clip of each plan; what can't be written is counted."""
        for plan in plans:
            try:
                self._write(plan)
            except StorageError as error:
                self.counters.lost += 1
                self._fail(error)

    def tend(self) -> None:
        """Make room now and then; see whether what failed works again."""
        if self._mono_s() >= self._look_s:
            self.open()

    def mark(self, clip: str, *, keep: bool) -> str | StorageError:
        """Mark a clip, told by its number or its file, as kept or not; return its name."""
        # By its id it would have to be looked for in all sidecars.
        if not (clip.isdecimal() or read_stem(clip.partition(".")[0])):
            return StorageError(f"{clip!r} is no number or file of a clip", "see the topic `clip`")
        try:
            entry = self._store.find(clip, by_id=False)
            self._store.set_keep(entry, keep)
        except StorageError as error:
            return error
        return entry.stem

    def _become_writer(self) -> None:
        removed = self._store.open()
        self._is_open = True
        if removed:
            log.warning("removed %d leftovers of an interrupted recording", removed)

    def _write(self, plan: Plan) -> None:
        if not self._is_open:
            self._become_writer()
        context = self._privacy.context_samples
        heard = self._history.read(
            max(plan.start - context, 0), min(plan.stop + context, self._history.end)
        )
        stretch = heard.part(plan.start, plan.stop)
        self._count_overwritten(stretch)
        spoken = self._privacy.judge(heard) if self._privacy.judge else None
        vetoed = spoken is not None and spoken.spoken
        self.counters.vetoed += vetoed
        if vetoed and self._privacy.drop:
            return
        self._owed_bytes = 0 if vetoed else stretch.samples.nbytes
        self._make_room(self._owed_bytes)
        audio, extension = (None, self._container) if vetoed else self._encode(stretch)
        path = self._store.save(self._sidecar(plan, stretch, spoken), audio, extension)
        self._owed_bytes = 0
        self.counters.saved += not vetoed
        self._heal()
        self._saved(read_sidecar(path))

    def _encode(self, stretch: Stretch) -> tuple[bytes, str]:
        stream = self._stream
        samples = self._process(stretch) if self._process else stretch.samples
        audio = encode(samples, stream.rate_hz, stream.sample_format, self._container)
        if seal := self._privacy.seal:
            return seal(audio), f"{self._container}.age"
        return audio, self._container

    def _sidecar(self, plan: Plan, stretch: Stretch, spoken: Speech | None) -> dict[str, Any]:
        vetoed = spoken is not None and spoken.spoken
        times = (self._utc(plan.start), self._utc(plan.stop)) if self._utc else None
        best = self._logbook.scores_of(plan.start, plan.stop)
        levels = self._logbook.levels_of(plan.start, plan.stop)
        return {
            **describe(plan, stretch, self._stream, self._origin, times),
            "scores": dict(itertools.islice(best.items(), TOP_SCORES)),
            "levels": named(levels, self._offset_db()),
            "speech": spoken.fields() if spoken else None,
            "processed": self._processed,
            "encrypted": self._privacy.seal is not None and not vetoed,
        }

    def _count_overwritten(self, stretch: Stretch) -> None:
        lost = sum(one.stop - one.start for one in stretch.holes if one.cause == "overwritten")
        if lost:
            log.error("clips are made too slowly: %d samples of one were overwritten", lost)
        self.counters.overwritten_samples += lost

    def _make_room(self, needed_bytes: int) -> None:
        """Delete what retention asks for. Raises `StorageError` where that is not enough."""
        now = self._utc(self._history.end) if self._utc else None
        outcome = self._retention.make_room(needed_bytes, now)
        if outcome.deleted:
            log.info("deleted %d old clips, %d bytes", outcome.deleted, outcome.freed_bytes)
        if not outcome.enough:
            raise StorageError(
                f"there is no room for clips: {outcome.why}",
                "free some space, or see [retention] in the settings",
            )

    def _fail(self, error: StorageError) -> None:
        if not self.trouble:
            log.error("recording pauses: %s", error)
            self._look_s = self._mono_s() + RETRY_S
        self.trouble = error.message
        if isinstance(error.__cause__, OSError):
            # The folder may be gone, or another one mounted there: begin anew with it.
            self._store.close()
            self._is_open = False

    def _heal(self) -> None:
        if self.trouble:
            log.warning("recording goes on; %d clips were lost so far", self.counters.lost)
        self.trouble = ""
