# SPDX-License-Identifier: MIT
"""Which threshold, and how many patches in a row, make an event of a label.

Chosen from what networks make of sounds that they had not heard: scores of its own training
clips would give thresholds that nothing in the field reaches.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.config.load import load_defaults
from edge.model.detector import Rule
from edge.model.trial import onsets
from tools.training.recordings import RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edge.config.schema import Detector
    from edge.model.trial import Heard, Rates

# In even steps of the logit, 0.1 to 0.998: what separates sure scores lies close to 1.
THRESHOLDS: Final = np.round(1.0 / (1.0 + np.exp(-np.linspace(-2.2, 6.2, 36))), 4)
HITS: Final = (1, 2, 3, 4, 6, 8)
FALSE_PER_HOUR: Final = 0.4  # of all labels together, in the stream: the goal is 0.5
# What an event in a clip of another label costs, in clips that are missed.
CONFUSION_COST: Final = 0.1
HIT_COST: Final = 0.01  # share of the clips that 0.48 s of waiting is worth
# A third of a second lies wholly in one patch or in two: which of them is chance.
BRIEF: Final = frozenset({"dog_bark", "glass", "gunshot"})


@dataclass(frozen=True, slots=True)
class Choice:
    """What is learned of each label."""

    thresholds: dict[str, float]
    min_hits: dict[str, int]


@dataclass(frozen=True, slots=True)
class Counted:
    """What is heard in a sound, and the events of it by each rule (hits, thresholds, labels)."""

    heard: Heard
    events: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tally:
    """What each rule makes of a label: (hits, thresholds).

    missed : share of its clips without an event of it.
    confused : events of it in clips of others, in clips of its own.
    false_per_hour : events of it in the stream.
    """

    missed: NDArray[np.float64]
    confused: NDArray[np.float64]
    false_per_hour: NDArray[np.float64]

    def missed_by(self, hits: int, threshold: float) -> float:
        """Return the share of its clips that this rule misses."""
        place = HITS.index(hits), int(np.abs(THRESHOLDS - threshold).argmin())
        return float(self.missed[place])


def rules(choice: Choice) -> dict[str, Rule]:
    """Return the rules of `default.toml` with these thresholds and hits."""
    usual = _usual()
    return {
        label: Rule(
            threshold=threshold,
            release=usual.release_ratio * threshold,
            min_hits=choice.min_hits.get(label, 1),
            hold_s=usual.hold_s,
            cooldown_s=usual.cooldown_s,
            max_event_s=usual.max_event_s,
        )
        for label, threshold in choice.thresholds.items()
    }


@functools.cache
def _usual() -> Detector:
    return load_defaults().detector


def count(heard: Heard, labels: Sequence[str], rates: Rates) -> Counted:
    """Return the events that each rule makes; those that fit, but for its own, are left out."""
    counts = np.zeros((len(HITS), len(THRESHOLDS), len(labels)), np.int64)
    highest = heard.scores.max(axis=0)
    open_labels = [one for one in labels if one == heard.label or one not in heard.fitting]
    for t, threshold in enumerate(THRESHOLDS):
        # Most scores of most clips are under most thresholds.
        reached = [one for one in open_labels if highest[rates.labels.index(one)] >= threshold]
        if not reached:
            break
        usual = rules(Choice(dict.fromkeys(reached, float(threshold)), {}))
        for n, hits in enumerate(HITS):
            own = {one: dataclasses.replace(rule, min_hits=hits) for one, rule in usual.items()}
            for name in onsets(heard.scores, rates, own):
                counts[n, t, labels.index(name)] += 1
            if not counts[n, t].any():
                break  # more in a row are rarer still
    return Counted(heard, counts)


def tally(
    clips: Sequence[Counted], stream: Sequence[Counted], labels: Sequence[str]
) -> dict[str, Tally]:
    """Return what each rule that may be chosen makes of each label."""
    shape = (len(HITS), len(THRESHOLDS))
    hours = max(sum(one.heard.n_samples for one in stream) / RATE_HZ / 3600.0, 1e-9)
    tallies = {}
    for k, label in enumerate(labels):
        own = [one.events[..., k] for one in clips if one.heard.label == label]
        others = [one.events[..., k] for one in clips if one.heard.label != label]
        false = [one.events[..., k] for one in stream]
        tallies[label] = Tally(
            missed=sum((events == 0 for events in own), np.zeros(shape)) / max(len(own), 1),
            confused=sum(others, np.zeros(shape)) / max(len(own), 1),
            false_per_hour=sum(false, np.zeros(shape)) / hours,
        )
    return tallies


def choose(tallies: Mapping[str, Tally], per_hour: float = FALSE_PER_HOUR) -> Choice:
    """Return the rules that miss the fewest clips within the false events an hour.

    All labels pay the same for a false event: the price is raised until together they keep to it.
    """
    low, high = 0.0, 1e4
    for _ in range(50):
        price = 0.5 * (low + high)
        places = _cheapest(tallies, price)
        total = sum(float(one.false_per_hour[places[label]]) for label, one in tallies.items())
        low, high = (price, high) if total > per_hour else (low, price)
    places = _cheapest(tallies, high)
    return Choice(
        thresholds={label: float(THRESHOLDS[t]) for label, (_, t) in places.items()},
        min_hits={label: HITS[n] for label, (n, _) in places.items()},
    )


def _cheapest(tallies: Mapping[str, Tally], price: float) -> dict[str, tuple[int, int]]:
    places = {}
    for label, one in tallies.items():
        cost = one.missed + CONFUSION_COST * one.confused + price * one.false_per_hour
        cost = cost + HIT_COST * (np.array(HITS)[:, None] - 1)
        if label in BRIEF:
            cost = cost[:1]
        # Of thresholds that cost the same, the middle: furthest from what would change it.
        row, _ = np.unravel_index(np.argmin(cost), cost.shape)
        best = np.flatnonzero(cost[row] <= cost[row].min() + 1e-9)
        run = best[: np.flatnonzero(np.diff(best, append=len(THRESHOLDS) + 1) > 1)[0] + 1]
        places[label] = (int(row), int(run[len(run) // 2]))
    return places
