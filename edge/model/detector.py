# SPDX-License-Identifier: MIT
"""From scores to events: a pure state machine per label, on sample time alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.types import Event

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edge.types import Edge, Scores


@dataclass(frozen=True, slots=True)
class Rule:
    """When a label begins and ends to be heard.

    threshold : score 0..1 that makes a detection.
    release : score under which it no longer sounds; at most the threshold (hysteresis).
    min_hits : detections in a row that make an event.
    hold_s : how long it must be under `release` before the event ends.
    cooldown_s : from an offset to the next onset, at least.
    max_event_s : an event that lasts longer is ended.

    Raises `ValueError` for a value out of range.
    """

    threshold: float
    release: float
    min_hits: int
    hold_s: float
    cooldown_s: float
    max_event_s: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0.0 <= self.release <= self.threshold <= 1.0:
            raise ValueError(f"0 <= release {self.release} <= threshold {self.threshold} <= 1")
        if self.min_hits < 1:
            raise ValueError(f"min_hits must be 1 or more, not {self.min_hits}")
        if not (self.hold_s >= 0.0 and self.cooldown_s >= 0.0 and self.max_event_s > 0.0):
            raise ValueError(f"hold_s, cooldown_s, max_event_s must not be negative: {self}")


@dataclass(slots=True)
class _Track:
    """What is known of one label.

    `hits` in a row so far and their highest score; once `is_open`, where the event began and
    where the last patch above release ended. `ready_index`: no onset before it.
    """

    label: str
    slug: str
    rule: Rule
    hits: int = 0
    is_open: bool = False
    onset_index: int = 0
    last_above: int = 0
    ready_index: int = 0
    peak: float = 0.0


class Detector:
    """Joins detections to events.

    An onset lies where the first hit of its run has samples that the patch before it had
    not: what both heard was no hit then. Hits are in a row as long as no sample between
    them went unheard; a patch that was dropped breaks the run unless its neighbours touch.
    An offset lies at the end of the last patch above release. A score that is NaN is
    under every threshold.

    Keeps a few numbers per label between calls. Patches must come in order; one that
    reaches no further than the one before it is left out.

    Parameters
    ----------
    labels : one per score, in the model's order.
    rules : per label, or one per label in order. A label without a rule makes no events.
    rate_hz : of the sample indices.
    stream_id : first part of every event's id; ids are unique within a stream.

    Raises `ValueError` if a rule names no label or their count differs.
    """

    def __init__(
        self,
        labels: Sequence[str],
        rules: Mapping[str, Rule] | Sequence[Rule],
        rate_hz: int,
        stream_id: str,
    ) -> None:
        by_label = _by_label(labels, rules)
        slugs = _slugs(labels, by_label)
        self._tracks = [
            _Track(label, slug, by_label[label]) if label in by_label else None
            for label, slug in zip(labels, slugs, strict=True)
        ]
        # A label without a rule has a threshold that no score reaches.
        self._thresholds = np.array(
            [by_label[label].threshold if label in by_label else np.inf for label in labels]
        )
        self._rate_hz = rate_hz
        self._stream_id = stream_id
        self._heard_to = 0  # where the patch before this one ended

    def update(self, scores: Scores) -> list[Event]:
        """Return the events that this patch begins or ends, in the order of the labels.

        Raises `ValueError` if there is not one score per label.
        """
        if scores.values.shape != self._thresholds.shape:
            raise ValueError(f"{scores.values.shape} scores for {self._thresholds.size} labels")
        start, end = scores.sample_index, scores.sample_index + scores.n_samples
        if end <= self._heard_to:
            return []
        values = np.nan_to_num(scores.values, nan=-1.0)
        events: list[Event] = []
        # Most of a model's labels are neither heard nor open: they cost nothing here.
        above = values >= self._thresholds
        for track, score, hit in zip(self._tracks, values, above, strict=True):
            if track is not None and (hit or track.is_open or track.hits):
                events += self._follow(track, float(score), start, end)
        self._heard_to = end
        return events

    def skip(self, sample_index: int) -> list[Event]:
        """Return the offsets of what was unheard for longer than its hold by `sample_index`.

        For a hole that lasts: the patch behind it would say the same, later.
        """
        over = [
            track
            for track in self._tracks
            if track
            and track.is_open
            and sample_index - track.last_above > self._samples(track.rule.hold_s)
        ]
        return [self._close(track) for track in over]

    def follow(self, other: Detector) -> list[Event]:
        """Go on where another model's detector heard last; return the offsets of its events."""
        self._heard_to = other._heard_to
        return other.flush(self._heard_to)

    def change_rule(self, label: str, rule: Rule) -> None:
        """Judge a label by another rule from the next patch on; an open event goes on.

        One that makes no events makes none by this.
        """
        for place, track in enumerate(self._tracks):
            if track and track.label == label:
                track.rule = rule
                self._thresholds[place] = rule.threshold

    def flush(self, sample_index: int) -> list[Event]:
        """Return the offsets of what is open when the stream ends at `sample_index`."""
        events = []
        for track in self._tracks:
            if track is None:
                continue
            track.hits = 0
            if track.is_open:
                track.last_above = min(track.last_above, max(sample_index, track.onset_index + 1))
                events.append(self._close(track))
        return events

    def active(self) -> tuple[str, ...]:
        """Return the labels whose events are open, in the order of the labels."""
        return tuple(track.label for track in self._tracks if track and track.is_open)

    def _follow(self, track: _Track, score: float, start: int, end: int) -> list[Event]:
        events = []
        if track.is_open and start - track.last_above > self._samples(track.rule.hold_s):
            # Nothing was heard for longer than the hold: it ended in there.
            events.append(self._close(track))
        if track.is_open:
            return events + self._go_on(track, score, end)
        return events + self._count(track, score, start, end)

    def _go_on(self, track: _Track, score: float, end: int) -> list[Event]:
        rule = track.rule
        if score >= rule.release:
            track.last_above = end
            track.peak = max(track.peak, score)
        too_long = end >= self._latest(track)
        released = score < rule.release and end - track.last_above >= self._samples(rule.hold_s)
        return [self._close(track)] if too_long or released else []

    def _count(self, track: _Track, score: float, start: int, end: int) -> list[Event]:
        """Count hits in a row; open at the last one needed."""
        new_from = max(start, self._heard_to)
        if score < track.rule.threshold or new_from < track.ready_index:
            track.hits = 0
            return []
        if track.hits == 0 or start > self._heard_to:
            track.hits, track.onset_index, track.peak = 0, new_from, 0.0
        track.hits += 1
        track.peak = max(track.peak, score)
        if track.hits < track.rule.min_hits:
            return []
        track.hits, track.is_open, track.last_above = 0, True, end
        return [self._event("onset", track, None)]

    def _close(self, track: _Track) -> Event:
        offset_index = min(track.last_above, self._latest(track))
        track.is_open = False
        track.ready_index = offset_index + self._samples(track.rule.cooldown_s)
        return self._event("offset", track, offset_index)

    def _event(self, edge: Edge, track: _Track, offset_index: int | None) -> Event:
        return Event(
            edge=edge,
            event_id=f"{self._stream_id}-{track.onset_index}-{track.slug}",
            label=track.label,
            score=track.peak,
            onset_index=track.onset_index,
            offset_index=offset_index,
        )

    def _latest(self, track: _Track) -> int:
        """Return where an event that lasts as long as allowed ends."""
        return track.onset_index + max(self._samples(track.rule.max_event_s), 1)

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._rate_hz)


def _by_label(
    labels: Sequence[str], rules: Mapping[str, Rule] | Sequence[Rule]
) -> Mapping[str, Rule]:
    if not isinstance(rules, Mapping):
        return dict(zip(labels, rules, strict=True))
    if unknown := set(rules) - set(labels):
        raise ValueError(f"rules for labels that are not there: {', '.join(map(str, unknown))}")
    return rules


def _slugs(labels: Sequence[str], making: Collection[str]) -> list[str]:
    """Return each label as letters, digits and underscores.

    Those that make events are made unique by their place among all.
    """
    plain = [re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") for label in labels]
    used = Counter(slug for slug, label in zip(plain, labels, strict=True) if label in making)
    return [
        f"{slug}_{place}" if used[slug] > 1 or not slug else slug
        for place, slug in enumerate(plain)
    ]
