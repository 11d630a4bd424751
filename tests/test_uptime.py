# SPDX-License-Identifier: MIT
"""Two months of sample indices: what is heard then is heard as in the first minute."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from edge.clock import StreamClock
from edge.measure.alarm import Alarm, AlarmRule
from edge.model.detector import Detector, Rule
from edge.publish.payloads import Topics, event
from edge.record.history import History, Hole
from edge.service.stream import StreamWatch
from edge.types import Bands, Event, Gap, Level, Patch, Period, Scores, StreamFormat
from tests.seconds import a_level
from tests.test_pipeline import noise, pipeline

RATE_HZ = 48000
SOON = RATE_HZ * 60
LATE = RATE_HZ * 60 * (1440 * 60 + 1)
"""Two months and a minute: over 32 bits, and no float32, which knows every 16384th sample there."""


def heard(start: int) -> list[Level | Bands | Patch]:
    """Return what the path says of three seconds after a gap that ends at `start`."""
    path = pipeline()
    out = path.process(Gap(0, start, "unplugged", 0.0))
    samples = noise(3 * RATE_HZ)
    for at in range(0, len(samples), 1000):
        out += path.process(Period(start + at, samples[at : at + 1000], 0.0))
    return out + path.flush()


def moved(item: Level | Bands | Patch, by: int) -> Level | Bands | Patch:
    if isinstance(item, Patch):
        return replace(item, sample_index=item.sample_index + by)
    return replace(item, sample_index=item.sample_index + by, end_index=item.end_index + by)


def test_levels_bands_and_patches_are_the_same_to_the_bit() -> None:
    soon, late = heard(SOON), heard(LATE)
    assert len(soon) == len(late) > 8
    for one, other in zip(soon, late, strict=True):
        there = moved(one, LATE - SOON)
        assert type(there) is type(other)
        assert isinstance(other.sample_index, int)
        if isinstance(there, Patch) and isinstance(other, Patch):
            place = (there.sample_index, there.n_samples)
            assert place == (other.sample_index, other.n_samples)
            np.testing.assert_array_equal(there.frames, other.frames)
        elif isinstance(there, Bands) and isinstance(other, Bands):
            place = (there.sample_index, there.end_index)
            assert place == (other.sample_index, other.end_index)
            np.testing.assert_array_equal(there.levels_dbfs, other.levels_dbfs)
        else:
            assert there == other


def spans(events: list[Event], base: int) -> list[tuple[str, int, int | None]]:
    return [
        (one.edge, one.onset_index - base, one.offset_index and one.offset_index - base)
        for one in events
    ]


def test_events_and_alarms_are_as_long_and_lie_where_they_did() -> None:
    def detected(base: int) -> list[Event]:
        rule = Rule(0.5, 0.3, 1, 0.5, 0.5, 60.0)
        detector = Detector(("a",), {"a": rule}, RATE_HZ, "s")
        scores = [0.1, 0.9, 0.9, 0.1, 0.1, 0.1, 0.8]
        events = []
        for number, score in enumerate(scores):
            values = np.array([score], np.float32)
            events += detector.update(Scores(base + number * 23040, 46080, values))
        return events + detector.flush(base + 7 * 23040)

    def alarmed(base: int) -> list[Event]:
        rule = AlarmRule("loud", "level", -40.0, average_s=2, hold_s=0, cooldown_s=0)
        alarm = Alarm(rule, RATE_HZ, "s")
        first = base // RATE_HZ
        events = []
        for number, laeq_dbfs in enumerate([-60.0, -30.0, -30.0, -60.0, -60.0, -60.0]):
            events += alarm.level(a_level(first + number, RATE_HZ, laeq_dbfs=laeq_dbfs), 0)
        return events + alarm.close(base + 6 * RATE_HZ)

    for follow in (detected, alarmed):
        assert spans(follow(SOON), SOON) == spans(follow(LATE), LATE) != []


def test_a_time_is_right_to_the_millisecond_after_two_months_of_a_card_100_ppm_off() -> None:
    boot_s, true_hz = 1_800_000_000.0, RATE_HZ * (1 + 100e-6)
    end_s = 60 * 86400.0
    clock = StreamClock(RATE_HZ, wall=lambda: boot_s + end_s, mono=lambda: end_s)
    for number in range(500):
        at_s = end_s - 10.0 + number * 0.02
        clock.tie(round(at_s * true_hz), at_s)
    told = datetime.fromisoformat(clock.utc(round(end_s * true_hz)).text)
    assert told.timestamp() == pytest.approx(boot_s + end_s, abs=0.0021)


def test_kept_sound_comes_back_from_where_it_was_put() -> None:
    stream = StreamFormat(RATE_HZ, 1, 1000, "S16_LE")
    history = History(stream, 48000)
    history.write(Gap(0, LATE, "unplugged", 0.0))
    samples = noise(30_000)
    for at in range(0, len(samples), 1000):
        history.write(Period(LATE + at, samples[at : at + 1000], 0.0))
    stretch = history.read(LATE - 500, LATE + 30_000)
    np.testing.assert_array_equal(stretch.samples[500:], samples)
    assert stretch.holes == (Hole(LATE - 500, LATE, "unplugged"),)


def test_the_stream_s_figures_and_a_message_count_every_sample() -> None:
    stream = StreamFormat(RATE_HZ, 1, 1000, "S16_LE")
    watch = StreamWatch(stream, StreamClock(RATE_HZ))
    watch.note(Gap(0, LATE + 1, "unplugged", 0.0))
    watch.note(Period(LATE + 1, noise(1000), 0.0))
    figures = watch.figures()
    assert (figures["samples"], figures["lost_samples"]) == (LATE + 1001, LATE + 1)
    clock = StreamClock(RATE_HZ)
    what = Event("offset", "e", "rain", 0.5, LATE + 1, LATE + 3)
    message = event(
        Topics("edge", "x"), what, onset=clock.utc(LATE), offset=clock.utc(LATE), fields={}
    )
    body = json.loads(message.payload)
    assert (body["onset_sample"], body["offset_sample"]) == (LATE + 1, LATE + 3)
    assert datetime.fromisoformat(body["onset_time"]).tzinfo == UTC
