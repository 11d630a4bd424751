# SPDX-License-Identifier: MIT
"""The light, on a folder with the files that the kernel has for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.led import Led

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def light(tmp_path: Path) -> Path:
    for name in ("trigger", "brightness"):
        (tmp_path / name).write_text("")
    return tmp_path


def shown(light: Path) -> tuple[str, str]:
    """Return what was written last to both files, as the kernel takes it: by the line."""
    texts = [(light / name).read_text().split("\n")[0] for name in ("trigger", "brightness")]
    return texts[0], texts[1]


def test_each_state_is_a_trigger_and_a_brightness(light: Path) -> None:
    led = Led(str(light))
    led.show("steady")
    assert shown(light) == ("none", "255")
    led.show("blinking")
    assert shown(light) == ("timer", "255")
    led.show("off")
    assert shown(light) == ("none", "0")


def test_nothing_is_written_where_nothing_changes(light: Path) -> None:
    led = Led(str(light))
    led.show("steady")
    for name in ("trigger", "brightness"):
        (light / name).write_text("untouched\n")
    led.show("steady")
    assert shown(light) == ("untouched", "untouched")
    led.show("blinking")
    assert shown(light)[0] == "timer"


def test_a_light_that_can_not_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    led = Led(str(tmp_path / "none"))
    for _ in range(3):
        led.show("steady")
        led.show("off")
    assert caplog.text.count("health.led shows nothing") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_a_light_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Led("").show("steady")
    assert list(tmp_path.iterdir()) == []
    assert caplog.text == ""
