# SPDX-License-Identifier: MIT
"""A link that is stopped while it still connects leaves the broker to the next one."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.publish.broker import Broker
from edge.publish.mqtt import Link
from tests.conftest import wait_until
from tests.publish.strict import Answers, StrictBroker
from tests.publish.test_mqtt import WILL, TlsBroker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Mosquitto

ROUNDS = 40


class SlowWire:
    """Hands on what comes for a broker, but nothing before it is `opened`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.opened = threading.Event()
        self.called = threading.Event()
        self._ends: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self.called.set()
                self.opened.wait()
                broker = socket.create_connection(("127.0.0.1", self._to))
                self._ends += (client, broker)
                for ways in ((client, broker), (broker, client)):
                    threading.Thread(target=self._pass_on, args=ways, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for one in (self._server, *self._ends):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def started(link: Link) -> threading.Thread:
    thread = threading.Thread(target=link.run, daemon=True)
    thread.start()
    return thread


def test_who_is_stopped_while_it_connects_never_gets_in(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """A microphone that comes while a name is looked up, or TLS is agreed on: usual at boot."""
    tls = TlsBroker(tmp_path, mosquitto)
    with closing(SlowWire(Broker(tls.trusted.url, "").port)) as wire:
        slow = replace(tls.trusted, url=f"mqtts://localhost:{wire.port}")
        first, second = Link(slow, will=WILL), Link(tls.trusted, will=WILL)
        ended = started(first)
        assert wire.called.wait(60)
        first.stop()
        follows = started(second)
        wait_until(lambda: second.connected, "the next one is in")
        wire.opened.set()
        ended.join(60)
        assert not ended.is_alive()
        time.sleep(1.5)  # a client that was thrown out would be back
        assert (first.connections, second.connections) == (0, 1)
        second.stop()
        follows.join(60)


def test_who_is_stopped_the_moment_it_is_let_in_leaves() -> None:
    """The broker's answer and the stop come at once: whichever is read first."""
    for _ in range(ROUNDS):
        server = StrictBroker(Answers())
        link = Link(Broker(server.url, "edge-x"))
        server.before_connack = link.stop
        thread = started(link)
        thread.join(60)
        server.close()
        assert not thread.is_alive()
        assert server.connections == 1
