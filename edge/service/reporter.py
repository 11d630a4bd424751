# SPDX-License-Identifier: MIT
"""From what the pipeline gives to messages: adds time, loudness and the states of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.publish import payloads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.clock import StreamClock
    from edge.publish.payloads import Topics
    from edge.types import Event, Level, Message, Scores


class Reporter:
    """Makes messages and hands them on.

    `level` is called by the capture thread, `scores` and `events` by the
    inference thread; they share only the newest level, one reference.

    Parameters
    ----------
    send : takes a message and never blocks.
    labels : of the scores, in the model's order.
    live : whether level and scores are sent at all.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        clock: StreamClock,
        rate_hz: int,
        labels: Sequence[str],
        top_scores: int,
        live: bool,
        send: Callable[[Message], None],
    ) -> None:
        self._topics = topics
        self._clock = clock
        self._rate_hz = rate_hz
        self._labels = labels
        self._top_scores = top_scores
        self._live = live
        self._send = send
        self.newest_level: Level | None = None
        self.newest_top: dict[str, float] = {}
        self.events = 0
        self.sounding = 0
        """Events that are open."""

    def level(self, measured: Level) -> None:
        """Report one second."""
        self.newest_level = measured
        if self._live:
            end = self._clock.utc(measured.end_index)
            duration_s = measured.n_samples / self._rate_hz
            self._send(
                payloads.level(self._topics, measured, end, duration_s=duration_s, offset_db=None)
            )

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
        fields: dict[str, float] = {}
        if what.offset_index is not None:
            fields["duration_s"] = round((what.offset_index - what.onset_index) / self._rate_hz, 3)
        if self.newest_level:
            fields["laeq_dbfs"] = round(self.newest_level.laeq_dbfs, 1)
        self.events += what.edge == "onset"
        self.sounding += 1 if what.edge == "onset" else -1
        self._send(payloads.event(self._topics, what, onset=onset, offset=offset, fields=fields))
        self._send(payloads.detected(self._topics, what.label, on=what.edge == "onset"))

    def silence(self) -> None:
        """Say of every label that it is not heard, as at a start.

        Of those that make no events too: the broker may keep an ON from other settings.
        """
        for label in self._labels:
            self._send(payloads.detected(self._topics, label, on=False))
