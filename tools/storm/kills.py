# SPDX-License-Identifier: MIT
"""A publisher killed at random moments, again and again: everything written down must arrive."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge.publish.publisher import IN_FLIGHT
from tools.storm.broker import Broker, Ear
from tools.storm.sender import body

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

LIVES_S: Final = (0.15, 0.9)  # the first part of it goes into imports
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
    stored: dict[int, int] = {}  # by round: how many were surely written down
    for run in range(rounds):
        child = _sender(outbox, broker.port, run)
        time.sleep(rng.uniform(*LIVES_S))
        child.kill()
        child.wait()
        waiting = [number for round_, number in _waiting(outbox) if round_ == run]
        stored[run] = max(waiting, default=-1) + 1
    last = _sender(outbox, broker.port, -1)
    last.wait(DRAIN_S)
    time.sleep(1.0)
    _count(result, ear, stored)
    return result


def _sender(outbox: Path, port: int, run: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tools.storm.sender", str(outbox), str(port), str(run)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def _waiting(outbox: Path) -> list[tuple[int, int]]:
    """Return round and number of what is written down."""
    if not outbox.exists():
        return []
    with closing(sqlite3.connect(outbox)) as db:
        try:
            rows = db.execute("SELECT payload FROM message").fetchall()
        except sqlite3.OperationalError:  # killed before there was a table
            return []
    ids = [json.loads(payload)["message_id"].split("-") for (payload,) in rows]
    return [(int(run), int(number)) for run, number in ids]


def _count(result: Kills, ear: Ear, stored: dict[int, int]) -> None:
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
        reach = max(max(numbers[run], default=-1) + 1, surely)
        result.stored += reach
        if lost := set(range(reach)) - numbers[run]:
            result.wrong.append(f"round {run}: {len(lost)} of {reach} were lost")
    result.doubled = sum(counts.values()) - len(counts)
    # Only what was in flight when it was killed may come twice, and again at each kill.
    if result.doubled > IN_FLIGHT * result.rounds:
        result.wrong.append(f"{result.doubled} came twice")
