# SPDX-License-Identifier: MIT
"""What the installer must do on a running box: another version, the way back, the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tools.boot.lab import ACTIVE, Lab
from tools.boot.machine import BrokenError

if TYPE_CHECKING:
    from collections.abc import Callable

INSTALL: Final = "/root/{}/deploy/install.sh --offline /root/few"
SETTLED: Final = f"[ ! -e /opt/edge/pending ] && {ACTIVE}"
DIGEST: Final = "sha256sum /etc/edge/edge.toml"


def upgrades(lab: Lab) -> str:
    """A good version comes into use and stays; the settings are as they were."""
    settings, began_s = lab.box.run(DIGEST), time.monotonic()
    lab.box.run(INSTALL.format("good"), 900.0)
    took_s = time.monotonic() - began_s
    _must_use(lab, "8.0.0", settings)
    again = lab.box.run(INSTALL.format("good"), 300.0)
    if "nothing to change" not in again:
        raise BrokenError(f"a second run: {again}")
    return f"{took_s:.0f} s; a second run changes nothing"


def refuses_misfit(lab: Lab) -> str:
    """Settings that the next version can't read keep the old one running."""
    settings, pid = lab.box.run(DIGEST), lab.show("MainPID")
    code, out = lab.box.attempt(INSTALL.format("misfit"), 900.0)
    if not code or "publish.url: unknown key" not in out or lab.show("MainPID") != pid:
        raise BrokenError(f"{code}: {out[-600:]}")
    _must_use(lab, "8.0.0", settings)
    return "the mistake is named, the listener was not even restarted"


def rolls_back(lab: Lab) -> str:
    """A version that does not run is left again by itself."""
    settings, began_s = lab.box.run(DIGEST), time.monotonic()
    code, out = lab.box.attempt(INSTALL.format("failing"), 900.0)
    took_s = time.monotonic() - began_s
    if not code or "was not healthy" not in out:
        raise BrokenError(f"{code}: {out[-600:]}")
    lab.box.until(SETTLED, 200.0)
    _must_use(lab, "8.0.0", settings)
    return f"{took_s:.0f} s, of which 120 to judge"


def rolls_back_after_a_power_cut(lab: Lab) -> str:
    """A power cut while such a version is judged: the next boot leaves it."""
    settings = lab.box.run(DIGEST)
    lab.box.run(f"setsid {INSTALL.format('failing')} >/root/install.log 2>&1 &")
    lab.box.until("[ -e /opt/edge/pending ] && readlink /opt/edge/current | grep -q 9.0.0", 300.0)
    time.sleep(3.0)
    lab.box.boot_again("echo b >/proc/sysrq-trigger")
    began_s = time.monotonic()
    lab.box.until(SETTLED, 500.0)
    _must_use(lab, "8.0.0", settings)
    return f"{time.monotonic() - began_s:.0f} s after the boot"


def uninstalls(lab: Lab) -> str:
    """Program and units go, recordings stay until they are asked for."""
    lab.box.run("/root/edge/deploy/install.sh uninstall", 200.0)
    clips = lab.box.run(
        "ls /etc/edge/edge.toml >/dev/null && ls /var/lib/edge/clips/*/*.flac | wc -l"
    )
    lab.box.run("! systemctl cat edge-listen 2>/dev/null && [ ! -e /opt/edge ]")
    lab.box.run("/root/edge/deploy/install.sh uninstall --purge", 200.0)
    lab.box.run("[ ! -e /var/lib/edge ] && [ ! -e /etc/edge ] && ! id edge 2>/dev/null")
    return f"{clips} clips stayed; gone with --purge"


def _must_use(lab: Lab, version: str, settings: str) -> None:
    lab.box.until(ACTIVE, 200.0)
    release = lab.release()
    if not release.startswith(f"{version}-"):
        raise BrokenError(f"{release} is in use")
    if lab.box.run(DIGEST) != settings:
        raise BrokenError("the settings were changed")


UPGRADES: Final[tuple[Callable[[Lab], str], ...]] = (
    upgrades,
    refuses_misfit,
    rolls_back,
    rolls_back_after_a_power_cut,
    uninstalls,
)
