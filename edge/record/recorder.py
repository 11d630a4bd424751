# SPDX-License-Identifier: MIT
"""The recorder: keeps the last seconds, and makes clips of what others ask for.

==========  ===========================================  ==========================
thread      calls                                        waits
==========  ===========================================  ==========================
capture     `keep`, `level`                              never
inference   `event`, `scores`, `miss`, `change_model`    never
mqtt        `request`, `mark`                            never
record      `run`: plans, judges, encodes, writes        for the disk
==========  ===========================================  ==========================

Sound passes through the `History` alone; everything else through one inbox, in
order. Clips are cut by what inference has heard, not by any clock, so that a
replay makes the same ones.
"""

from __future__ import annotations

import contextlib
import queue
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.errors import StorageError
from edge.record.writer import RETRY_S
from edge.types import Event, Level, Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.errors import EdgeError
    from edge.record.history import History
    from edge.record.logbook import Logbook
    from edge.record.planner import ClipPlanner
    from edge.record.writer import ClipWriter, Counters
    from edge.types import Gap, Period

GOING_ON: Final = 20  # commands at a time: one costs nothing, their number may
BACKLOG: Final = 2000  # of anything but events that waits for a stuck disk: ten minutes


class _Missed(NamedTuple):
    end_index: int


class _Paused(NamedTuple):
    start: int
    stop: int


class _Request(NamedTuple):
    name: str
    start: int
    n_samples: int


class _Mark(NamedTuple):
    clip: str
    keep: bool
    done: Callable[[str | EdgeError], None]


class NewModel(NamedTuple):
    """What changes with the model.

    labels : of the scores that come behind it.
    facts : its name, version and sha256.
    known_after : its events are told at most so many samples late. The history was made for
        the first model: what another takes longer is taken from what a slow disk may take.
    """

    labels: Sequence[str]
    facts: Mapping[str, str]
    known_after: int


_Item = Event | _Missed | _Paused | Level | Scores | NewModel | _Request | _Mark | None


class Recorder:
    """Takes what the other threads have, and writes clips in one of its own.

    Parameters
    ----------
    name : of the stream; the names of requests begin with it.
    rate_hz : of the sample indices.
    history, logbook : what is kept: the sound, and what was measured and heard in it.
    planner : decides which samples become clips.
    writer : makes them.
    labels : of events that make clips; None: all but `speech`.
    speech : labels of events that make no clip by themselves: a box that hears somebody speak is
        not meant to keep it.
    """

    def __init__(
        self,
        *,
        name: str,
        rate_hz: int,
        history: History,
        logbook: Logbook,
        planner: ClipPlanner,
        writer: ClipWriter,
        labels: frozenset[str] | None,
        speech: frozenset[str] = frozenset(),
    ) -> None:
        self._name = name
        self._rate_hz = rate_hz
        self._history = history
        self._logbook = logbook
        self._planner = planner
        self._writer = writer
        self._labels = labels
        self._speech = speech
        self._inbox: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._ended = False
        self._asked = 0  # by the mqtt thread
        self._taken = 0  # by the record thread, which then has
        self._going_on = 0  # of them to do
        self.dropped_levels = 0
        """How many seconds of levels the inbox had no room for."""
        self.dropped_scores = 0
        """How many patches it had no room for."""

    @property
    def trouble(self) -> str:
        """Why nothing is written now; empty: all is well."""
        return self._writer.trouble

    @property
    def counters(self) -> Counters:
        """What became of the clips."""
        return self._writer.counters

    def keep(self, item: Period | Gap) -> None:
        """Keep what was captured."""
        self._history.write(item)

    def level(self, measured: Level) -> None:
        """Note one second for the sidecars."""
        self.dropped_levels += not self._offered(measured)

    def scores(self, heard: Scores) -> None:
        """Note one patch, and that everything before its end was heard."""
        self.dropped_scores += not self._offered(heard)

    def miss(self, end_index: int) -> None:
        """Note that nothing more will be heard of what lies before `end_index`."""
        self._inbox.put(_Missed(end_index))

    def pause(self, start: int, stop: int) -> None:
        """Keep samples [`start`, `stop`) out of every clip."""
        self._inbox.put(_Paused(start, stop))

    def event(self, what: Event) -> None:
        """Take an onset or an offset."""
        if what.label in self._labels if self._labels else what.label not in self._speech:
            self._inbox.put(what)

    def change_model(self, model: NewModel) -> None:
        """Take the scores and events that come behind this as those of another model."""
        self._inbox.put(model)

    def request(self, seconds: float) -> str:
        """Record from now on for `seconds`; return the name to look for in clips' `commands`.

        Raises `StorageError` while nothing can be written, and where too many wait already.
        """
        if self.trouble:
            raise StorageError(f"recording pauses: {self.trouble}")
        if self._going_on + self._asked - self._taken >= GOING_ON:
            raise StorageError(f"{GOING_ON} recordings are going on already", "wait for their end")
        self._refuse_more()
        self._asked += 1
        name = f"{self._name}-command-{self._asked}"
        n_samples = max(round(seconds * self._rate_hz), 1)
        self._inbox.put(_Request(name, self._history.end, n_samples))
        return name

    def mark(self, clip: str, *, keep: bool, done: Callable[[str | EdgeError], None]) -> None:
        """Keep a clip for ever, or no longer; `done` gets its name, or why not (record thread).

        Raises `StorageError` where too much waits already.
        """
        self._refuse_more()
        self._inbox.put(_Mark(clip, keep, done))

    def stop(self) -> None:
        """Make `run` come to its end after everything that came before."""
        self._inbox.put(None)

    def run(self) -> None:
        """Work until `stop`, then write what is left."""
        self._writer.open()
        while not self._ended:
            with contextlib.suppress(queue.Empty):
                self._take(self._inbox.get(timeout=RETRY_S))
            self._writer.tend()
        self.finish()

    def open(self) -> None:
        """Become the one who writes here. Raises `StorageError`: a replay need not go on."""
        self._writer.open()
        if self.trouble:
            raise StorageError(self.trouble)

    def work_off(self) -> None:
        """Do what is due in the caller's thread: a replay has no record thread."""
        while not self._inbox.empty():
            self._take(self._inbox.get())

    def finish(self) -> None:
        """Write what is left at the end of a stream."""
        self._writer.write(self._planner.finish(self._history.end))
        self._writer.close()

    def _refuse_more(self) -> None:
        if self._inbox.qsize() >= BACKLOG:
            raise StorageError("the recorder waits for its disk", "try again later")

    def _offered(self, item: Level | Scores) -> bool:
        """Leave an item where there is room for it; return whether there was."""
        if self._inbox.qsize() >= BACKLOG:
            return False
        self._inbox.put(item)
        return True

    def _take(self, item: _Item) -> None:
        match item:
            case None:
                self._ended = True
            case Event():
                self._planner.event(item)
            case _Missed():
                self._writer.write(self._planner.advance(item.end_index))
                self._going_on = self._planner.commands
            case _Paused():
                self._planner.pause(item.start, item.stop)
            case Level():
                self._logbook.level(item)
            case Scores():
                self._logbook.scores(item)
                self._writer.write(self._planner.advance(item.sample_index + item.n_samples))
                self._going_on = self._planner.commands
            case NewModel():
                self._logbook.change_labels(item.labels)
                self._writer.change_model(item.facts)
                self._planner.change_known_after(item.known_after)
            case _Request():
                self._planner.command(*item)
                self._going_on = self._planner.commands
                self._taken += 1
            case _Mark():
                item.done(self._writer.mark(item.clip, keep=item.keep))
