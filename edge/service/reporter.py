# SPDX-License-Identifier: MIT
"""From what the pipeline gives to messages: adds time, loudness and the states of labels."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

from edge.decibels import named
from edge.publish import payloads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.clock import StreamClock
    from edge.publish.payloads import Topics
    from edge.types import Event, Level, Message, Scores


class Reporter:
    """Makes messages and hands them on.

    `level` is called by the capture thread, `scores` and `event` by the inference
    thread, `event` by the measure thread too; they share the newest level, one
    reference, and the counters of events.

    Parameters
    ----------
    send : takes a message and never blocks.
    labels : of the scores, in the model's order.
    alarms : labels of events that come from levels.
    offset_db : dBFS to dB SPL now; None: the box is not calibrated.
    under_range_dbfs : LAeq under it is the converter's own noise.
    live : whether level and scores are sent at all.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        clock: StreamClock,
        rate_hz: int,
        labels: Sequence[str],
        alarms: Sequence[str] = (),
        offset_db: Callable[[], float | None] = lambda: None,
        under_range_dbfs: float = -math.inf,
        top_scores: int,
        live: bool,
        send: Callable[[Message], None],
    ) -> None:
        self._topics = topics
        self._clock = clock
        self._rate_hz = rate_hz
        self._labels = labels
        self._states: Sequence[str] = ()  # what the broker keeps a state of
        self._alarms = alarms
        self._offset_db = offset_db
        self._under_range_dbfs = under_range_dbfs
        self._counting = threading.Lock()
        self._top_scores = top_scores
        self._live = live
        self._send = send
        self.newest_level: Level | None = None
        self.newest_top: dict[str, float] = {}
        self.events = 0
        self.last_event = ""
        """Label and onset, UTC, of the newest; empty: there was none."""
        self.sounding = 0
        """Events of the classifier that are open; an alarm may last all night."""

    def level(self, measured: Level) -> None:
        """Report one second."""
        self.newest_level = measured
        if self._live:
            end = self._clock.utc(measured.end_index)
            duration_s = measured.n_samples / self._rate_hz
            message = payloads.level(
                self._topics,
                measured,
                end,
                duration_s=duration_s,
                offset_db=self._offset_db(),
                under_range_dbfs=self._under_range_dbfs,
            )
            self._send(message)

    def scores(self, heard: Scores) -> None:
        """Report one patch."""
        self.newest_top = payloads.top_scores(self._labels, heard, self._top_scores)
        if self._live:
            end = self._clock.utc(heard.sample_index + heard.n_samples)
            duration_s = heard.n_samples / self._rate_hz
            self._send(payloads.scores(self._topics, self.newest_top, end, duration_s=duration_s))

    def event(self, what: Event) -> None:
        """Report an onset or an offset, and the label's new state."""
        onset = self._clock.utc(what.onset_index)
        offset = None if what.offset_index is None else self._clock.utc(what.offset_index)
        fields: dict[str, Any] = {}
        if what.offset_index is not None:
            fields["duration_s"] = round((what.offset_index - what.onset_index) / self._rate_hz, 3)
        if self.newest_level:
            newest = {"laeq": self.newest_level.laeq_dbfs}
            fields |= named(newest, self._offset_db())
        begins = what.edge == "onset"
        with self._counting:
            self.events += begins
            if begins:
                self.last_event = f"{what.label} {onset.text}"
            if what.label not in self._alarms:
                self.sounding += 1 if begins else -1
        told = payloads.event(self._topics, what, onset=onset, offset=offset, fields=fields)
        self._send(told)
        self._send(payloads.last_event(self._topics, told))
        self._send(payloads.detected(self._topics, what.label, on=what.edge == "onset"))

    def line(self) -> str:
        """Return the newest level and the best scores in words."""
        level, offset_db = self.newest_level, self._offset_db()
        unit = "dBFS" if offset_db is None else "dB"
        top = " ".join(f"{label} {score:.2f}" for label, score in self.newest_top.items())
        heard = f"LAeq {level.laeq_dbfs + (offset_db or 0.0):.1f} {unit}" if level else ""
        return f"{heard or 'no level yet'}; {top or 'no score yet'}"

    def change_labels(self, labels: Sequence[str], states: Sequence[str]) -> None:
        """Take the scores that come now as those of another model (inference thread).

        `states` are those of its labels that have a state; the events of the model before it
        have ended by now, and the broker forgets the states that no label has any more.
        """
        self._labels = labels
        kept = {self._topics.detected(label) for label in (*states, *self._alarms)}
        for label in self._states:
            if (topic := self._topics.detected(label)) not in kept:
                self._send(payloads.forgotten(topic))
        self._states = states
        self._tell_off(states)

    def silence(self, states: Sequence[str] | None = None) -> None:
        """Say of every label that it is not heard, as at a start; or of `states` alone.

        Of those that make no events too: the broker may keep an ON from other settings.
        """
        self._states = self._labels if states is None else states
        self._tell_off([*self._states, *self._alarms])

    def _tell_off(self, labels: Sequence[str]) -> None:
        for label in labels:
            self._send(payloads.detected(self._topics, label, on=False))
