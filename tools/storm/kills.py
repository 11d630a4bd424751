# SPDX-License-Identifier: MIT
"""A publisher killed at random moments, again and again: everything written down must arrive."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge.publish.publisher import IN_FLIGHT
from tools.storm.broker import Broker, Ear
from tools.storm.sender import body

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

LIVES_S: Final = (0.0, 0.5)
WORKS: Final = 0.8  # so many of them have written something down by then; the rest may just begin
STARTS_WITHIN_S: Final = 20.0
DRAIN_S: Final = 60.0


@dataclass(slots=True)
class Kills:
    """The result: `wrong` says in words what was lost, altered, or doubled beyond reason."""

    rounds: int
    stored: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)


def kill_rounds(place: Path, rounds: int, seed: int, running: ExitStack) -> Kills:
    """Kill a publisher so many times; then let what waits be sent, and count."""
    rng = random.Random(seed)  # noqa: S311 - kills that can be made again, no secret
    broker = Broker(place, running)
    ear = Ear(broker.port, running)
    outbox = place / "kills.sqlite"
    result = Kills(rounds)
    stored: dict[int, set[int]] = {}  # by round: what was surely written down
    said = place / "said"
    for run in range(rounds):
        child = _sender(outbox, broker.port, run, said)
        if rng.random() < WORKS:
            _await_word(said)
        time.sleep(rng.uniform(*LIVES_S))
        child.kill()
        child.wait()
        stored[run] = _told(said)
    last = _sender(outbox, broker.port, -1, said)
    last.wait(DRAIN_S)
    time.sleep(1.0)
    _count(result, ear, stored)
    return result


def _sender(outbox: Path, port: int, run: int, said: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tools.storm.sender", str(outbox), str(port), str(run)]
    with said.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)


def _await_word(said: Path) -> None:
    """Wait until a sender works: on a busy machine that may take a while."""
    end_s = time.monotonic() + STARTS_WITHIN_S
    while not said.stat().st_size and time.monotonic() < end_s:
        time.sleep(0.01)


def _told(said: Path) -> set[int]:
    """Return the numbers that a sender has printed whole."""
    lines = said.read_text(encoding="ascii").split("\n")[:-1]
    return {int(line.partition("-")[2]) for line in lines}


def _count(result: Kills, ear: Ear, stored: dict[int, set[int]]) -> None:
    messages = ear.messages("event")
    counts = Counter(message["message_id"] for message in messages)
    numbers: dict[int, set[int]] = defaultdict(set)
    for message in messages:
        run, number = map(int, message["message_id"].split("-"))
        numbers[run].add(number)
        if message != json.loads(body(run, number)):
            result.wrong.append(f"{message['message_id']} was altered")
    for run, surely in stored.items():
        # They are written down in order: what arrived must have no hole, and reach that far.
        due = set(range(max(numbers[run] | surely, default=-1) + 1))
        result.stored += len(due)
        if lost := due - numbers[run]:
            result.wrong.append(f"round {run}: {len(lost)} of {len(due)} were lost")
    result.doubled = sum(counts.values()) - len(counts)
    # Only what was in flight when it was killed may come twice, and again at each kill.
    if result.doubled > IN_FLIGHT * result.rounds:
        result.wrong.append(f"{result.doubled} came twice")
