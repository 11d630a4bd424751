# SPDX-License-Identifier: MIT
"""The light of the real unit: what hears is steady, what does not blinks, what has ended is off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.service.conftest import Listener
    from tools.lab.microphone import VirtualMicrophone

SAID_WITHIN_S = 20.0  # it takes less than three where the machine does nothing else


def test_the_light_says_at_once_whether_the_box_hears(
    listen: Callable[..., Listener], microphone: VirtualMicrophone, tmp_path: Path
) -> None:
    light = tmp_path / "light"
    light.mkdir()
    for name in ("trigger", "brightness"):
        (light / name).write_text("")

    def shows(trigger: str, brightness: str) -> bool:
        texts = [(light / name).read_text().split("\n")[0] for name in ("trigger", "brightness")]
        return texts == [trigger, brightness]

    microphone.unplug()
    unit = listen('publish.url=""', f'health.led="{light}"')
    unit.wait_ready()
    wait_until(lambda: shows("timer", "255"), "there is no microphone yet")
    microphone.plug()
    wait_until(lambda: shows("none", "255"), "steady")
    microphone.unplug()
    pulled_s = time.monotonic()
    wait_until(lambda: shows("timer", "255"), "blinking")
    assert time.monotonic() - pulled_s < SAID_WITHIN_S
    microphone.plug()
    wait_until(lambda: shows("none", "255"), "steady again")
    assert unit.stop() == 0
    assert shows("none", "0")
