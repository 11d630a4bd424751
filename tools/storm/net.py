# SPDX-License-Identifier: MIT
"""A network of its own between box and broker: a real link, that can be pulled, slow, or mute."""

from __future__ import annotations

import ctypes
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

_NEWNET: Final = 0x40000000  # setns(2): CLONE_NEWNET
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Net:
    """A namespace with one end of a link, the other end of which is on this machine.

    `address` is that of the far end. What is done to the near end holds for what a box sends.
    """

    def __init__(self, running: ExitStack) -> None:
        number = os.getpid() % 16384
        self._name = f"edge-chaos-{os.getpid()}"
        self._near, far = f"edgec{number}a", f"edgec{number}b"
        net = f"10.213.{number // 64}.{number % 64 * 4}"
        first = int(net.rpartition(".")[2])
        near_address, self.address = (f"{net.rpartition('.')[0]}.{first + at}" for at in (1, 2))
        self._ends: tuple[tuple[tuple[str, ...], str], ...] = (
            ((), self._near),
            (("-n", self._name), far),
        )
        _run("ip", "netns", "add", self._name)
        running.callback(_run, "ip", "netns", "del", self._name)
        _run("ip", "link", "add", self._near, "type", "veth", "peer", "name", far)
        # The namespace would take it along, but only after a while, and the next needs its name.
        running.callback(_run, "ip", "link", "del", self._near)
        _run("ip", "link", "set", far, "netns", self._name)
        _run("ip", "addr", "add", f"{near_address}/30", "dev", self._near)
        _run("ip", "link", "set", self._near, "up")
        inside = ("ip", "-n", self._name)
        _run(*inside, "addr", "add", f"{self.address}/30", "dev", far)
        _run(*inside, "link", "set", far, "up")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let sockets that this thread makes meanwhile be at the far end."""
        with Path("/proc/thread-self/ns/net").open("rb") as here:
            with Path(f"/run/netns/{self._name}").open("rb") as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())

    def pull(self) -> None:
        """Pull the cable."""
        _run("ip", "link", "set", self._near, "down")

    def plug(self) -> None:
        """Put it back."""
        _run("ip", "link", "set", self._near, "up")

    def mute(self) -> None:
        """Let all that either end sends vanish, of which neither is told.

        A blackhole route would tell: a local sender gets EINVAL for it at once.
        """
        for inside, link in self._ends:
            _run("tc", *inside, "qdisc", "add", "dev", link, "root", "blackhole")

    def unmute(self) -> None:
        """Let it arrive again."""
        for inside, link in self._ends:
            _run("tc", *inside, "qdisc", "del", "dev", link, "root")

    def slow(self, rate: str) -> None:
        """Let so much be sent, as `tc` writes it; more waits two seconds, or is lost."""
        queue = ("tbf", "rate", rate, "burst", "1600", "latency", "2s")
        _run("tc", "qdisc", "add", "dev", self._near, "root", *queue)

    def fast(self) -> None:
        """Let all be sent at once again."""
        _run("tc", "qdisc", "del", "dev", self._near, "root")


def make_net(running: ExitStack) -> Net | None:
    """Return a network; None where none may be made."""
    try:
        return Net(running)
    except (OSError, subprocess.CalledProcessError):
        return None


def _enter(number: int) -> None:
    if _LIBC.setns(number, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _run(*command: str) -> None:
    path = f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}"
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path})
