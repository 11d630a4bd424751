# SPDX-License-Identifier: MIT
"""What udev makes of our rule, for a sound card in a tree of devices of its own."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.conftest import REPOSITORY, may_mount

pytestmark = [
    pytest.mark.skipif(not may_mount(), reason="mounting is not allowed here"),
    pytest.mark.skipif(not shutil.which("udevadm"), reason="udev is missing"),
]

RULE = REPOSITORY / "systemd/70-edge.rules"
# From systemd 256 on a test writes no attribute, it only says what it would write.
WOULD_WRITE = r"70-edge\.rules:\d+ .*/card1/device/\.\./power/control.*['\"]on['\"]"
DEVICES = """
set -e
mount -t tmpfs none /sys; mount -t tmpfs none /run
mkdir -p /run/udev/rules.d; cp {rule} /run/udev/rules.d/70-edge.rules
device=/sys/devices/bus/1-1 part=/sys/devices/bus/1-1/1-1:1.0
card=$part/sound/card1
mkdir -p $card $device/power /sys/bus/{bus} /sys/class/sound
touch $device/power/control $device/uevent $part/uevent $card/uevent
ln -s /sys/bus/{bus} $device/subsystem; ln -s /sys/bus/{bus} $part/subsystem
ln -s /sys/class/sound $card/subsystem; ln -s ../../../1-1:1.0 $card/device
ln -s $card /sys/class/sound/card1
SYSTEMD_DEVICE_VERIFY_SYSFS=0 udevadm test --action={action} $card
"""


def said_of_the_rule(bus: str, action: str) -> list[str]:
    script = DEVICES.format(rule=RULE, bus=bus, action=action)
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "ACTION=" in done.stdout, done.stdout
    return [line for line in done.stdout.splitlines() if "70-edge.rules:" in line]


@pytest.mark.parametrize("action", ["add", "change"])
def test_a_usb_microphone_is_kept_awake(action: str) -> None:
    (said,) = said_of_the_rule("usb", action)
    assert re.search(WOULD_WRITE, said), said


@pytest.mark.parametrize(("bus", "action"), [("platform", "add"), ("usb", "remove")])
def test_another_card_or_one_that_goes_is_left_alone(bus: str, action: str) -> None:
    assert said_of_the_rule(bus, action) == []
