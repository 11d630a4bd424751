# SPDX-License-Identifier: MIT
"""A busy day's backlog, sent to a real broker while live values go on: how quickly, how late."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.publish.broker import Broker as Address
from edge.publish.mqtt import Handlers, Link
from edge.publish.outbox import Outbox
from edge.publish.publisher import Publisher
from edge.types import Message
from tools.storm.broker import Broker

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

# What the synthesised scene makes in a day, and how long a message of each kind is.
DAY: Final = {"event": (23_000, 420), "clip": (2_300, 800), "analysis": (2_300, 2_500)}
MINUTES: Final = (1_465, 1_700)
LIVE_EVERY_S: Final = 0.1
CALM_S: Final = 10.0
DRAIN_WITHIN_S: Final = 900.0


@dataclass(slots=True)
class Backlog:
    """How a day was written down and sent, and how late live values were meanwhile, in ms."""

    messages: int
    filled_s: float
    drained_s: float
    arrived: int
    calm_ms: tuple[float, ...]
    draining_ms: tuple[float, ...]

    @property
    def wrong(self) -> list[str]:
        """What did not arrive."""
        lost = self.messages - self.arrived
        return [f"{lost} of {self.messages} did not arrive"] if lost else []

    def __str__(self) -> str:
        """Return it in three lines."""
        return (
            f"{self.messages} messages, written in {self.filled_s:.0f} s"
            f" ({self.messages / self.filled_s:.0f} a second), sent in {self.drained_s:.0f} s"
            f" ({self.messages / self.drained_s:.0f} a second)\n"
            f"live values, late by p50/p99/most: {_row(self.calm_ms)} ms before it,"
            f" {_row(self.draining_ms)} ms meanwhile"
        )


class _Ear:
    """Counts what arrives, and notes how late each live value was."""

    def __init__(self, port: int, running: ExitStack) -> None:
        command = ["stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(port)]
        command += ["-q", "1", "-F", "%t %p", "-t", "edge/day/#"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.seen: set[str] = set()
        self.late_ms: list[float] = []
        reader = threading.Thread(target=self._read, args=(child,))
        reader.start()
        running.callback(reader.join)
        running.callback(child.kill)

    def _read(self, child: subprocess.Popen[str]) -> None:
        with child:
            for line in child.stdout or ():
                topic, _, body = line.partition(" ")
                if topic.endswith("/level"):
                    self.late_ms.append(1e3 * (time.monotonic() - float(body)))
                else:
                    self.seen.add(str(json.loads(body)["message_id"]))


def backlog(place: Path, running: ExitStack) -> Backlog:
    """Write a day down while there is no broker, then let there be one."""
    outbox = Outbox(place / "outbox.sqlite", max_bytes=64_000_000)
    spare = Outbox(None, max_bytes=1_000_000)
    began_s = time.monotonic()
    messages = _fill(outbox)
    filled_s = time.monotonic() - began_s
    broker = Broker(place, running)
    ear = _Ear(broker.port, running)
    calm_ms = _live(place, broker, ear, running)
    began_s = time.monotonic()
    publisher = _start(broker, outbox, spare, running)
    ear.late_ms.clear()
    while publisher.depth and time.monotonic() < began_s + DRAIN_WITHIN_S:
        _tell_live(publisher)
    drained_s = time.monotonic() - began_s
    time.sleep(1.0)
    draining_ms = tuple(ear.late_ms)
    return Backlog(messages, filled_s, drained_s, len(ear.seen), calm_ms, draining_ms)


def _fill(outbox: Outbox) -> int:
    kinds = [(name, size, 2) for name, (count, size) in DAY.items() for _ in range(count)]
    kinds += [("level/minute", MINUTES[1], 0)] * MINUTES[0]
    for number in np.random.default_rng(1).permutation(len(kinds)):
        name, size, worth = kinds[number]
        body = json.dumps({"message_id": f"{name}-{number}", "filler": "x" * (size - 60)})
        message = Message(f"edge/day/{name}", body.encode(), qos=1, durable=True, worth=worth)
        outbox.put(message)
    return len(kinds)


def _live(place: Path, broker: Broker, ear: _Ear, running: ExitStack) -> tuple[float, ...]:
    """Return how late live values are where nothing else is sent."""
    nothing = (Outbox(place / "empty.sqlite", max_bytes=1_000_000), Outbox(None, max_bytes=1_000))
    publisher = _start(broker, *nothing, running)
    end_s = time.monotonic() + CALM_S
    while time.monotonic() < end_s:
        _tell_live(publisher)
    publisher.stop()
    return tuple(ear.late_ms)


def _tell_live(publisher: Publisher) -> None:
    publisher.offer(Message("edge/day/level", str(time.monotonic()).encode()))
    time.sleep(LIVE_EVERY_S)


def _start(broker: Broker, outbox: Outbox, spare: Outbox, running: ExitStack) -> Publisher:
    link = Link(
        Address(url=f"mqtt://127.0.0.1:{broker.port}", client_id=f"day-{id(outbox)}"),
        handlers=Handlers(
            acknowledged=lambda mid, refused: publisher.acknowledged(mid, refused)  # noqa: PLW0108 - it is made below
        ),
    )
    publisher = Publisher(link, outbox, spare)
    running.callback(link.stop)
    running.callback(publisher.stop)
    for target in (link.run, publisher.run):
        threading.Thread(target=target, daemon=True).start()
    return publisher


def _row(late_ms: tuple[float, ...]) -> str:
    return "/".join(f"{np.percentile(late_ms, one):.0f}" for one in (50, 99, 100))
