# SPDX-License-Identifier: MIT
"""Which threshold, and how many patches in a row, make an event of a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.config.load import load_defaults
from edge.model.detector import Detector, Rule
from edge.types import Scores
from tools.training.frontend import PATCH_SAMPLES, STUDENT
from tools.training.recordings import LABELS, OTHER, RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from edge.types import Event
    from tools.training.evaluate import Hearing

HOP_SAMPLES: Final = STUDENT.patch_hop * STUDENT.front_end.hop_length
THRESHOLDS: Final = np.round(np.arange(0.2, 0.96, 0.02), 2)
HITS: Final = (1, 2, 3, 4)
FALSE_ALARM_COST: Final = 1.0  # missed clips that a false event is worth
HIT_COST: Final = 1.0  # likewise, for each 0.48 s that an event is known later
USUAL_THRESHOLD: Final = 0.5
PULL: Final = 120.0  # clips that a threshold of 1 off would have to be worth
# A third of a second lies wholly in one patch or in two: which of them is chance.
BRIEF: Final = ("dog_bark", "person_sneeze")


@dataclass(frozen=True, slots=True)
class Tally:
    """Events of a clip by each rule: `events` (hits, thresholds, labels without "other")."""

    hearing: Hearing
    events: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is learned of each label."""

    thresholds: dict[str, float]
    min_hits: dict[str, int]


def rules(thresholds: Mapping[str, float], min_hits: Mapping[str, int]) -> dict[str, Rule]:
    """Return the rules of `default.toml` with these thresholds and hits (1 if not said)."""
    usual = load_defaults().detector
    return {
        label: Rule(
            threshold=threshold,
            release=usual.release_ratio * threshold,
            min_hits=min_hits.get(label, 1),
            hold_s=usual.hold_s,
            cooldown_s=usual.cooldown_s,
            max_event_s=usual.max_event_s,
        )
        for label, threshold in thresholds.items()
    }


def onsets(hearing: Hearing, own: Mapping[str, Rule]) -> list[Event]:
    """Return the onsets that the detector makes of a clip."""
    detector = Detector(LABELS, own, RATE_HZ, "evaluation")
    found = []
    for k, values in enumerate(hearing.scores):
        found += detector.update(Scores(k * HOP_SAMPLES, PATCH_SAMPLES, values))
    return [event for event in found if event.edge == "onset"]


def tally(hearings: Iterable[Hearing]) -> list[Tally]:
    """Return what each rule that may be chosen makes of each clip."""
    labels = LABELS[:OTHER]
    candidates = [
        [rules(dict.fromkeys(labels, float(t)), dict.fromkeys(labels, n)) for t in THRESHOLDS]
        for n in HITS
    ]
    return [Tally(one, _count(one, candidates)) for one in hearings]


def choose(tallies: list[Tally]) -> Choice:
    """Return per label the rule that trades missed clips for false events best.

    From clips that the scoring network had not seen: scores of its own training clips would
    give thresholds that nothing in the field reaches.
    """
    thresholds, min_hits = {}, {}
    for k, label in enumerate(LABELS[:OTHER]):
        costs = _costs(tallies, k)[: 1 if label in BRIEF else None]
        place = np.unravel_index(np.argmin(costs), costs.shape)
        min_hits[label] = HITS[place[0]]
        thresholds[label] = float(THRESHOLDS[place[1]])
    return Choice(thresholds, min_hits)


def _count(hearing: Hearing, candidates: list[list[dict[str, Rule]]]) -> NDArray[np.int64]:
    counts = np.zeros((len(HITS), len(THRESHOLDS), OTHER), np.int64)
    # Most scores of most clips are under most thresholds.
    reachable = hearing.scores[:, :OTHER].max() >= THRESHOLDS
    for n, row in enumerate(candidates):
        for t in np.flatnonzero(reachable):
            for event in onsets(hearing, row[t]):
                counts[n, t, LABELS.index(event.label)] += 1
    return counts


def _costs(tallies: list[Tally], label: int) -> NDArray[np.float64]:
    """Return (hits, thresholds): what each rule of a label costs, in clips."""
    own = np.array([one.hearing.clip.label == label for one in tallies])
    events = np.stack([one.events[:, :, label] for one in tallies])
    missed = (events[own] == 0).sum(axis=0)
    wrong = events[~own].sum(axis=0)
    # Some 24 clips a label: without a pull to the usual, single ones would decide.
    unusual = PULL * np.square(THRESHOLDS - USUAL_THRESHOLD)
    late = HIT_COST * (np.array(HITS) - 1)
    return np.asarray(missed + FALSE_ALARM_COST * wrong + unusual + late[:, None], np.float64)
