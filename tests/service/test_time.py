# SPDX-License-Identifier: MIT
"""Clocks that step, sleep, or know nothing at boot, under the real unit: lengths and order hold."""

from __future__ import annotations

import itertools
import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import LATE_EAR, broker_with_memory, wait_until
from tools.lab.clock import FaultClock
from tools.lab.microphone import VirtualMicrophone
from tools.storm.sound import ALARM, PERIOD_S, RATE_HZ, write_signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Mosquitto, Subscriber
    from tests.service.conftest import Listener

    Start = Callable[..., Listener]

HOUR_S = 3600.0
SOON_S = 600.0  # a step is of hours
YEARS_S = 10 * 365 * 86400.0
QUICK_CLIPS = ("record.pre_roll_s=0.5", "record.post_roll_s=0.5")


@pytest.fixture
def bursts(tmp_path: Path) -> VirtualMicrophone:
    """Return a microphone that hears a burst of 2.4 s every 6 s."""
    write_signal(tmp_path / "bursts.raw", 1)
    return VirtualMicrophone(tmp_path / "microphone", tmp_path / "bursts.raw", loop=True)


@pytest.fixture
def clock(tmp_path: Path) -> FaultClock:
    return FaultClock(tmp_path / "clock")


def seconds(utc: str) -> float:
    return datetime.fromisoformat(utc).timestamp()


def bodies(ear: Subscriber, topic: str) -> list[dict[str, Any]]:
    head = f"edge/edge/{topic} {{"
    return [json.loads(line[len(head) - 1 :]) for line in ear.lines() if line.startswith(head)]


def wait_for_events(ear: Subscriber, edge: str, number: int) -> None:
    def there() -> bool:
        return sum(one["event_type"] == edge for one in bodies(ear, "event")) >= number

    wait_until(there, f"{edge} {number}")


def check_lengths_and_order(events: list[dict[str, Any]]) -> None:
    """See that each event is whole, as long as what was played, and in order."""
    onsets = [one for one in events if one["event_type"] == "onset"]
    offsets = {one["event_id"]: one for one in events if one["event_type"] == "offset"}
    indices = [one["onset_sample"] for one in onsets]
    assert indices == sorted(indices)
    assert {one["event_id"] for one in onsets} == set(offsets)
    for one in offsets.values():
        assert one["duration_s"] == (one["offset_sample"] - one["onset_sample"]) / RATE_HZ
        assert 1.5 <= one["duration_s"] <= 4.0
        told_s = seconds(one["offset_time"]) - seconds(one["onset_time"])
        assert told_s == pytest.approx(one["duration_s"], abs=0.002)


def test_steps_by_hours_in_both_directions_change_no_length_and_no_order(
    listen: Start, mosquitto: Callable[..., Mosquitto], bursts: VirtualMicrophone, clock: FaultClock
) -> None:
    """Each step comes while an event sounds; from then on it says that nobody keeps the clock."""
    clock.correct()
    server = mosquitto()
    ear = server.subscribe()
    unit = listen(
        *(f'publish.url="{server.url}"', f"level.alarms=[{ALARM}]", *QUICK_CLIPS),
        on=bursts,
        wrap=clock.wrap(),
    )
    for number, step_s in enumerate((5 * HOUR_S, -9 * HOUR_S, 0.0), 1):
        wait_for_events(ear, "onset", number)
        onset = bodies(ear, "event")[-1]
        assert onset["clock_synchronised"] == (number == 1)
        assert 0.0 < clock.wall_s(time.time()) - seconds(onset["onset_time"]) < SOON_S
        clock.step(step_s)
        wait_for_events(ear, "offset", number)
    assert unit.stop() == 0
    assert "Traceback" not in unit.log()
    events = bodies(ear, "event")
    check_lengths_and_order(events)
    indices = [one["onset_sample"] for one in events if one["event_type"] == "onset"]
    for one, following in itertools.pairwise(indices):
        assert (following - one) / RATE_HZ == pytest.approx(PERIOD_S, abs=1.1)
    clips = [json.loads(path.read_text()) for path in unit.state.rglob("clips/*/*.json")]
    assert len(clips) >= 3
    for clip in clips:
        told_s = seconds(clip["end_time"]) - seconds(clip["start_time"])
        assert told_s == pytest.approx(clip["duration_s"], abs=0.002)
        assert clip["clock_synchronised"] is False


def test_times_from_a_boot_without_a_clock_are_set_right_once_it_is(
    listen: Start,
    mosquitto: Callable[..., Mosquitto],
    bursts: VirtualMicrophone,
    clock: FaultClock,
    tmp_path: Path,
) -> None:
    """No network either: they wait in the outbox, and leave it right; clips are flagged."""
    clock.step(-YEARS_S)
    server = broker_with_memory(mosquitto, tmp_path)
    unit = listen(
        *(f'publish.url="{server.url}"', f"level.alarms=[{ALARM}]", *QUICK_CLIPS),
        on=bursts,
        wrap=(*clock.wrap(), f"RUNTIME_DIRECTORY={tmp_path / 'run'}"),
    )
    began_s = time.time()
    figures = tmp_path / "run" / "edge.json"

    def heard() -> bool:
        return figures.exists() and json.loads(figures.read_text())["events"] >= 2

    wait_until(heard, "two events", 60.0)
    wait_until(lambda: list(unit.state.rglob("clips/*/*U_burst.json")), "a clip")
    clock.correct()
    server.start()
    ear = server.subscribe("#", *LATE_EAR)
    wait_for_events(ear, "offset", 3)
    assert unit.stop() == 0
    events = bodies(ear, "event")
    check_lengths_and_order(events)
    assert all(one["clock_synchronised"] for one in events)
    corrected = [one for one in events if "clock_corrected_s" in one]
    assert len(corrected) >= 3
    for one in corrected:
        assert one["clock_corrected_s"] == pytest.approx(YEARS_S, abs=0.1)
    times: dict[str, list[float]] = {}
    for one in events:
        assert began_s - 1.0 < seconds(one["onset_time"]) < time.time()
        times.setdefault(one["event_id"], []).append(seconds(one["onset_time"]))
    for told in times.values():
        assert max(told) - min(told) < 0.05, "an event that began before it was right is one"
    for path in unit.state.rglob("clips/*/*.json"):
        clip = json.loads(path.read_text())
        assert clip["clock_synchronised"] == (seconds(clip["start_time"]) > began_s - 1.0)


@pytest.mark.parametrize("card_says_so", [True, False])
def test_what_a_sleeping_machine_has_missed_is_a_gap_of_that_length(
    listen: Start,
    mosquitto: Callable[..., Mosquitto],
    bursts: VirtualMicrophone,
    clock: FaultClock,
    *,
    card_says_so: bool,
) -> None:
    """Also with a driver that goes on as if nothing had been: the clocks tell."""
    clock.correct()
    server = mosquitto()
    ear = server.subscribe()
    unit = listen(
        f'publish.url="{server.url}"',
        f"level.alarms=[{ALARM}]",
        *QUICK_CLIPS,
        on=bursts,
        wrap=clock.wrap(),
    )
    wait_for_events(ear, "onset", 2)
    if card_says_so:
        bursts.suspend()
        time.sleep(0.3)
    clock.sleep(HOUR_S)
    bursts.wake()
    wait_for_events(ear, "offset", 3)
    wait_until(lambda: bodies(ear, "health")[-1]["gaps"], "a gap")
    health = bodies(ear, "health")[-1]
    assert health["gaps"] == 1
    assert health["xruns"] == 0
    assert health["lost_samples"] / RATE_HZ == pytest.approx(HOUR_S, abs=5.0)
    level = bodies(ear, "level")[-1]
    assert 0.0 < clock.wall_s(time.time()) - seconds(level["time"]) < SOON_S
    assert unit.stop() == 0
    events = bodies(ear, "event")
    onsets = [one for one in events if one["event_type"] == "onset"]
    offsets = [one for one in events if one["event_type"] == "offset"]
    assert all(one["duration_s"] <= 4.0 for one in offsets), "none lasts through the sleep"
    slept_s = seconds(onsets[2]["onset_time"]) - seconds(onsets[1]["onset_time"])
    indices = (onsets[2]["onset_sample"] - onsets[1]["onset_sample"]) / RATE_HZ
    assert slept_s == pytest.approx(indices, abs=0.05)
    assert slept_s > HOUR_S
