# SPDX-License-Identifier: MIT
"""What a box must do: sound in, messages out, and on through faults."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tools.boot.lab import ACTIVE, Lab
from tools.boot.table import must

if TYPE_CHECKING:
    from collections.abc import Callable

RATE_HZ: Final = 48000
TOLD_WITHIN_S: Final = 3.0
DRIVER: Final = "/sys/bus/platform/drivers/snd_aloop"
RULE: Final = "/usr/local/lib/udev/rules.d/70-edge.rules"
SLEEPY: Final = 'ACTION=="add", SUBSYSTEM=="usb", ATTR{power/control}="auto"'
USB_CARD: Final = "usb-audio,audiodev=silent,id=card"
USB_POWER: Final = "/sys/bus/usb/devices/*/sound/card*/device/../power/control"
EXPOSURE: Final = {"edge-listen": 1.5, "edge-analyze": 2.0}


def boots_deaf(lab: Lab) -> str:
    """No sound card is there: the units run, the box says what it lacks."""
    lab.settle()
    lab.ear.wait("status", lambda value: value == "online", 0, 300.0)
    lab.box.until(ACTIVE, 200.0)
    lab.health(0, 200.0, microphone="absent")
    return "says `absent`; password by credential"


def hears_later(lab: Lab) -> str:
    """A card that comes after the start is opened: the sandbox must know of sound cards before."""
    since, began_s = lab.ear.now(), time.monotonic()
    lab.plug()
    at_s, _ = lab.health(since, 300.0, microphone="ok")
    lab.health(since, 60.0, real_time=True)
    classes = lab.box.run(f"chrt -a -p {lab.show('MainPID')}")
    must(classes.count("SCHED_RR") == 1, f"not capture alone has a real-time class: {classes}")
    return f"after {at_s - began_s:.1f} s; capture alone in real time"


def tells_what_it_hears(lab: Lab) -> str:
    """A scene comes back as events, a clip and its analysis."""
    onset = lab.ear.wait("event", lambda value: value["event_type"] == "onset", 0, 300.0)
    clip = lab.ear.wait("clip", lambda _: True, 0, 200.0)
    lab.box.run("systemctl stop player")  # what is heard keeps analysis waiting
    lab.ear.wait("analysis", lambda value: value["clip_id"] == clip.value["clip_id"], 0, 500.0)
    lab.box.run("ls /var/lib/edge/clips/*/*.flac /var/lib/edge/clips/*/*.analysis.png")
    lab.box.run("edge clips list")
    labels = sorted({one.value["label"] for one in lab.ear.heard if one.topic == "event"})
    lab.plug()
    return f"first {onset.value['label']}; {', '.join(labels)}; clip {clip.value['duration_s']} s"


def outlives_a_stop(lab: Lab) -> str:
    """A process that stands still is started anew by the watchdog."""
    took_s = lab.back("STOP", 200.0)
    lab.ear.wait("last_words", lambda _: True, 0, 30.0)
    return f"listens again after {took_s:.0f} s (WatchdogSec=20), last words told"


def outlives_a_kill(lab: Lab) -> str:
    """A process that is killed is started anew."""
    return f"listens again after {lab.back('KILL', 200.0):.0f} s"


def outlives_an_unplugging(lab: Lab) -> str:
    """The card goes, and comes back under another number: told at once, a gap of true length."""
    lost_before = lab.figures()["lost_samples"]
    since, began_s = lab.ear.now(), time.monotonic()
    went_s = float(_unbind(lab))
    told_s = lab.health(since, 20.0, microphone="lost")[0] - began_s
    time.sleep(5.0)
    lab.box.run("modprobe snd-dummy")  # takes the free number
    since = lab.ear.now()
    back_s = float(lab.box.run(f"echo snd_aloop.0 >{DRIVER}/bind; cut -d' ' -f1 /proc/uptime"))
    _, health = lab.health(since, 90.0, microphone="ok")
    hole_s = (health["lost_samples"] - lost_before) / RATE_HZ
    number = lab.box.run("readlink /proc/asound/Loopback")
    away_s = back_s - went_s
    seen = f"told after {told_s:.1f} s; away {away_s:.1f} s, gap {hole_s:.1f} s; back as {number}"
    fits = told_s < TOLD_WITHIN_S and -0.5 <= hole_s - away_s <= 4.0 and number != "card0"
    must(fits, seen)
    return seen


def _unbind(lab: Lab) -> str:
    # It waits until the last reader has closed the card.
    unbind = f"(echo snd_aloop.0 >{DRIVER}/unbind) >/dev/null 2>&1 &"
    return lab.box.run(f"cut -d' ' -f1 /proc/uptime; {unbind}")


def outlives_the_clock(lab: Lab) -> str:
    """The clock leaps forth and back: nothing is lost, nothing restarts."""
    before = _counts(lab)
    for step in ("+1 hour", "-3 hours", "+2 hours"):
        lab.box.run(f'date -s "$(date -d "{step}")"')
        since = lab.ear.now()
        levels = [lab.ear.wait("level", lambda _: True, since, 5.0)]
        for _ in range(4):
            since = lab.ear.now()
            levels.append(lab.ear.wait("level", lambda _: True, since, 5.0))
        apart_s = max(b.at_s - a.at_s for a, b in pairwise(levels))
        must(apart_s < 3.0, f"no level for {apart_s:.1f} s after {step}")
    after = _counts(lab)
    must(before == after, f"{before} became {after}")
    since = lab.ear.now()
    lab.box.run("mkdir -p /run/systemd/timesync; touch /run/systemd/timesync/synchronized")
    lab.health(since, 90.0, clock_synchronised=True)
    return "+1 h, -3 h, +2 h: a level each second, no restart, no gap; knows when it is right"


def _counts(lab: Lab) -> tuple[str, str, int]:
    return lab.show("MainPID"), lab.show("NRestarts"), lab.figures()["gaps"]


def outlives_a_reboot(lab: Lab) -> str:
    """A reboot in the middle of a recording leaves whole clips only."""
    seen = _cut_off(lab, "systemctl reboot")
    lab.box.run("grep -l -e '-command-' /var/lib/edge/clips/*/*.json")
    return f"{seen}, the one that was cut off among them"


def outlives_a_power_cut(lab: Lab) -> str:
    """So does a power cut."""
    return _cut_off(lab, "echo b >/proc/sysrq-trigger")


def _cut_off(lab: Lab, how: str) -> str:
    since = lab.ear.now()
    lab.command("record", '{"seconds": 120}')
    lab.ear.wait("command/record/result", lambda _: True, since, 20.0)
    time.sleep(15.0)
    took_s = lab.box.boot_again(how)
    since = lab.ear.now()
    lab.box.until(ACTIVE, 300.0)
    lab.plug()
    lab.ear.wait("level", lambda _: True, since, 120.0)
    whole = (
        "(shopt -s nullglob; cd /var/lib/edge/clips; number=0; for sound in */*.flac; do"
        " [ -s $sound ] && [ -s ${sound%.flac}.json ] || { echo $sound; exit 1; };"
        " number=$((number + 1)); done; echo $number)"
    )
    clips = lab.box.run(whole)
    # What is younger than the boot is being recorded; an analysis that was cut off is made anew,
    # over what there is of it.
    old = "! -newermt @$(awk '/^btime/ {print $2}' /proc/stat) ! -name '*.analysis.*'"
    odd = lab.box.run(f"find /var/lib/edge/clips {old} -name '*.part'")
    must(not odd, f"unfinished: {odd}")
    return f"back after {took_s:.0f} s, {clips} clips, all whole"


def is_confined(lab: Lab) -> str:
    """Systemd itself says how exposed the units are."""
    found = {unit: lab.exposure(unit) for unit in EXPOSURE}
    for unit, exposure in found.items():
        must(exposure < EXPOSURE[unit], f"{unit}: {exposure}")
    return ", ".join(f"{unit} {exposure}" for unit, exposure in found.items())


def keeps_a_usb_card_awake(lab: Lab) -> str:
    """Somebody's rule puts all on USB to sleep: ours wakes cards, also one that is there before."""
    lab.box.until("[ ! -e /opt/edge/pending ]", 200.0)  # who judges puts files in place, too
    sleepy = f"mkdir -p /run/udev/rules.d; echo '{SLEEPY}' >/run/udev/rules.d/50-lab.rules"
    lab.box.run(f"{sleepy}; rm {RULE}; udevadm control --reload")
    lab.box.hardware(f"device_add {USB_CARD}")
    lab.box.until(f"ls {USB_POWER} && udevadm settle", 60.0)
    must(lab.box.run(f"cat {USB_POWER}") == "auto", "it is awake by itself")
    lab.box.run("/root/edge/deploy/install.sh --offline /root/wheels", 300.0)
    lab.box.until(f"grep -q on {USB_POWER}", 30.0)
    lab.box.hardware("device_del card")
    lab.box.until(f"! ls {USB_POWER}", 30.0)
    lab.box.hardware(f"device_add {USB_CARD}")
    lab.box.until(f"grep -q on {USB_POWER}", 60.0)
    lab.box.hardware("device_del card")
    lab.box.run("rm /run/udev/rules.d/50-lab.rules; udevadm control --reload")
    return "`power/control` is `on` once edge is installed, and when it is plugged in again"


CHECKS: Final[tuple[Callable[[Lab], str], ...]] = (
    boots_deaf,
    hears_later,
    tells_what_it_hears,
    outlives_a_stop,
    outlives_a_kill,
    outlives_an_unplugging,
    outlives_the_clock,
    is_confined,
    keeps_a_usb_card_awake,
    outlives_a_reboot,
    outlives_a_power_cut,
)
