# SPDX-License-Identifier: MIT
"""The broker: the only import of the MQTT client."""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.errors import PublishError
from edge.publish.broker import CONNECT_TIMEOUT_S, Broker, Refusal, explain, tls_context, words
from edge.publish.caution import Caution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage, SocketLike
    from paho.mqtt.properties import Properties

    from edge.types import Message

RECONNECT_DELAYS_S: Final = (1, 60)
PATIENT_DELAYS_S: Final = (20, 60)
_TAKEN_OVER: Final = 0x8E  # by another client of our id
_NOT_ACCEPTED: Final = "the connection ended before MQTT 5 was accepted"
_HEADERS_BYTES: Final = 16  # at most, of a publish, beside topic and payload

_REASONS: Final = {
    0x87: Refusal.NOT_ALLOWED,
    # Topic invalid, payload invalid: asking again would change nothing.
    0x90: Refusal.FOR_EVER,
    0x99: Refusal.FOR_EVER,
}


def _ignore(*_: object) -> None:
    return


@dataclass(frozen=True, slots=True)
class Handlers:
    """What a link calls, all on its network thread."""

    connected: Callable[[], None] = _ignore
    lost: Callable[[str], None] = _ignore  # why
    acknowledged: Callable[[int, Refusal], None] = _ignore  # number
    received: Callable[[str, bytes], None] = _ignore  # topic, payload


class Link:
    """A connection that heals by itself.

    MQTT 5, so that a refused publish is told from an accepted one. `run` is the
    network loop and belongs in a thread of its own; name look-up, TLS and the
    first connection happen there too, so nobody else ever waits for the broker.
    `connections` counts how often the broker has accepted us.

    Parameters
    ----------
    broker : where it is.
    will : what the broker says when we are gone.
    handlers : what is called.
    subscribe : topic filters, and whether what the broker keeps under each is received too.
    own : root of the topics that the broker surely does not throw us out for, as in `caution`.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        will: Message | None = None,
        handlers: Handlers | None = None,
        subscribe: Mapping[str, bool] = MappingProxyType({}),
        own: str = "",
    ) -> None:
        self._broker = broker
        self._handlers = handlers or Handlers()
        self._subscribe = [
            (topic, SubscribeOptions(qos=1, retainHandling=0 if retained else 2))
            for topic, retained in subscribe.items()
        ]
        self._asked: deque[list[str]] = deque()  # in this connection, and not answered yet
        self._reason = ""
        self._accepted: bool | None = None  # None: the broker has said nothing yet
        self._twin = False
        self._stopped = False
        self._nothing = f"{own}/nothing"  # whose subscription is ended, to have an answer
        self._asked_s: float | None = None  # when it was asked for, while it is due
        self._largest_bytes = sys.maxsize  # packet that the broker takes
        self._held_back = 0
        self.caution = Caution(own)
        self.connections = 0
        self.unheard: tuple[str, ...] = ()
        """Topic filters that the broker does not let us hear."""
        self._client = client = new_client(broker, broker.client_id)
        client.reconnect_delay_set(*RECONNECT_DELAYS_S)
        if will:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        # Else a publish would write to the socket from the caller's thread, beside the network
        # thread; the client wakes its own loop by a pipe, so there is nothing left to do here.
        client.on_socket_register_write = _ignore
        client.on_socket_open = self._on_socket_open
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_message = self._on_message

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and nothing has failed since."""
        return self._client.is_connected()

    @property
    def trouble(self) -> str:
        """Why there is no connection, or none that lasts; empty: there is one."""
        return "" if self.connected and not self.caution.put_out else self._reason

    def run(self) -> None:
        """Connect, and stay connected until `stop`."""
        # `loop` makes the pipe by which a publish wakes the network loop; `loop_forever` alone
        # does not, and every message would wait for the loop's next second.
        self._client.loop(timeout=0.0)
        self._client.connect_async(self._broker.host, self._broker.port, self._broker.keepalive_s)
        self._client.loop_forever(retry_first_connection=True)

    def close(self) -> None:
        """Let go of what `run` has used, after its end: else it lasts until it is deleted."""
        self._client._reset_sockets()  # noqa: SLF001 - no public call does

    def publish(self, message: Message) -> int:
        """Hand `message` to the network thread; return its acknowledgement's number.

        0, which is none's: it was left out, or said without asking for one. Below: it is larger
        than the broker takes, or takes away what the broker throws us out for.
        """
        said = self.caution.dressed(message, time.monotonic())
        if said is None:
            return 0 if message.payload else self._hold_back(Refusal.LEFT_OUT)
        size_bytes = len(said.topic.encode()) + len(said.payload) + _HEADERS_BYTES
        if size_bytes > self._largest_bytes:
            return self._hold_back(Refusal.TOO_LARGE)
        number = self._client.publish(said.topic, said.payload, said.qos, said.retain).mid
        return number if said.qos == message.qos else 0

    def _hold_back(self, why: Refusal) -> int:
        """Answer in the broker's place; return the answer's number."""
        self._held_back -= 1
        self._handlers.acknowledged(self._held_back, why)
        return self._held_back

    def look(self, now_s: float) -> bool:
        """Return whether what is doubtful is to be told again; what was left out is asked for."""
        if self.connected and self._asked_s is None and self.caution.wants_answer(now_s):
            self._asked_s = now_s  # before it is sent: the answer comes on another thread
            self._client.unsubscribe(self._nothing)
        silent = self.caution.silent
        again = self.caution.look(now_s)
        if again and silent and self.connected:
            self._ask([one for one in self._subscribe if self.caution.concerns(one[0])])
        return again

    def _ask(self, wanted: list[tuple[str, SubscribeOptions]]) -> None:
        now_s = time.monotonic()
        allowed = [one for one in wanted if self.caution.allow(one[0], now_s)]
        if allowed:
            # Before it is sent: the answer comes on another thread, in the order of the questions.
            self._asked.append([topic for topic, _ in allowed])
            self._client.subscribe(allowed)

    def be_patient(self, *, patient: bool) -> None:
        """Connect less often from now on: two clients of one id take turns at each connection."""
        self._twin = patient
        self._pace()

    def _pace(self) -> None:
        patient = self._twin or self.caution.put_out
        self._client.reconnect_delay_set(*(PATIENT_DELAYS_S if patient else RECONNECT_DELAYS_S))

    def stop(self) -> None:
        """Leave with the will said: however much still waits, nobody takes us for online."""
        self._stopped = True
        self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))

    def _on_socket_open(self, _client: Client, _data: object, sock: SocketLike) -> None:
        # The client forgets a `disconnect` that came during name look-up, TCP or TLS, and would
        # take turns for ever with the link that follows this one, of the same id.
        if self._stopped:
            self.stop()
            sock.close()

    def _on_connect(
        self,
        _client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        props: Properties | None,
    ) -> None:
        self._accepted = not reason.is_failure
        if self._stopped:
            self.stop()  # forgotten as well, by an answer that is read first
            return
        if reason.is_failure:
            self._lost(f"the broker refuses us: {words(reason, props)}")
            return
        self._largest_bytes = getattr(props, "MaximumPacketSize", sys.maxsize)
        self.caution.connected(time.monotonic())
        self._asked_s = None
        self._asked.clear()
        self.unheard = ()
        self._ask(self._subscribe)
        # Last: whoever publishes from now on does so behind the subscription.
        self.connections += 1
        if not self.caution.put_out:
            self._reason = ""
            self._handlers.connected()

    def _on_connect_fail(self, _client: Client, _data: object) -> None:
        # Called inside the client's own `except OSError`: that is the only way to the reason.
        self._lost(explain(sys.exc_info()[1], self._broker))

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        props: Properties | None,
    ) -> None:
        accepted, self._accepted = self._accepted, None
        self.caution.lost(time.monotonic(), taken_over=reason.value == _TAKEN_OVER)
        self._pace()
        if accepted and not self.caution.put_out:
            self._reason = ""
        if accepted is None and reason.is_failure:
            self._lost(_NOT_ACCEPTED)
        elif accepted and flags.is_disconnect_packet_from_server:
            self._lost(f"the broker ended the connection: {words(reason, props)}")
        elif accepted and reason.is_failure:
            self._lost(f"the connection broke: {reason}")

    def _lost(self, why: str) -> None:
        if why != self._reason:
            self._reason = why
            self._handlers.lost(why)

    def _on_publish(
        self,
        _client: Client,
        _data: object,
        mid: int,
        reason: ReasonCode,
        _props: Properties | None,
    ) -> None:
        refused = Refusal.NOT
        if reason.is_failure:
            refused = _REASONS.get(reason.value, Refusal.FOR_NOW)
        self._handlers.acknowledged(mid, refused)

    def _on_subscribe(
        self,
        _client: Client,
        _data: object,
        _mid: int,
        reasons: list[ReasonCode],
        _props: Properties | None,
    ) -> None:
        asked = self._asked.popleft() if self._asked else []
        answers = zip(asked, reasons, strict=False)
        self.unheard += tuple(topic for topic, reason in answers if reason.is_failure)

    def _on_unsubscribe(
        self,
        _client: Client,
        _data: object,
        _mid: int,
        _reasons: list[ReasonCode],
        _props: Properties | None,
    ) -> None:
        asked_s, self._asked_s = self._asked_s, None
        if asked_s is not None:
            self.caution.answered(asked_s)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._handlers.received(message.topic, bytes(message.payload))


def new_client(broker: Broker, client_id: str) -> Client:
    """Return a client that is ready to connect; raises `PublishError` for bad certificates."""
    client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5)
    client.connect_timeout = CONNECT_TIMEOUT_S
    if broker.user:
        client.username_pw_set(broker.user, broker.password)
    if broker.url.startswith("mqtts:"):
        client.tls_set_context(tls_context(broker))
    return client


def probe(broker: Broker) -> None:
    """Connect once and leave. Raises `PublishError` that says why it can't be done."""
    with _connected(broker, "check"):
        pass


def deliver(broker: Broker, messages: Sequence[Message]) -> list[str]:
    """Connect once, publish with QoS 1, and leave; return the topics that the broker refused.

    Where it refuses any, others may not have been taken. Raises `PublishError` where it is not
    there, or does not take them in time.
    """
    waiting: dict[int, str] = {}
    refused: list[str] = []

    def published(
        _client: Client, _data: object, mid: int, reason: ReasonCode, _props: Properties | None
    ) -> None:
        topic = waiting.pop(mid)
        if reason.is_failure:
            refused.append(topic)

    with _connected(broker, "once") as client:
        client.on_publish = published
        for one in messages:
            waiting[client.publish(one.topic, one.payload, 1, one.retain).mid] = one.topic
        _turn(client, lambda: not waiting)
    # Mosquitto 2.0.11 ends a connection with TLS at the first that it refuses: that one is named.
    if waiting and not refused:
        raise PublishError(f"the broker did not take {len(waiting)} of {len(messages)} messages")
    return refused


@contextmanager
def _connected(broker: Broker, purpose: str) -> Iterator[Client]:
    """Give a client that is connected. Raises `PublishError` that says why it is not."""
    outcome: list[str] = []

    def connected(
        _client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        props: Properties | None,
    ) -> None:
        outcome.append(f"it refuses us: {words(reason, props)}" if reason.is_failure else "")

    client = new_client(broker, f"{broker.client_id}-{purpose}")
    client.on_connect = connected
    help_text = "check publish.url, user and password_file, and that the broker runs"
    try:
        client.connect(broker.host, broker.port, broker.keepalive_s)
        began_s = time.monotonic()
        _turn(client, lambda: bool(outcome))
        if outcome != [""]:
            hangs = f"it accepts no MQTT within {CONNECT_TIMEOUT_S:g} s"
            closed = time.monotonic() - began_s < CONNECT_TIMEOUT_S / 2
            why = outcome[0] if outcome else _NOT_ACCEPTED if closed else hangs
            raise PublishError(f"no broker at {broker.host}:{broker.port}: {why}", help_text)
        yield client
    except OSError as error:
        raise PublishError(f"no broker at {explain(error, broker)}", help_text) from error
    finally:
        client.disconnect()
        client.loop(timeout=0.1)  # says goodbye and closes


def _turn(client: Client, done: Callable[[], bool]) -> None:
    """Let the client work until `done`, or it fails, or it takes too long."""
    for _ in range(int(CONNECT_TIMEOUT_S * 10)):
        if done() or client.loop(timeout=0.1) != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return
