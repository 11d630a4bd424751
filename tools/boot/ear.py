# SPDX-License-Identifier: MIT
"""A broker outside the box, with a password, and an ear at it."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from tools.boot.machine import BrokenError, free_port
from tools.demo.place import start_child

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

PASSWORD = "a word of the lab"  # noqa: S105 - of a broker that ends with the test


class Heard(NamedTuple):
    """A message: when it came (monotonic seconds), its topic below the node's, what it says."""

    at_s: float
    topic: str
    value: Any


class Ear:
    """Hears all that the box tells."""

    def __init__(self, place: Path, running: ExitStack) -> None:
        self.port = free_port()
        self.heard: list[Heard] = []
        self._fresh = threading.Condition()
        secret, conf = place / "passwords", place / "mosquitto.conf"
        make = ["mosquitto_passwd", "-b", "-c", str(secret), "box", PASSWORD]
        subprocess.run(make, check=True)
        conf.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\npassword_file {secret}\n", "utf-8"
        )
        log = running.enter_context((place / "mosquitto.log").open("wb"))
        start_child(["mosquitto", "-c", str(conf)], running, output=log)
        time.sleep(1.0)
        command = ["stdbuf", "-oL", "mosquitto_sub", "-p", str(self.port), "-u", "box"]
        command += ["-P", PASSWORD, "-t", "edge/#", "-T", "edge/+/analysis/picture", "-F", "%t %p"]
        self._ear = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.callback(self._ear.kill)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._ear.stdout  # noqa: S101 - it is a pipe, see above
        for line in self._ear.stdout:
            topic, _, payload = line.rstrip("\n").partition(" ")
            try:
                value = json.loads(payload)
            except ValueError:
                value = payload
            with self._fresh:
                self.heard.append(Heard(time.monotonic(), topic.split("/", 2)[-1], value))
                self._fresh.notify_all()

    def wait(self, topic: str, fits: Callable[[Any], bool], since: int, within_s: float) -> Heard:
        """Return the first message on a topic that fits, of those after the first `since`."""
        until_s = time.monotonic() + within_s
        with self._fresh:
            while True:
                for one in self.heard[since:]:
                    if one.topic == topic and fits(one.value):
                        return one
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    raise BrokenError(f"no such message on {topic} within {within_s:g} s")
                self._fresh.wait(left_s)

    def now(self) -> int:
        """Return how many messages have come."""
        return len(self.heard)
