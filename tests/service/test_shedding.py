# SPDX-License-Identifier: MIT
"""A box that is too hot or too busy does less, says why, and takes it up again."""

from __future__ import annotations

from typing import Any

import pytest

from edge.service.shedding import DOWN_S, LOOK_S, STEPS, UP_S, Shedding

WELL: dict[str, Any] = {
    "temperature_c": 50.0,
    "throttled": "0x0",
    "late_patches": 0,
    "inferences": 0,
    "xruns": 0,
}


class Box:
    """Figures that are looked at every `LOOK_S`."""

    def __init__(self, shedding: Shedding) -> None:
        self.shedding = shedding
        self.figures = dict(WELL)
        self.now_s = 0.0

    def go_on(self, seconds: float, **change: object) -> list[str]:
        """Return the steps that were changed to."""
        self.figures |= change
        changes = []
        for _ in range(round(seconds / LOOK_S)):
            self.figures["inferences"] += 10
            if self.shedding.look(self.figures, self.now_s):
                changes.append(self.shedding.step)
            self.now_s += LOOK_S
        return changes


def test_a_box_that_is_well_leaves_nothing_out() -> None:
    box = Box(Shedding(80.0))
    assert box.go_on(3600.0) == []
    assert (box.shedding.step, box.shedding.reason) == ("none", "")
    assert all(box.shedding.classifies() for _ in range(5))


def test_heat_leaves_out_more_and_more_and_cold_takes_it_up_again() -> None:
    box = Box(Shedding(80.0))
    assert box.go_on(UP_S, temperature_c=81.0) == [], "a moment is no reason"
    assert box.go_on(4 * UP_S) == list(STEPS[1:])
    assert "81 °C" in box.shedding.reason
    assert box.go_on(600.0, temperature_c=78.0) == [], "not yet cool"
    assert box.go_on(4 * DOWN_S, temperature_c=74.0) == list(reversed(STEPS[:-1]))
    assert box.shedding.reason == ""


def test_between_two_steps_there_is_time_to_help() -> None:
    box = Box(Shedding(80.0))
    box.go_on(UP_S + LOOK_S, temperature_c=90.0)
    assert box.shedding.step == "analysis"
    assert box.go_on(UP_S - LOOK_S) == []
    assert box.go_on(LOOK_S) == ["patches"]


def test_a_box_that_may_be_hot_may() -> None:
    assert Box(Shedding(0.0)).go_on(600.0, temperature_c=99.0) == []


@pytest.mark.parametrize(
    ("bits", "why"), [("0x1", "voltage"), ("0x4", "throttles"), ("0x50008", "soft limit")]
)
def test_what_the_firmware_says_of_now_counts(bits: str, why: str) -> None:
    box = Box(Shedding(80.0))
    assert box.go_on(UP_S + LOOK_S, throttled=bits) == ["analysis"]
    assert why in box.shedding.reason


@pytest.mark.parametrize("bits", ["0x1", "0x50005", "0x50007"])
def test_a_weak_supply_pauses_idle_time_analysis_and_nothing_more(bits: str) -> None:
    """Many a Pi has one for years; that the clock is lowered meanwhile is the firmware's answer."""
    box = Box(Shedding(80.0))
    assert box.go_on(3600.0, throttled=bits) == ["analysis"]
    assert "voltage" in box.shedding.reason
    assert box.go_on(600.0, temperature_c=81.0) == ["patches", "levels"]
    assert box.go_on(600.0, temperature_c=60.0) == ["patches", "analysis"]
    assert "voltage" in box.shedding.reason


def test_what_was_once_since_boot_does_not_count() -> None:
    assert Box(Shedding(80.0)).go_on(600.0, throttled="0xf0000") == []


def test_patches_that_come_late_make_a_box_busy_and_a_few_do_not() -> None:
    box = Box(Shedding(80.0))
    changes = []
    for _ in range(20):
        box.figures["late_patches"] += 1
        changes += box.go_on(LOOK_S)
    assert changes == []
    for _ in range(4):
        box.figures["late_patches"] += 10
        changes += box.go_on(LOOK_S)
    assert changes == ["analysis"]
    assert "patches come too late" in box.shedding.reason


def test_what_came_late_while_it_was_hot_is_not_counted_once_it_is_cool() -> None:
    box = Box(Shedding(80.0))
    assert box.go_on(UP_S + LOOK_S, temperature_c=90.0, late_patches=1000) == ["analysis"]
    assert box.go_on(DOWN_S, temperature_c=50.0) == []
    assert box.go_on(LOOK_S) == ["none"], "from the first cool look on"


def test_half_the_patches_then_none_are_classified() -> None:
    box = Box(Shedding(80.0))
    box.go_on(2 * UP_S + LOOK_S, temperature_c=90.0)
    assert box.shedding.step == "patches"
    assert sum(box.shedding.classifies() for _ in range(10)) == 5
    box.go_on(UP_S)
    assert box.shedding.step == "levels"
    assert not any(box.shedding.classifies() for _ in range(10))


def test_a_machine_without_a_thermometer_is_never_too_hot() -> None:
    assert Box(Shedding(80.0)).go_on(600.0, temperature_c=None, throttled=None) == []
