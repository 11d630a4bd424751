# SPDX-License-Identifier: MIT
"""When the box is idle, told by a tree that stands in for /proc and /sys, and by the real one."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.service.analyze.idle import MEASURE_S, IdleGate
from edge.service.hearing import Hearing
from tests.conftest import wait_until

if TYPE_CHECKING:
    from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1


class Box:
    """A fake /proc and /sys, and a clock that the test sets."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._used = dict.fromkeys(("user", "nice", "system", "idle", "iowait", "irq"), 0.0)
        self.now_s = 100.0
        (root / "proc/77").mkdir(parents=True)
        (root / "sys/class/thermal/thermal_zone0").mkdir(parents=True)
        self.heat(40.0)
        self.worker(0.0)
        self.passes(0.0)

    def gate(self, *, max_load: float = 0.5, max_temperature_c: float = 70.0) -> IdleGate:
        return IdleGate(
            self._root,
            max_load=max_load,
            max_temperature_c=max_temperature_c,
            root=self._root,
            mono=lambda: self.now_s,
        )

    def passes(self, seconds: float = MEASURE_S, **used: float) -> None:
        """Let time pass in which processor seconds are used, as shares of all cores."""
        self.now_s += seconds
        for name, share in used.items():
            self._used[name] += share * CORES * seconds
        fields = [int(self._used[name] * TICKS) for name in self._used]
        text = " ".join(map(str, [*fields, 0, 0, 999, 999]))
        (self._root / "proc/stat").write_text(f"cpu  {text}\ncpu0 {text}\n")

    def worker(self, seconds: float) -> None:
        fields = ["S", *["0"] * 10, str(int(seconds * TICKS)), "0", *["0"] * 30]
        (self._root / "proc/77/stat").write_text(f"77 (python) 3) {' '.join(fields)}\n")

    def heat(self, celsius: float) -> None:
        sensor = self._root / "sys/class/thermal/thermal_zone0/temp"
        sensor.write_text(f"{round(celsius * 1000)}\n")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_box_that_was_only_just_looked_at_is_not_known_to_be_idle(box: Box) -> None:
    gate = box.gate()
    assert "measured" in gate.reason(None)
    box.passes(MEASURE_S / 2)
    assert "measured" in gate.reason(None)
    box.passes(MEASURE_S)
    assert gate.reason(None) == ""


@pytest.mark.parametrize("kind", ["user", "nice", "system", "irq"])
def test_what_others_compute_keeps_it_from_being_idle(box: Box, kind: str) -> None:
    gate = box.gate()
    gate.reason(None)
    box.passes(**{kind: 0.8})
    assert gate.reason(None).startswith("others use 80 %")
    box.passes(**{kind: 0.1})
    assert gate.reason(None) == ""


@pytest.mark.parametrize("kind", ["idle", "iowait"])
def test_waiting_is_no_computing(box: Box, kind: str) -> None:
    gate = box.gate()
    gate.reason(None)
    box.passes(**{kind: 1.0})
    assert gate.reason(None) == ""


def test_what_the_worker_computes_does_not_count(box: Box) -> None:
    gate = box.gate(max_load=0.1)
    gate.reason(77)
    box.passes(user=1.0)
    box.worker(MEASURE_S * CORES)
    assert gate.reason(77) == ""
    box.passes(user=1.0)  # the same load again, this time of somebody else
    assert "others use" in gate.reason(77)


def test_it_says_the_same_words_while_it_is_busy_and_does_not_flutter(box: Box) -> None:
    gate = box.gate(max_load=0.5)
    gate.reason(None)
    box.passes(user=0.6)
    said = gate.reason(None)
    for load in (0.9, 0.45, 0.41):  # over 80 % of the limit: still busy
        box.passes(user=load)
        assert gate.reason(None) == said
    box.passes(user=0.39)
    assert gate.reason(None) == ""
    box.passes(user=0.45)  # under the limit: still idle
    assert gate.reason(None) == ""


def test_a_limit_of_one_allows_any_load_at_once(box: Box) -> None:
    gate = box.gate(max_load=1.0)
    assert gate.reason(None) == ""
    for load in (1.0, 1.05):  # the kernel counts in ticks, and they are read one after the other
        box.passes(user=load)
        assert gate.reason(None) == ""


def test_heat_keeps_it_from_being_idle_until_it_is_cooler_by_3_degrees(box: Box) -> None:
    box.heat(71.0)
    gate = box.gate(max_load=1.0)
    assert gate.reason(None) == "the processor is 71 degrees hot"
    for celsius, idle in ((69.0, False), (67.5, False), (66.0, True), (69.0, True), (70.5, False)):
        box.heat(celsius)
        box.passes()
        assert (gate.reason(None) == "") is idle, celsius


def test_a_box_without_a_thermometer_is_never_hot(box: Box, tmp_path: Path) -> None:
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").unlink()
    assert box.gate(max_load=1.0).reason(None) == ""


def test_an_open_event_counts_at_once_and_before_all_else(box: Box, tmp_path: Path) -> None:
    gate = box.gate(max_load=1.0)
    assert gate.reason(None) == ""
    hearing = Hearing(tmp_path)
    hearing.tell(heard=True)
    assert gate.reason(None) == "something is heard"
    hearing.close()  # a listener that is killed hears nothing
    assert gate.reason(None) == ""


def test_on_the_real_machine_a_busy_worker_is_told_from_a_busy_stranger(tmp_path: Path) -> None:
    spin = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    spinners = [subprocess.Popen(spin, stdout=subprocess.PIPE) for _ in range(2)]
    gate = IdleGate(tmp_path, max_load=0.5, max_temperature_c=110.0)
    try:
        for one in spinners:
            assert one.stdout is not None
            one.stdout.readline()
        before = gate._used(0.0, spinners[0].pid)  # noqa: SLF001 - the figures themselves

        def told_apart() -> bool:  # as soon as each has had the processor
            after = gate._used(0.5, spinners[0].pid)  # noqa: SLF001 - as above
            ours_s = after.ours_s - before.ours_s
            return 0.0 < ours_s < after.everybody_s - before.everybody_s

        wait_until(told_apart, "some for the worker, and more in all")
    finally:
        for one in spinners:
            one.kill()
            one.wait()
            assert one.stdout is not None
            one.stdout.close()
