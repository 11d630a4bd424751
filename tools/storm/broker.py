# SPDX-License-Identifier: MIT
"""A real Mosquitto that can be killed, an ear at it, and a wire to it that can be cut."""

from __future__ import annotations

import contextlib
import json
import random
import selectors
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from tools.demo.place import start_child

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from tools.storm.certificate import Certificate
    from tools.storm.net import Net

LOOK_S: Final = 0.05
ANSWERS_WITHIN_S: Final = 10.0


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Broker:
    """Mosquitto, which writes its sessions down each second.

    Parameters
    ----------
    certificate : what it shows at `tls_port`; it may be changed before a start. None: no TLS.
    """

    def __init__(
        self, place: Path, running: ExitStack, certificate: Certificate | None = None
    ) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self.certificate = certificate
        self._place = place
        self._running = running
        self._file = place / "mosquitto.conf"
        self.start()

    def _settings(self) -> str:
        tls = (
            f"listener {self.tls_port} 127.0.0.1\n"
            f"certfile {self.certificate.file}\nkeyfile {self.certificate.key}\n"
            if self.certificate
            else ""
        )
        return (
            f"user root\nallow_anonymous true\n"
            f"persistence true\npersistence_location {self._place}/\nautosave_interval 1\n"
            f"max_queued_messages 0\nlistener {self.port} 127.0.0.1\n{tls}"
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._file.write_text(self._settings())
        with (self._place / "mosquitto.log").open("ab") as log:
            command = ["mosquitto", "-c", str(self._file)]
            self._child = start_child(command, self._running, output=log)
        end_s = time.monotonic() + ANSWERS_WITHIN_S
        while time.monotonic() < end_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(LOOK_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; wait for the end where it is one of an end."""
        self._child.send_signal(number)
        if number in {signal.SIGKILL, signal.SIGTERM}:
            self._child.wait()


class Ear:
    """`mosquitto_sub`, for which the broker keeps what comes while it is away itself."""

    def __init__(self, port: int, running: ExitStack) -> None:
        self._lines: list[str] = []
        command = ["stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(port)]
        command += ["-q", "1", "-v", "-c", "-i", "ear", "-t", "edge/storm/#"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace")
        reader = threading.Thread(target=self._read, args=(child,))
        reader.start()
        running.callback(reader.join)
        running.callback(child.kill)

    def _read(self, child: subprocess.Popen[str]) -> None:
        with child:
            for line in child.stdout or ():
                self._lines.append(line)

    def messages(self, topic: str) -> list[dict[str, Any]]:
        """Return all bodies of a topic so far, doubled ones too."""
        head = f"edge/storm/{topic} {{"
        lines = [line for line in list(self._lines) if line.startswith(head)]
        return [json.loads(line[len(head) - 1 :]) for line in lines]


class Wire:
    """A TCP relay to the broker: cut, slow, or a black hole that takes all and gives nothing.

    Parameters
    ----------
    net : where its near end is; None: on loopback.
    """

    def __init__(self, target: int, net: Net | None = None) -> None:
        self._target = target
        self.black_hole = False
        self.slowness_s = 0.0
        """So long each piece waits, up to twice that."""
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.host = net.address if net else "127.0.0.1"
        with net.inside() if net else contextlib.nullcontext():
            self._server = socket.create_server((self.host, 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections."""
        pairs, self._pairs = self._pairs, []
        for one in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            near, _ = self._server.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 1.0)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._pairs.append((near, far))
            threading.Thread(target=self._relay, args=(near, far), daemon=True).start()

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, near, far:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            with contextlib.suppress(OSError):
                while True:
                    for key, _ in selector.select(LOOK_S):
                        # In a black hole bytes wait where they are, as behind a dead router.
                        if self.black_hole:
                            time.sleep(LOOK_S)
                            break
                        if self.slowness_s:
                            time.sleep(random.uniform(0.0, 2.0 * self.slowness_s))  # noqa: S311 - no secret
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr] # a socket
                        if not data:
                            return
                        key.data.sendall(data)
