# SPDX-License-Identifier: MIT
"""What can go wrong, each as a thing that begins and ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tools.storm.books import DAY_S

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from tools.storm.box import Box
    from tools.storm.broker import Broker, Wire
    from tools.storm.certificate import Certificates
    from tools.storm.net import Net

SLOW: Final = "24kbit"
MUTE_S: Final = (4.0, 14.0)  # a keepalive of 5 s notices within 5 to 10


@dataclass(frozen=True, slots=True)
class Fault:
    """`deaf`: it opens its microphone anew, which is waited for."""

    name: str
    do: Callable[[random.Random], None]
    deaf: bool = False


def all_faults(box: Box, broker: Broker, wire: Wire, certificates: Certificates) -> list[Fault]:
    """Return every fault that needs no rights."""
    return [
        Fault("broker killed", lambda rng: _broker(broker, signal.SIGKILL, rng)),
        Fault("broker restarted", lambda rng: _broker(broker, signal.SIGTERM, rng)),
        Fault("broker frozen", lambda rng: _frozen(broker, rng)),
        Fault("certificate expired", lambda rng: _expired(broker, certificates, rng)),
        Fault("wire cut", lambda _: wire.cut()),
        Fault("wire slow", lambda rng: _slow_wire(wire, rng)),
        Fault("wire a black hole", lambda rng: _black_hole(wire, rng)),
        Fault("unit killed", lambda rng: _killed(box, rng), deaf=True),
        Fault("unit restarted", lambda _: _restarted(box), deaf=True),
        Fault("microphone pulled", lambda rng: _pulled(box, rng), deaf=True),
        Fault("microphone taken", lambda rng: _taken(box, rng), deaf=True),
        Fault("microphone dead", lambda rng: _dead(box, rng)),
        Fault("outbox damaged", lambda rng: _damaged(box, rng), deaf=True),
        Fault("clock stepped", lambda rng: _stepped(box, rng)),
        Fault("machine asleep", lambda rng: _asleep(box, rng)),
        Fault("processor busy", _busy),
    ]


def network_faults(net: Net) -> list[Fault]:
    """Return those of a network of one's own."""
    return [
        Fault("cable pulled", lambda rng: _for_a_while(net.pull, net.plug, rng)),
        Fault("network mute", lambda rng: _for_a_while(net.mute, net.unmute, rng, MUTE_S)),
        Fault("network slow", lambda rng: _for_a_while(lambda: net.slow(SLOW), net.fast, rng)),
    ]


def disk_faults(box: Box, disk: Path) -> list[Fault]:
    """Return those of a disk that may be filled."""
    return [
        Fault("disk full", lambda rng: _full(disk, rng)),
        Fault("killed on a full disk", lambda rng: _killed_full(box, disk, rng), deaf=True),
    ]


def _for_a_while(
    begin: Callable[[], None],
    end: Callable[[], None],
    rng: random.Random,
    lasts_s: tuple[float, float] = (1.0, 10.0),
) -> None:
    begin()
    time.sleep(rng.uniform(*lasts_s))
    end()


def _expired(broker: Broker, certificates: Certificates, rng: random.Random) -> None:
    for certificate in (certificates.expired, certificates.good):
        broker.certificate = certificate
        _broker(broker, signal.SIGTERM, rng)
        time.sleep(rng.uniform(1.0, 4.0))


def _slow_wire(wire: Wire, rng: random.Random) -> None:
    wire.slowness_s = 0.4
    time.sleep(rng.uniform(2.0, 8.0))
    wire.slowness_s = 0.0


def _broker(broker: Broker, number: signal.Signals, rng: random.Random) -> None:
    broker.send(number)
    time.sleep(rng.uniform(0.0, 4.0))
    broker.start()


def _frozen(broker: Broker, rng: random.Random) -> None:
    broker.send(signal.SIGSTOP)
    time.sleep(rng.uniform(1.0, 8.0))
    broker.send(signal.SIGCONT)


def _black_hole(wire: Wire, rng: random.Random) -> None:
    wire.black_hole = True
    time.sleep(rng.uniform(2.0, 8.0))
    wire.cut()
    wire.black_hole = False


def _killed(box: Box, rng: random.Random) -> None:
    box.kill()
    time.sleep(rng.uniform(0.0, 1.0))
    box.start()


def _restarted(box: Box) -> None:
    box.stop()
    box.start()


def _pulled(box: Box, rng: random.Random) -> None:
    box.microphone.unplug()
    time.sleep(rng.uniform(0.5, 8.0))
    box.microphone.plug()


def _taken(box: Box, rng: random.Random) -> None:
    """Let another program have it: while somebody holds it, nobody else can open it."""
    box.microphone.unplug()
    with box.microphone.taken():
        box.microphone.plug()
        time.sleep(rng.uniform(1.0, 6.0))


def _dead(box: Box, rng: random.Random) -> None:
    box.mute(rng.choice((0, 10_000)))
    time.sleep(rng.uniform(2.0, 6.0))
    box.unmute()


def _damaged(box: Box, rng: random.Random) -> None:
    box.stop()
    box.damage_outbox(rng)
    box.start()


def _stepped(box: Box, rng: random.Random) -> None:
    seconds = rng.choice((-1, 1)) * DAY_S
    box.clock.step(seconds)
    time.sleep(rng.uniform(2.0, 6.0))
    box.clock.step(-seconds)


def _asleep(box: Box, rng: random.Random) -> None:
    box.microphone.suspend()
    time.sleep(rng.uniform(0.5, 3.0))
    box.microphone.wake()


def _busy(rng: random.Random) -> None:
    command = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(command) for _ in range(2)]
    time.sleep(rng.uniform(2.0, 6.0))
    for loop in loops:
        loop.kill()
        loop.wait()


def _full(disk: Path, rng: random.Random) -> None:
    filler = _filled(disk)
    time.sleep(rng.uniform(2.0, 8.0))
    filler.unlink()


def _killed_full(box: Box, disk: Path, rng: random.Random) -> None:
    filler = _filled(disk)
    time.sleep(rng.uniform(0.0, 2.0))  # what waits in memory is not older than a kill excuses
    _killed(box, rng)
    time.sleep(rng.uniform(2.0, 6.0))
    filler.unlink()


def _filled(disk: Path) -> Path:
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(65536))
            file.flush()
    return filler
