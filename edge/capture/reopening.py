# SPDX-License-Identifier: MIT
"""A source that outlives its device: while that is away its stream goes on, as gaps."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol, Self

from edge.capture.timeline import Timeline
from edge.errors import DeviceError
from edge.types import Gap

if TYPE_CHECKING:
    from edge.capture.source import Source
    from edge.types import Period, StreamFormat

log = logging.getLogger(__name__)

LOOK_S: Final = 0.25
"""While the device is away, `read` returns a gap that often."""

FIRST_RETRY_S: Final = 0.25
LONGEST_RETRY_S: Final = 4.0
"""Pauses between two tries to open it, doubled from the first to the longest."""

STEADY_S: Final = 10.0
"""A device that was open for so long before it was lost is tried at once again."""


class Opener(Protocol):
    """Opens a device."""

    def __call__(self, *, before: StreamFormat | None = None) -> Source:
        """Return it; `before` is the format of the stream that it is to go on with."""


class ReopeningSource:
    """Any source, opened again after its device was lost.

    While the device is away `read` returns gaps as long as the time that passes, so the sample
    index stays tied to it. The last of them ends where the first period after the return
    begins, by the clock of the stream before the loss: within some milliseconds, and 20 ms
    for each hour that a crystal's 5 ppm, once it is known, make uncertain.

    Parameters
    ----------
    open_device : opens it by a name that outlives its card number, as `before` where it can be,
        or raises `DeviceError`.

    Raises `DeviceError` where it can't be opened the first time, and from `read` where it comes
    back with another format than the stream has, or another device in its place: calibration,
    clips and messages speak of the one before.
    """

    def __init__(self, open_device: Opener) -> None:
        self._open = open_device
        self._source: Source | None = open_device()
        self._format = self._source.format
        self._name = self._source.name
        self._identity = self._source.identity
        self._notes = self._source.notes
        self._xruns = 0  # of the devices before this one
        self._timeline = Timeline(self._format.rate_hz)
        self._sample_index = 0
        self._shift = 0  # from the source's sample index to the stream's
        self._returned = False  # nothing was read since it was opened again
        self._held: Period | Gap | None = None
        self._lost_s = 0.0
        self._opened_s = _now_s()
        self._retry_s = FIRST_RETRY_S
        self._next_try_s = 0.0
        self.trouble = ""
        """Why nothing is heard at the moment; empty: all is well."""

    @property
    def format(self) -> StreamFormat:
        """The format of the stream."""
        return self._format

    @property
    def name(self) -> str:
        """What is being heard, or was."""
        return self._name

    @property
    def identity(self) -> str:
        """Which device the stream is of."""
        return self._identity

    @property
    def notes(self) -> tuple[str, ...]:
        """What was adapted or found damaged."""
        return self._source.notes if self._source else self._notes

    @property
    def xruns(self) -> int:
        """How often a driver lost data so far."""
        source = self._source  # once: the capture thread may take it away meanwhile
        return self._xruns + (source.xruns if source else 0)

    @property
    def measured_hz(self) -> float | None:
        """Of the device that is open; None also while there is none."""
        source = self._source
        return source.measured_hz if source else None

    def read(self) -> Period | Gap | None:
        """Block until the next period or, while the device is away, for a moment."""
        if self._held is not None:
            held, self._held = self._held, None
            return held
        while True:
            source = self._source
            if source is None:
                # Always a gap, also from a device that opens and fails at once, again and again.
                if gap := self._wait():
                    return gap
                continue
            try:
                item = source.read()
            except DeviceError as error:
                self._lose(source, error)
                continue
            return item if item is None else self._placed(item)

    def close(self) -> None:
        """Let go of the device; a second call does nothing."""
        if self._source:
            self._source.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _lose(self, source: Source, error: DeviceError) -> None:
        self._say(error)
        self._xruns += source.xruns
        self._notes = source.notes
        self._source = None
        if not self._returned:  # else it has been away since before it was opened
            self._lost_s = _now_s()
        if not self._timeline.known:  # a card counts from its first read: none was whole
            self._timeline.observe(_now_s(), 0)
        self._put_off()
        source.close()

    def _say(self, error: DeviceError) -> None:
        """Log each reason once."""
        if error.message != self.trouble:
            log.error("%s; trying again", error)
        self.trouble = error.message

    def _put_off(self) -> None:
        """Try again after a pause, which grows until samples have flowed for a while."""
        now_s = _now_s()
        if now_s - self._opened_s > STEADY_S:
            self._retry_s = FIRST_RETRY_S
        self._next_try_s = now_s + self._retry_s
        self._retry_s = min(2.0 * self._retry_s, LONGEST_RETRY_S)

    def _wait(self) -> Gap | None:
        """Let some time pass, try to open the device, and return the time as a gap."""
        time.sleep(LOOK_S)
        gap = self._gap(round(self._timeline.sample_index_at(_now_s())))
        if _now_s() >= self._next_try_s:
            self._try()
        return gap

    def _try(self) -> None:
        try:
            source = self._open(before=self._format)
        except DeviceError as error:
            self._say(error)
            self._put_off()
            return
        if other := self._otherwise(source):
            source.close()
            raise DeviceError(other, "begin anew: the unit does so by itself")
        self._source, self._returned = source, True
        self._opened_s = _now_s()

    def _otherwise(self, source: Source) -> str:
        """Return why the stream can't go on with what was opened; empty: it can."""
        if source.identity != self._identity:
            return f"{source.identity} is there, where the stream is of {self._identity}"
        if source.format != self._format:
            had = self._format
            return f"{source.name} came back with {source.format}, where the stream has {had}"
        return ""

    def _placed(self, item: Period | Gap) -> Period | Gap:
        """Return what was read at its place in the stream."""
        if self._returned:
            return self._rejoined(item)
        item = replace(item, sample_index=item.sample_index + self._shift)
        self._sample_index = item.sample_index + _length(item)
        self._timeline.observe(_now_s(), self._sample_index)
        return item

    def _rejoined(self, item: Period | Gap) -> Period | Gap:
        """Put the first period after a return where the time that has passed says."""
        log.info("%s is back after %.1f s", self._name, _now_s() - self._lost_s)
        self._returned, self.trouble = False, ""
        reached = round(self._timeline.sample_index_at(_now_s()))
        gap = self._gap(reached - _length(item))
        self._timeline.restart()
        self._shift = self._sample_index - item.sample_index
        placed = self._placed(item)
        if gap is None:
            return placed
        self._held = placed
        return gap

    def _gap(self, end: int) -> Gap | None:
        lost = end - self._sample_index
        if lost <= 0:
            return None
        gap = Gap(self._sample_index, lost, "unplugged", time.monotonic())
        self._sample_index = end
        return gap


def _length(item: Period | Gap) -> int:
    return item.lost_samples if isinstance(item, Gap) else len(item.samples)


def _now_s() -> float:
    # CLOCK_BOOTTIME: what a sleeping machine missed is part of the hole.
    return time.clock_gettime(time.CLOCK_BOOTTIME)
