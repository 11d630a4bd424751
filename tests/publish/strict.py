# SPDX-License-Identifier: MIT
"""A broker whose answers a test chooses: MQTT 5 on a socket, in the forms that EMQX gives them."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, PINGREQ = 0x10, 0x30, 0x80, 0xA0, 0xC0
CONNACK, PUBACK, SUBACK, UNSUBACK, PINGRESP, DISCONNECT = 0x20, 0x40, 0x90, 0xB0, 0xD0, 0xE0
ACCEPTED: Final = b"\x00\x00"  # no session, success


def packet(kind: int, body: bytes) -> bytes:
    """Return a packet with its length before it."""
    return bytes([kind]) + _length(len(body)) + body


def _length(size: int) -> bytes:
    length = b""
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | (128 if size else 0)])
        if not size:
            return length


def text(words: str) -> bytes:
    """Return words as MQTT writes them."""
    return struct.pack("!H", len(words)) + words.encode()


def properties(reason: str = "", server: str = "", largest: int = 0) -> bytes:
    """Return the properties of an answer: its reason string, another server, the largest packet."""
    said = b""
    if reason:
        said += b"\x1f" + text(reason)
    if server:
        said += b"\x1c" + text(server)
    if largest:
        said += b"\x27" + struct.pack("!I", largest)
    return _length(len(said)) + said


@dataclass
class Answers:
    """What a broker says; a reason code and its properties each.

    Parameters
    ----------
    connack : to whoever connects, all after the length.
    puback, ends : by topic: how a message is acknowledged; with what it ends the connection.
    suback : to each topic filter.
    quota : so many messages with QoS 1 are taken, then one is refused for now, and so on; 0: all.
    """

    connack: bytes = ACCEPTED + properties()
    puback: Mapping[str, bytes] = field(default_factory=dict)
    ends: Mapping[str, bytes] = field(default_factory=dict)
    suback: int = 0
    quota: int = 0


class StrictBroker:
    """Serves one box at a time; `answers` may be changed at any time."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.heard: list[tuple[str, bytes]] = []  # topics and payloads that came
        self.taken: list[tuple[str, bytes]] = []  # and were acknowledged with success
        self.connections = 0
        self.before_connack: Callable[[], None] = lambda: None
        self._client: socket.socket | None = None
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Switch it off."""
        with self._server:
            self._server.shutdown(socket.SHUT_RDWR)
            self.end()
            self._thread.join(60)

    def end(self, said: bytes = b"") -> None:
        """End the connection that there is; say why, where something is said."""
        if client := self._client:
            with suppress(OSError):
                if said:
                    client.sendall(packet(DISCONNECT, said))
                client.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self._client = client
                self.connections += 1
                with client, client.makefile("rb") as stream, suppress(OSError, struct.error):
                    while True:
                        (first,) = struct.unpack("!B", stream.read(1))
                        self._answer(client, first, stream.read(_read_length(stream)))

    def _answer(self, client: socket.socket, first: int, body: bytes) -> None:
        kind = first & 0xF0
        if kind == CONNECT:
            self.before_connack()
            client.sendall(packet(CONNACK, self.answers.connack))
        elif kind == PINGREQ:
            client.sendall(packet(PINGRESP, b""))
        elif kind == SUBSCRIBE:
            asked = body.count(b"/")  # as many codes as it could have asked for, or more
            client.sendall(
                packet(SUBACK, body[:2] + properties() + bytes([self.answers.suback]) * asked)
            )
        elif kind == UNSUBSCRIBE:
            client.sendall(packet(UNSUBACK, body[:2] + properties() + b"\x11"))
        elif kind == PUBLISH:
            self._take(client, first, body)

    def _take(self, client: socket.socket, first: int, body: bytes) -> None:
        (size,) = struct.unpack("!H", body[:2])
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        number, rest = (rest[:2], rest[2:]) if first & 0x06 else (b"", rest)
        message = topic, rest[1 + rest[0] :]
        self.heard.append(message)
        if (end := self.answers.ends.get(topic)) is not None:
            client.sendall(packet(DISCONNECT, end))
            client.shutdown(socket.SHUT_RDWR)
        elif number:
            said = self.answers.puback.get(topic, b"")
            if self.answers.quota and len(self.heard) % (self.answers.quota + 1) == 0:
                said = b"\x97" + properties()
            client.sendall(packet(PUBACK, number + said))
            if not said:
                self.taken.append(message)


def _read_length(stream: BinaryIO) -> int:
    size = 0
    for place in range(4):
        (byte,) = struct.unpack("!B", stream.read(1))
        size += (byte & 127) << 7 * place
        if byte < 128:
            break
    return size
