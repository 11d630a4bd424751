# SPDX-License-Identifier: MIT
"""Box and ear together, and what several checks ask of them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

from tools.boot.ear import PASSWORD, Ear
from tools.boot.machine import HOST, BrokenError, Machine

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

CARD: Final = "hw:CARD=Loopback,DEV={}"
ACTIVE: Final = (
    "systemctl is-active --quiet edge-listen && systemctl is-active --quiet edge-analyze"
)
# Bands are most of a listener's work, and an emulated processor is slow enough. The format is the
# player's: both ends of this card have the same, and the first to open it chooses.
SETTINGS: Final = """\
[node]
id = "box"
[capture]
device = "{device}"
sample_format = "S16_LE"
[level]
bands = false
[publish]
url = "mqtt://{host}:{port}"
user = "box"
"""


class Lab:
    """A box that has booted, and the broker that it reports to."""

    def __init__(
        self, place: Path, disk: Path, files: tuple[Path, Path], running: ExitStack
    ) -> None:
        self.ear = Ear(place, running)
        self.box = Machine(disk, *files, running)

    def settle(self) -> None:
        """Write settings and password, as a person would."""
        text = SETTINGS.format(device=CARD.format(1), host=HOST, port=self.ear.port)
        self.box.run(
            f"cat >/etc/edge/edge.toml <<'END'\n{text}END\n"
            f"(umask 077; printf '%s' '{PASSWORD}' >/etc/credstore/edge.mqtt-password)\n"
            "systemctl restart edge-listen edge-analyze"
        )

    def plug(self) -> None:
        """Load the sound card, and play the scene into it for ever."""
        self.box.run("modprobe snd-aloop")
        play = f"aplay -q -D {CARD.format(0)} /root/scene.wav || sleep 1"
        self.box.run(f"systemd-run --quiet --unit=player bash -c 'while :; do {play}; done'")

    def command(self, name: str, payload: str) -> None:
        """Tell the box something over MQTT."""
        to = ["-p", str(self.ear.port), "-u", "box", "-P", PASSWORD]
        to += ["-t", f"edge/box/command/{name}", "-m", payload]
        subprocess.run(["mosquitto_pub", *to], check=True)

    def health(self, since: int, within_s: float, **wanted: Any) -> tuple[float, dict[str, Any]]:  # noqa: ANN401 - whatever health holds
        """Return when health first said so (monotonic seconds), and the whole of it."""

        def fits(value: dict[str, Any]) -> bool:
            return all(value.get(key) == want for key, want in wanted.items())

        heard = self.ear.wait("health", fits, since, within_s)
        return heard.at_s, heard.value

    def figures(self) -> dict[str, Any]:
        """Return what `edge status` knows."""
        figures: dict[str, Any] = json.loads(self.box.run("edge status --json"))
        return figures

    def show(self, name: str, unit: str = "edge-listen") -> str:
        """Return a property of a unit."""
        return self.box.run(f"systemctl show --value --property={name} {unit}")

    def back(self, signal: str, within_s: float) -> float:
        """Send the listener a signal; return after how many seconds it listens again."""
        pid, since, began_s = self.show("MainPID"), self.ear.now(), time.monotonic()
        self.box.run(f"kill -{signal} {pid}")
        other = f'[ "$(systemctl show --value --property=MainPID edge-listen)" != {pid} ]'
        self.box.until(f"{other} && {ACTIVE}", within_s)
        self.ear.wait("status", lambda value: value == "online", since, within_s)
        self.ear.wait("level", lambda _: True, since, within_s)
        return time.monotonic() - began_s

    def release(self) -> str:
        """Return the release in use."""
        return self.box.run("basename $(readlink /opt/edge/current)")

    def exposure(self, unit: str) -> float:
        """Return what systemd says of a unit's sandbox, 0 to 10."""
        out = self.box.run(f"systemd-analyze security --no-pager {unit} | tail -n 1")
        found = re.search(r": ([0-9.]+) ", out)
        if not found:
            raise BrokenError(out)
        return float(found[1])
