# SPDX-License-Identifier: MIT
"""The samples that a card has played against those that the unit counted, life by life."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tools.storm.books import Deaf
from tools.storm.sound import bursts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.lab.microphone import Stretch

PERIOD: Final = 1024  # `capture.period_size` as shipped
BUFFER_S: Final = 16 * PERIOD / 48000  # and its buffer: no overrun loses less
PIECE_S: Final = 0.25  # while a device is away, the time passes in such pieces
HOLE_S: Final = 0.05
"""By so much a hole may be measured wrong, each: most by the thread that was woken up late.

A hole that nobody counted is longer in each case: an overrun loses a whole buffer, 0.34 s.
"""


@dataclass(frozen=True, slots=True)
class Life:
    """One run of the unit: what the card gave it, and the last figures it told.

    `told_s` is when it told them, of CLOCK_MONOTONIC.
    """

    stretches: tuple[Stretch, ...]
    told_s: float
    samples: int
    lost_samples: int
    in_order: bool  # it was not killed, so that its last figures are exact

    @property
    def holes(self) -> list[tuple[float, float]]:
        """When the card was played, and the unit was not given it."""
        return [(one.ended_s, after.began_s) for one, after in pairwise(self.stretches)]

    @property
    def told_of_a_fresh_hole(self) -> bool:
        """Whether a kill left figures of a hole, or of a time before its end was read."""
        return not self.in_order and any(
            start < self.told_s < stop + BUFFER_S for start, stop in self.holes
        )

    def played(self) -> tuple[float, float]:
        """Return how many samples were given and lost, by the card, as the figures were told."""
        until_s = self.stretches[-1].ended_s if self.in_order else self.told_s
        rate_hz = self.stretches[0].rate_hz
        given = sum(
            min(float(one.samples), max(until_s - one.began_s, 0.0) * rate_hz)
            for one in self.stretches
        )
        return given, max(until_s - self.stretches[0].began_s, 0.0) * rate_hz - given


@dataclass(slots=True)
class Counted:
    """All lives together, in samples; `off` is the worst of one life."""

    given: float = 0.0
    lost: float = 0.0
    off: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return it as a row of the result table has it."""
        return f"{self.given:.0f} + {self.lost:.0f} | {self.off:.0f}"


def compare(lives: Sequence[Life]) -> Counted:
    """Compare the unit's `samples` and `lost_samples` with the card's, in each life."""
    counted = Counted()
    for life in lives:
        if not life.stretches:
            continue
        if not life.samples:  # killed, it did not live to tell anything
            counted.wrong += ["the unit ended in order and told no figures"] * life.in_order
            continue
        given, lost = life.played()
        counted.given += given
        counted.lost += lost
        for name, told, real, borne in _entries(life, given, lost):
            counted.off = max(counted.off, abs(told - real))
            if abs(told - real) > borne:
                said = f"the unit counted {told} samples {name}, the card {real:.0f}"
                counted.wrong.append(f"{said} ({borne:.0f} off is borne)")
    if not counted.given:
        counted.wrong.append("no life has told its samples")
    return counted


def _entries(life: Life, given: float, lost: float) -> list[tuple[str, int, float, float]]:
    """Return what was told, what was real, and how far off it may be."""
    holes, rate_hz = len(life.holes), life.stretches[0].rate_hz
    borne = PERIOD * (holes + 1)  # what was read just as a card went, or the unit ended
    waits = 0.0 if life.in_order else BUFFER_S * rate_hz
    fresh = (BUFFER_S + PIECE_S) * rate_hz if life.told_of_a_fresh_hole else 0.0
    heard = life.samples - life.lost_samples
    return [
        ("heard", heard, given, borne + waits),
        ("lost", life.lost_samples, lost, borne + fresh + HOLE_S * holes * rate_hz),
    ]


def silences(lives: Sequence[Life], utc_of_mono_s: float) -> list[Deaf]:
    """Return when the unit was given nothing, in seconds since 1970, from the card's own count.

    Parameters
    ----------
    utc_of_mono_s : what is to be added to CLOCK_MONOTONIC.
    """
    heard = [life for life in lives if life.stretches]
    found = [
        Deaf(one + utc_of_mono_s, to + utc_of_mono_s) for life in heard for one, to in life.holes
    ]
    for life, after in pairwise(heard):
        ends_s, begins_s = life.stretches[-1].ended_s, after.stretches[0].began_s
        found.append(
            Deaf(ends_s + utc_of_mono_s, begins_s + utc_of_mono_s, killed=not life.in_order)
        )
    if heard:
        ends_s = heard[-1].stretches[-1].ended_s + utc_of_mono_s
        found.append(Deaf(ends_s, ends_s))
    return found


def played_bursts(lives: Sequence[Life], utc_of_mono_s: float) -> list[float]:
    """Return when each burst began that a card played, in seconds since 1970.

    A card that is opened anew begins with its file anew.
    """
    ends: dict[float, float] = {}
    for life in lives:
        for one in life.stretches:
            ends[one.epoch_s] = max(ends.get(one.epoch_s, 0.0), one.ended_s)
    return [
        burst + utc_of_mono_s for epoch_s, end_s in ends.items() for burst in bursts(epoch_s, end_s)
    ]
