# SPDX-License-Identifier: MIT
"""How good a classifier is, from the scores of clips whose class is known: pure arithmetic.

Accuracy is that of ESC-50's papers: a clip is right if the label of its class has the highest
mean score over the clip's patches, among the labels of the data set's classes.
Events are those of the detector by the rules in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.model.detector import Detector, Rule
from edge.types import Scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

THRESHOLDS: Final = np.round(np.arange(0.04, 0.99, 0.04), 2)
S_PER_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A clip and what a classifier makes of it.

    label : of its class; None if it is none of those that make events.
    scores : (n_patches, n_labels) float32.
    n_samples : of the clip, at the model's rate.
    fitting : labels of which an event in it is no mistake, its own among them.
    """

    name: str
    label: str | None
    scores: NDArray[np.float32]
    n_samples: int
    fitting: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rates:
    """What turns patches into events: the model's labels, their rules, and the patch's size."""

    labels: tuple[str, ...]
    rules: Mapping[str, Rule]
    rate_hz: int
    patch_samples: int
    hop_samples: int


@dataclass(frozen=True, slots=True)
class LabelResult:
    """What is known of one label of the data set.

    right : clips whose highest mean score is this label's.
    average_precision : over all clips, ordered by mean score (0..1).
    detected : clips of it with an event of it.
    false_events : events of it in clips that it does not fit.
    """

    clips: int
    right: int
    average_precision: float
    detected: int
    false_events: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Missed share and false events an hour of a label, at each of `THRESHOLDS`."""

    missed: NDArray[np.float64]
    false_per_hour: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Result:
    """The whole trial. `per_label`, rows and columns of `confusion` in the order of the labels.

    confusion : (n, n) clips; row: what it is, column: the highest mean score.
    hours : of sound that was heard.
    """

    per_label: Mapping[str, LabelResult]
    confusion: NDArray[np.int64]
    hours: float
    false_events: Mapping[str, int]

    @property
    def clips(self) -> int:
        """Clips of the labels."""
        return sum(one.clips for one in self.per_label.values())

    @property
    def accuracy(self) -> float:
        """Share of the clips that are right, 0..1."""
        return sum(one.right for one in self.per_label.values()) / max(self.clips, 1)

    @property
    def detected(self) -> float:
        """Share of the clips with an event of their own label, 0..1."""
        return sum(one.detected for one in self.per_label.values()) / max(self.clips, 1)

    @property
    def mean_average_precision(self) -> float:
        """Mean over the labels, 0..1."""
        values = [one.average_precision for one in self.per_label.values()]
        return float(np.mean(values)) if values else 0.0

    @property
    def false_events_per_hour(self) -> float:
        """Events of all labels in clips that they do not fit, an hour of all sound."""
        return sum(self.false_events.values()) / max(self.hours, 1e-9)


def try_out(heard: Sequence[Heard], rates: Rates) -> Result:
    """Return the figures of the clips; labels are those that occur in them."""
    labels = _labels(heard, rates)
    confusion = _confusion(heard, labels, rates)
    events = [onsets(one.scores, rates, rates.rules) for one in heard]
    wrong = _wrong(heard, events, rates)
    per_label = {
        label: LabelResult(
            clips=int(confusion[k].sum()),
            right=int(confusion[k, k]),
            average_precision=_precision_of(label, heard, rates),
            detected=sum(
                label in names
                for one, names in zip(heard, events, strict=True)
                if one.label == label
            ),
            false_events=wrong[label],
        )
        for k, label in enumerate(labels)
    }
    return Result(per_label, confusion, _hours(heard, rates), wrong)


def detection_error(heard: Sequence[Heard], rates: Rates) -> dict[str, Curve]:
    """Return the curve of each label that occurs in the clips, by its own patches in a row."""
    labels = _labels(heard, rates)
    hours = _hours(heard, rates)
    missed = np.zeros((len(THRESHOLDS), len(labels)))
    wrong = np.zeros((len(THRESHOLDS), len(labels)))
    clips = np.array([sum(one.label == label for one in heard) for label in labels])
    for t, threshold in enumerate(THRESHOLDS):
        rules = {label: _at(rates.rules[label], float(threshold)) for label in labels}
        for one in heard:
            names = onsets(one.scores, rates, rules) if one.scores.max() >= threshold else []
            for k, label in enumerate(labels):
                missed[t, k] += one.label == label and label not in names
                wrong[t, k] += names.count(label) * (label not in one.fitting)
    return {
        label: Curve(missed[:, k] / clips[k], wrong[:, k] / max(hours, 1e-9))
        for k, label in enumerate(labels)
    }


def average_precision(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Return the mean precision at each positive, from the highest score down; NaN without any.

    Equal scores count as one step, as in scikit-learn's `average_precision_score`.
    """
    if not positive.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))  # of each run of equal scores
    gained = np.diff(hits[last], prepend=0)
    return float((gained * hits[last] / (last + 1)).sum() / hits[-1])


def onsets(scores: NDArray[np.float32], rates: Rates, rules: Mapping[str, Rule]) -> list[str]:
    """Return the label of each event that the detector begins in a clip."""
    detector = Detector(rates.labels, rules, rates.rate_hz, "trial")
    found = []
    for k, values in enumerate(scores):
        patch = Scores(k * rates.hop_samples, rates.patch_samples, values)
        found += [one.label for one in detector.update(patch) if one.edge == "onset"]
    return found


def _confusion(heard: Iterable[Heard], labels: Sequence[str], rates: Rates) -> NDArray[np.int64]:
    places = [rates.labels.index(label) for label in labels]
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    for one in heard:
        if one.label is not None:
            best = int(one.scores[:, places].mean(axis=0).argmax())
            confusion[labels.index(one.label), best] += 1
    return confusion


def _wrong(heard: Iterable[Heard], events: Iterable[Sequence[str]], rates: Rates) -> dict[str, int]:
    """Return per label its events in clips that it does not fit."""
    wrong = dict.fromkeys(rates.labels, 0)
    for one, names in zip(heard, events, strict=True):
        for name in names:
            wrong[name] += name not in one.fitting
    return wrong


def _precision_of(label: str, heard: Sequence[Heard], rates: Rates) -> float:
    place = rates.labels.index(label)
    # A clip in which it may be heard or not is neither an example nor a counter-example.
    judged = [one for one in heard if one.label == label or label not in one.fitting]
    score = np.array([one.scores[:, place].mean() for one in judged], np.float64)
    return average_precision(np.array([one.label == label for one in judged]), score)


def _labels(heard: Iterable[Heard], rates: Rates) -> list[str]:
    """Return the labels that occur, in the model's order."""
    found = {one.label for one in heard}
    return [label for label in rates.labels if label in found]


def _hours(heard: Iterable[Heard], rates: Rates) -> float:
    return sum(one.n_samples for one in heard) / rates.rate_hz / S_PER_HOUR


def _at(rule: Rule, threshold: float) -> Rule:
    ratio = rule.release / max(rule.threshold, 1e-9)
    return Rule(
        threshold=threshold,
        release=min(ratio * threshold, threshold),
        min_hits=rule.min_hits,
        hold_s=rule.hold_s,
        cooldown_s=rule.cooldown_s,
        max_event_s=rule.max_event_s,
    )
