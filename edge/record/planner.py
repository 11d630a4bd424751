# SPDX-License-Identifier: MIT
"""Which samples become clips: pure, on sample time alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import Event


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody wants samples [`start`, `stop`): an event, or a person.

    `stop` is infinite while an event still sounds. `event` is its newest state;
    None: a command, whose `name` is its request.
    """

    name: str
    start: int
    stop: float
    event: Event | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A clip to be: samples [`start`, `stop`) and whom they are for.

    `continues` is the start of the clip that ends where this one begins; None: there is none.
    """

    start: int
    stop: int
    wishes: tuple[Wish, ...]
    continues: int | None

    @property
    def events(self) -> tuple[Event, ...]:
        """The events that it is for."""
        return tuple(wish.event for wish in self.wishes if wish.event)

    @property
    def commands(self) -> tuple[str, ...]:
        """The requests that it is for."""
        return tuple(wish.name for wish in self.wishes if not wish.event)


@dataclass(frozen=True, slots=True)
class Lengths:
    """How clips are cut, all in samples.

    `known_after`: an onset or offset is told at most so long after it. A clip that is
    whole waits that long, and a pre-roll, for an event that overlaps it.
    """

    pre_roll: int
    post_roll: int
    max_clip: int
    known_after: int

    @property
    def settle(self) -> int:
        """From the end of a clip until nothing more can be asked of it."""
        return self.pre_roll + self.known_after

    @property
    def memory(self) -> int:
        """Samples that must be kept so that a clip is there when it is settled."""
        return self.max_clip + self.settle


class ClipPlanner:
    """Joins wishes that overlap to clips, and cuts clips that grow too long.

    A clip that is cut goes on in the next one, which begins with the very next sample.
    An event that is told later than `known_after` gets a clip of its own with its whole
    pre-roll, even where that lies in an earlier clip too.

    Keeps the wishes whose clips are not given out yet.
    """

    def __init__(self, lengths: Lengths) -> None:
        self._lengths = lengths
        self._wishes: dict[str, Wish] = {}
        self._cut: tuple[int, int] | None = None  # where the last clip was cut, and its start
        self._pause = (0, 0)

    @property
    def commands(self) -> int:
        """How many persons' wishes are not given out yet."""
        return sum(wish.event is None for wish in self._wishes.values())

    def change_known_after(self, n_samples: int) -> None:
        """Wait another time for events: those of another model may be told later, or sooner."""
        self._lengths = replace(self._lengths, known_after=n_samples)

    def event(self, event: Event) -> None:
        """Take an onset, or the offset of an event that was taken before."""
        start = max(event.onset_index - self._lengths.pre_roll, 0)
        if event.offset_index is None:
            self._wish(Wish(event.event_id, start, math.inf, event))
        elif known := self._wishes.get(event.event_id):
            stop = event.offset_index + self._lengths.post_roll
            self._wish(replace(known, stop=stop, event=event))

    def command(self, name: str, start: int, n_samples: int) -> None:
        """Take a person's wish: samples [start, start + n_samples), without pre- and post-roll."""
        self._wish(Wish(name, start, start + n_samples, None))

    def pause(self, start: int, stop: int) -> None:
        """Take nothing of samples [`start`, `stop`): what began before ends there.

        Later rolls begin behind it. Pauses that touch are one.
        """
        began, ended = self._pause
        self._pause = (start, stop) if start > ended else (began, max(ended, stop))
        for wish in list(self._wishes.values()):
            self._wish(wish)

    def advance(self, index: int) -> list[Plan]:
        """Return the clips that are settled now that everything before `index` was heard."""
        return self._give(index - self._lengths.settle)

    def finish(self, index: int) -> list[Plan]:
        """Return the clips that are left when the stream ends at `index`."""
        ended = {
            name: replace(one, stop=min(one.stop, index)) for name, one in self._wishes.items()
        }
        self._wishes = {name: one for name, one in ended.items() if one.stop > one.start}
        return self._give(index)

    def _wish(self, wish: Wish) -> None:
        """Note what is left of a wish outside the last pause."""
        began, ended = self._pause
        if wish.start < began:
            wish = replace(wish, stop=min(wish.stop, began))
        else:
            wish = replace(wish, start=max(wish.start, ended))
        self._wishes[wish.name] = wish
        if wish.stop <= wish.start:
            del self._wishes[wish.name]

    def _give(self, settled: int) -> list[Plan]:
        plans = []
        while (plan := self._next()) and plan.stop <= settled:
            self._take_off(plan)
            plans.append(plan)
        return plans

    def _next(self) -> Plan | None:
        """Return the earliest clip as it stands now, cut to the longest length."""
        self._forget_what_is_cut_off()
        if not self._wishes:
            return None
        wishes = sorted(self._wishes.values(), key=lambda wish: wish.start)
        start, continues = self._cut or (wishes[0].start, None)
        stop = int(min(_chain(wishes), start + self._lengths.max_clip))
        members = tuple(wish for wish in wishes if wish.start < stop)
        return Plan(start, stop, members, continues)

    def _take_off(self, plan: Plan) -> None:
        self._wishes = {name: one for name, one in self._wishes.items() if one.stop > plan.stop}
        goes_on = any(wish.name in self._wishes for wish in plan.wishes)
        self._cut = (plan.stop, plan.start) if goes_on else None

    def _forget_what_is_cut_off(self) -> None:
        """Drop wishes that the clip before the cut holds to their end."""
        if self._cut is None:
            return
        at = self._cut[0]
        self._wishes = {name: one for name, one in self._wishes.items() if one.stop > at}
        if not any(one.start < at for one in self._wishes.values()):
            self._cut = None


def _chain(wishes: Sequence[Wish]) -> float:
    """Return where the overlapping `wishes`, sorted by start, end when taken from the first on."""
    stop = wishes[0].stop
    for wish in wishes[1:]:
        if wish.start > stop:
            break
        stop = max(stop, wish.stop)
    return stop
