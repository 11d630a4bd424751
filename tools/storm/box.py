# SPDX-License-Identifier: MIT
"""The unit under test, started again after each death, as its service manager would."""

from __future__ import annotations

import re
import signal
import sqlite3
import sys
import time
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tools.demo.place import start_child
from tools.lab.clock import FaultClock
from tools.lab.microphone import VirtualMicrophone
from tools.storm.books import Deaf, of_these_days
from tools.storm.samples import BUFFER_S, Life
from tools.storm.sound import ALARM

if TYPE_CHECKING:
    import random
    import subprocess
    from contextlib import ExitStack
    from pathlib import Path

_OPENED: Final = re.compile(r"^(\S+ \S+) INFO \S+ (listening to|\S+ is back after)", re.MULTILINE)
_FIGURES: Final = re.compile(
    r"^(\S+ \S+) INFO \S+ stats .*?\bsamples=(\d+) .*?\blost_samples=(\d+)", re.MULTILINE
)
STARTS_WITHIN_S: Final = 20.0


class Box:
    """`edge listen` on a virtual microphone, reporting through a wire to a broker.

    Parameters
    ----------
    state : the state directory; its disk may be filled.
    broker : settings that say where it reports to.
    """

    def __init__(
        self, place: Path, raw: Path, state: Path, broker: tuple[str, ...], running: ExitStack
    ) -> None:
        self._place = place
        self._raw, self._signal = raw, raw.read_bytes()
        self._outbox = state / "outbox.sqlite"
        self._muted_s = 0.0
        self.muted: list[Deaf] = []
        """When the microphone was given to be dead."""
        self._running = running
        self.microphone = VirtualMicrophone(place / "microphone", raw, loop=True)
        self.log = place / "listen.log"
        settings = [
            'node.id="storm"',
            f'capture.device="{self.microphone.name}"',
            f'state.directory="{state}"',
            *broker,
            "publish.keepalive_s=5",
            "health.interval_s=5.0",
            "record.max_clip_s=10.0",
            "retention.max_total_mb=8",
            "retention.min_free_mb=2",
            f"level.alarms=[{ALARM}]",
        ]
        self.clock = FaultClock(place / "clock")
        self._command = [*self.clock.wrap(), sys.executable, "-m", "edge", "listen"]
        self._command += [part for one in settings for part in ("--set", one)]
        self._starts: list[tuple[int, int]] = []
        self.start()

    def start(self) -> None:
        """Start it, and wait until it hears or waits for its microphone."""
        before = self.text().count("\n")
        self._starts.append((len(self.microphone.played()), len(self.text())))
        with self.log.open("ab") as log:
            self._child: subprocess.Popen[bytes] = start_child(
                self._command, self._running, environment=self.microphone.environment(), output=log
            )
        end_s = time.monotonic() + STARTS_WITHIN_S
        while self.text().count("\n") == before and time.monotonic() < end_s:
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._child.send_signal(signal.SIGKILL)
        self._child.wait()

    def stop(self) -> int:
        """End it in order; return its exit code."""
        self._child.send_signal(signal.SIGTERM)
        return self._child.wait()

    def mute(self, value: int) -> None:
        """Let the microphone give one value from now on."""
        self._muted_s = time.time() - BUFFER_S  # what waits in the card is of it too
        self._play(value.to_bytes(2, "little") * (len(self._signal) // 2))

    def unmute(self) -> None:
        """Let it hear again."""
        self._play(self._signal)
        self.muted.append(Deaf(self._muted_s, time.time()))

    def damage_outbox(self, rng: random.Random) -> None:
        """Write over the outbox of a unit that is stopped, unless something waits in it."""
        with closing(sqlite3.connect(self._outbox)) as outbox:
            waits = outbox.execute("SELECT EXISTS (SELECT * FROM message)").fetchone()[0]
        if not waits:
            with self._outbox.open("r+b") as file:
                file.write(rng.randbytes(4096))

    @property
    def running(self) -> bool:
        """Whether it lives; it must, but for our own kills."""
        return self._child.poll() is None

    def text(self) -> str:
        """Return its log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def openings(self) -> list[float]:
        """Return when, in seconds since 1970, a microphone began to be heard, each time."""
        return [_seconds(found.group(1)) for found in _OPENED.finditer(self.text())]

    def lives(self, utc_of_mono_s: float) -> list[Life]:
        """Return each run so far: what the card gave it, and what it last told."""
        played, text = self.microphone.played(), self.text()
        lives = []
        for start, end in pairwise([*self._starts, (len(played), len(text))]):
            said = text[start[1] : end[1]]
            figures = list(_FIGURES.finditer(said))
            at, samples, lost = figures[-1].groups() if figures else ("", "0", "0")
            told_s = _seconds(at) - utc_of_mono_s if at else 0.0
            stretches = tuple(played[start[0] : end[0]])
            in_order = " stopped after " in said
            lives.append(Life(stretches, told_s, int(samples), int(lost), in_order))
        return lives

    def _play(self, samples: bytes) -> None:
        with self._raw.open("r+b") as file:  # the card holds this very file
            file.write(samples)


def _seconds(at: str) -> float:
    """Return a time of the log in seconds since 1970."""
    told_s = time.mktime(time.strptime(at[:19], "%Y-%m-%d %H:%M:%S")) + int(at[20:23]) / 1e3
    return of_these_days(told_s)
