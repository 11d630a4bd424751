# SPDX-License-Identifier: MIT
"""`tools/chaos`: faults over the real thing while a known signal plays; the books at the end."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from tools.storm.backlog import backlog
from tools.storm.books import Books, balance, of_these_days, onset_s
from tools.storm.box import Box
from tools.storm.broker import Broker, Ear, Wire
from tools.storm.certificate import make_certificates
from tools.storm.faults import Fault, all_faults, disk_faults, network_faults
from tools.storm.kills import kill_rounds
from tools.storm.load import load
from tools.storm.net import make_net
from tools.storm.samples import Counted, compare, played_bursts, silences
from tools.storm.soak import LONGEST_H, soak
from tools.storm.sound import write_signal

if TYPE_CHECKING:
    from collections.abc import Sequence

CALM_S: Final = 8.0  # at the end: what waits must drain
BETWEEN_S: Final = (0.5, 5.0)
DISK: Final = "24m"


def main() -> int:
    """Make a storm; return 0 if the books balance."""
    parser = argparse.ArgumentParser(prog="tools/chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long  [default: 180]")
    parser.add_argument("--seed", type=int, default=1, help="of the order of faults  [default: 1]")
    parser.add_argument(
        "--first", action="append", default=[], metavar="FAULT", help="let come first, each once"
    )
    parser.add_argument(
        "--kills", type=int, metavar="N", help="instead: kill a publisher N times while it sends"
    )
    parser.add_argument(
        "--soak", type=float, metavar="HOURS", help="instead: so much sound as fast as it goes"
    )
    parser.add_argument(
        "--load", type=float, metavar="MINUTES", help="instead: other programs on each processor"
    )
    parser.add_argument(
        "--backlog", action="store_true", help="instead: a busy day's messages, sent at once"
    )
    parser.add_argument("--set", action="append", default=[], help="of --soak: KEY=VALUE")
    asked = parser.parse_args()
    if asked.soak and not 0.0 < asked.soak <= LONGEST_H:
        parser.error(f"--soak takes up to {LONGEST_H:g} hours")
    with ExitStack() as running:
        place = Path(running.enter_context(TemporaryDirectory(prefix="edge-chaos-")))
        if asked.kills:
            return _kill(place, asked.kills, asked.seed, running)
        if asked.soak:
            return _soak(place, asked.soak, asked.set, running)
        if asked.backlog:
            return _backlog(place, running)
        if asked.load:
            return _load(place, asked.load, asked.seed, running)
        storm = Storm(place, asked.seed, running)
        if strange := set(asked.first) - set(storm.faults):
            parser.error(f"{', '.join(strange)}: here are {', '.join(storm.faults)}")
        books = storm.run(asked.seconds, asked.first)
    print(storm.table(books))
    return 1 if books.wrong else 0


class Storm:
    """One run."""

    def __init__(self, place: Path, seed: int, running: ExitStack) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - a storm that can be made again, no secret
        self._seed = seed
        self._running = running
        raw = place / "signal.raw"
        write_signal(raw, seed)
        self._disk = _small_disk(place / "disk", running)
        net = make_net(running)
        if net is None:
            print("no cable is pulled: no network of our own may be made here", file=sys.stderr)
        certificates = make_certificates(place, "127.0.0.1", *([net.address] if net else []))
        self._broker = Broker(place, running, certificates.good)
        self._ear = Ear(self._broker.port, running)
        wire = Wire(self._broker.tls_port, net)
        reports = (
            f'publish.url="mqtts://{wire.host}:{wire.port}"',
            f'publish.ca_file="{certificates.authority.file}"',
        )
        self._box = Box(place, raw, self._disk or place / "state", reports, running)
        faults = all_faults(self._box, self._broker, wire, certificates)
        faults += network_faults(net) if net else []
        faults += disk_faults(self._box, self._disk) if self._disk else []
        self.faults = {fault.name: fault for fault in faults}
        self._counted = Counted()
        self._done: Counter[str] = Counter()
        self._died = 0

    def run(self, seconds: float, first: Sequence[str]) -> Books:
        """Let faults come for so long, each kind as often as any other; return the books.

        Parameters
        ----------
        first : names of those that come before, however long that takes.
        """
        end_s = time.time() + seconds - CALM_S
        for name in first:
            self._let(self.faults[name])
        while time.time() < end_s:
            for fault in self._rng.sample(list(self.faults.values()), len(self.faults)):
                if time.time() > end_s:
                    break
                self._let(fault)
        time.sleep(CALM_S)
        code = self._box.stop()
        time.sleep(1.0)
        utc_of_mono_s = time.time() - time.monotonic()
        lives = self._box.lives(utc_of_mono_s)
        deaf = [*silences(lives, utc_of_mono_s), *self._box.muted]
        events = [_by_the_right_clock(event) for event in self._ear.messages("event")]
        books = balance(played_bursts(lives, utc_of_mono_s), deaf, events)
        self._counted = compare(lives)
        books.wrong += self._counted.wrong
        if not books.due:
            books.wrong.append("no burst had to be heard: the storm was too short")
        if code:
            books.wrong.append(f"the unit ended with {code}")
        if self._died:
            books.wrong.append(f"the unit died by itself {self._died} times")
        if "Traceback" in self._box.text():
            books.wrong.append("there is a traceback in its log")
        return books

    def table(self, books: Books) -> str:
        """Return a row for the result table, and what is wrong."""
        faults = ", ".join(f"{name} {times}" for name, times in sorted(self._done.items()))
        row = (
            f"| {self._seed} | {sum(self._done.values())} | {books.heard} of {books.due}"
            f" | {books.more} | {books.doubled}"
            f" | {self._counted} | {'yes' if not books.wrong else 'NO'} |"
        )
        return "\n".join([faults, "", row, *books.wrong])

    def _let(self, fault: Fault) -> None:
        time.sleep(self._rng.uniform(*BETWEEN_S))
        start_s = time.time()
        print(f"{time.strftime('%H:%M:%S')} {fault.name}", file=sys.stderr, flush=True)
        fault.do(self._rng)
        self._done[fault.name] += 1
        if fault.deaf:
            self._await_ears(start_s)
        if not self._box.running:
            self._died += 1
            self._box.start()

    def _await_ears(self, since_s: float) -> None:
        """Wait until the box hears again."""
        end_s = time.time() + CALM_S
        while time.time() < end_s and not any(at > since_s for at in self._box.openings()):
            time.sleep(0.1)


def _by_the_right_clock(event: dict[str, Any]) -> dict[str, Any]:
    onset = datetime.fromtimestamp(of_these_days(onset_s(event)), UTC)
    return event | {"onset_time": onset.isoformat()}


def _kill(place: Path, rounds: int, seed: int, running: ExitStack) -> int:
    result = kill_rounds(place, rounds, seed, running)
    print(f"{rounds} kills, {result.stored} messages written down, {result.doubled} came twice")
    print("\n".join(result.wrong) or "every one arrived, none was altered")
    return 1 if result.wrong else 0


def _backlog(place: Path, running: ExitStack) -> int:
    result = backlog(place, running)
    print(result)
    print("\n".join(result.wrong) or "every one arrived")
    return 1 if result.wrong else 0


def _soak(place: Path, hours: float, settings: list[str], running: ExitStack) -> int:
    began_s = time.monotonic()
    result = soak(place, hours, settings, running)
    print(result.plot())
    print(result.counts(hours))
    print("\n".join(result.wrong) or "nothing grew", f"({time.monotonic() - began_s:.0f} s)")
    return 1 if result.wrong else 0


def _load(place: Path, minutes: float, seed: int, running: ExitStack) -> int:
    raw = place / "signal.raw"
    write_signal(raw, seed)
    result = load(place, raw, minutes, running)
    print(result)
    print("\n".join(result.wrong) or "nothing was lost")
    return 1 if result.wrong else 0


def _small_disk(at: Path, running: ExitStack) -> Path | None:
    """Return a small disk of one's own; None where none may be mounted."""
    at.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(at)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        print("no disk is filled: nothing may be mounted here", file=sys.stderr)
        return None
    running.callback(subprocess.run, ["umount", "-l", str(at)], check=False)
    return at


if __name__ == "__main__":
    sys.exit(main())
