# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest

from edge.health import BoxHealth


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("soc", ["soc", "soc@107c000000"])
def test_a_pi_s_figures_are_read_from_its_files(tmp_path: Path, soc: str) -> None:
    """The second is a Pi 5."""
    write(tmp_path / "sys/class/thermal/thermal_zone0/temp", "61234\n")
    write(tmp_path / f"sys/devices/platform/{soc}/{soc}:firmware/get_throttled", "50005\n")
    write(tmp_path / "proc/self/statm", "9000 2048 1000 1 0 1 0\n")
    write(tmp_path / "proc/self/io", "read_bytes: 1\nwrite_bytes: 2500000\n")
    figures = BoxHealth(tmp_path, root=tmp_path).read()
    assert figures["temperature_c"] == 61.2
    assert figures["throttled"] == "0x50005"
    assert figures["memory_mb"] == 8.4
    assert figures["disk_written_mb"] == 2.5
    assert figures["disk_free_mb"] > 0


def test_what_a_machine_does_not_have_is_none(tmp_path: Path) -> None:
    figures = BoxHealth(tmp_path / "missing", root=tmp_path).read()
    absent = ("temperature_c", "throttled", "memory_mb", "disk_free_mb", "disk_written_mb")
    assert [figures[name] for name in absent] == [None] * 5


def test_the_cpu_share_is_of_the_time_since_the_last_look(tmp_path: Path) -> None:
    box = BoxHealth(tmp_path)
    sum(i * i for i in range(300_000))
    assert box.read()["cpu_percent"] > 0
