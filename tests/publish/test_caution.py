# SPDX-License-Identifier: MIT
"""A broker that ends the connection at what it does not allow: Mosquitto behind a doorman."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.publish.broker import Broker
from edge.publish.caution import AGAIN_S, BEHIND_S, MOST, PROOF_S, Caution
from edge.publish.mqtt import Handlers, Link
from edge.publish.outbox import Outbox
from edge.publish.payloads import Topics
from edge.publish.publisher import Publisher
from edge.publish.spool import deposit
from edge.types import Message
from tests.conftest import wait_until
from tests.publish.test_mqtt import broker_of, event, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.publish.broker import Refusal
    from tests.conftest import Mosquitto

DEVICE = Message("homeassistant/device/x/config", b"{}", qos=1, retain=True)
BORN = {"edge/x/command/+": False, "homeassistant/status": False}


class Doorman:
    """Hands everything on to a broker; whoever says a word that is not allowed is put out."""

    def __init__(self, port: int, word: bytes) -> None:
        self._to = port
        self._word = word
        self.thrown_out = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:  # a box has one connection at a time
                client, _ = self._server.accept()
                with client, socket.create_connection(("127.0.0.1", self._to)) as broker:
                    back = threading.Thread(target=self._pass_on, args=(broker, client))
                    back.start()
                    self._pass_on(client, broker)
                    back.join()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._word in data:
                    self.thrown_out += 1
                    break
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._server:
            self._server.shutdown(socket.SHUT_RDWR)
            self._thread.join(60)


@pytest.fixture(params=[b"homeassistant/device", b"homeassistant/status"])
def doorman(
    request: pytest.FixtureRequest, mosquitto: Callable[..., Mosquitto]
) -> Iterator[Doorman]:
    """Return one that puts out whoever describes a device, or asks for the birth."""
    keeper = Doorman(mosquitto().port, request.param)
    yield keeper
    keeper.close()


def test_a_broker_that_throws_out_for_home_assistant_gets_the_rest(doorman: Doorman) -> None:
    lost: list[str] = []
    said: list[tuple[int, Refusal]] = []
    broker = Broker(f"mqtt://127.0.0.1:{doorman.port}", "edge-x")
    handlers = Handlers(lost=lost.append, acknowledged=lambda *one: said.append(one))
    link = Link(broker, handlers=handlers, subscribe=BORN, own="edge/x")
    boxes = [Outbox(None, max_bytes=1_000_000) for _ in range(2)]
    publisher = Publisher(link, *boxes)
    threads = [threading.Thread(target=one.run, daemon=True) for one in (link, publisher)]
    publisher.offer(DEVICE)
    for thread in threads:
        thread.start()
    wait_until(lambda: link.caution.silent and link.connected, "it is left out")
    assert doorman.thrown_out == MOST
    before = len(said)
    publisher.offer(event(1))
    wait_until(lambda: len(said) > before, "acknowledged")
    publisher.tell_again()
    time.sleep(1.0)
    assert link.connected
    assert doorman.thrown_out == MOST
    publisher.stop()
    link.stop()
    for thread in threads:
        thread.join(60)
    link.close()
    for box in boxes:
        box.close()


def connected(caution: Caution, at_s: float) -> None:
    """Begin a connection in which the broker answers to everything."""
    caution.connected(at_s)
    caution.answered(float("inf"))


def tried(caution: Caution, at_s: float) -> Message | None:
    connected(caution, at_s)
    return caution.dressed(DEVICE, at_s)


def test_what_a_connection_has_borne_is_told_again_so_that_a_refusal_is_known() -> None:
    caution = Caution("edge/x")
    said = tried(caution, 0.0)
    assert said is not None
    assert said.qos == 0, "the client repeats nothing"
    assert not caution.look(PROOF_S - 1)
    assert caution.look(PROOF_S)
    assert caution.dressed(DEVICE, PROOF_S) is DEVICE
    assert not caution.look(2 * PROOF_S), "once"


def test_a_broker_that_ends_it_only_later_is_left_alone_as_well() -> None:
    """Somebody has tightened its access list."""
    caution = Caution("edge/x")
    tried(caution, 0.0)
    assert caution.look(PROOF_S)
    assert caution.dressed(DEVICE, PROOF_S) is DEVICE
    said = caution.dressed(DEVICE, 1000.0)
    assert said is not None
    assert said.qos == 0, "the client repeats nothing"
    caution.lost(1000.1)
    for start_s in range(1001, 1000 + MOST):
        assert not caution.silent
        tried(caution, start_s)
        caution.lost(start_s + 0.1)
    assert caution.silent


def test_connections_that_end_soon_and_were_told_nothing_of_it_say_nothing_about_it() -> None:
    caution = Caution("edge/x")
    for start_s in range(2 * MOST):
        caution.connected(start_s)
        assert caution.allow("edge/x/command/+", start_s)
        assert caution.dressed(event(1), start_s) is not None
        caution.lost(start_s + 0.1)
    assert not caution.silent


def test_what_is_said_without_an_answer_does_not_count_as_taken(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "acl").write_text("topic readwrite edge/#\n")
    server = mosquitto(f"allow_anonymous true\nacl_file {tmp_path / 'acl'}")
    with running(broker_of(server), own=Topics("edge", "x")) as run:
        run.publisher.offer(DEVICE)
        wait_until(lambda: run.link.connected, "connected")
        run.publisher.offer(event(1))
        wait_until(lambda: run.publisher.counters.sent and not run.publisher.depth, "told")
        wait_until(lambda: run.link.look(time.monotonic() + PROOF_S), "it has borne it")
        run.publisher.tell_again(run.link.caution.due)
        wait_until(lambda: run.publisher.refused_topics == (DEVICE.topic,), "it is known")
        server.kill()
        wait_until(lambda: run.lost, "the loss is noticed")
        server.start()
        wait_until(lambda: run.link.connections >= 2, "connected again")
        run.publisher.offer(event(2))
        wait_until(lambda: run.publisher.counters.sent > 1 and not run.publisher.depth, "told")
        assert run.publisher.refused_topics == (DEVICE.topic,)
    assert "takes" not in caplog.text


def test_silence_that_ends_asks_for_the_birth_without_a_new_connection(
    mosquitto: Callable[..., Mosquitto],
) -> None:
    received: list[tuple[str, bytes]] = []
    server = mosquitto()
    handlers = Handlers(received=lambda *one: received.append(one))
    broker = Broker(server.url, "edge-x")
    link = Link(broker, handlers=handlers, subscribe=BORN, own="edge/x")
    began_s = time.monotonic()
    for _ in range(MOST):
        tried(link.caution, began_s)
        link.caution.lost(began_s)
    thread = threading.Thread(target=link.run, daemon=True)
    thread.start()
    wait_until(lambda: link.connections, "connected")
    born = ("mosquitto_pub", "-p", str(server.port), "-t", "homeassistant/status", "-m", "online")
    told = ("mosquitto_pub", "-p", str(server.port), "-t", "edge/x/command/play", "-m", "1")

    def obeyed() -> bool:  # as soon as the broker knows what is asked for
        subprocess.run(born, check=True)
        subprocess.run(told, check=True)
        return bool(received)

    wait_until(obeyed, "the command")
    assert set(received) == {("edge/x/command/play", b"1")}
    assert not link.look(time.monotonic())
    assert link.look(time.monotonic() + AGAIN_S)

    def heard() -> bool:
        subprocess.run(born, check=True)
        return ("homeassistant/status", b"online") in received

    wait_until(heard, "the birth")
    assert link.connections == 1
    assert link.unheard == ()
    link.stop()
    thread.join(60)
    link.close()


def test_what_is_not_doubtful_is_never_left_out() -> None:
    caution = Caution("edge/x")
    for start_s in range(MOST):
        tried(caution, start_s)
        caution.lost(start_s + 0.1)
    assert caution.silent
    assert caution.dressed(DEVICE, 9.0) is None
    assert caution.dressed(event(1), 9.0) == event(1)
    elsewhere = replace(event(1), topic="edge/old/event")
    assert caution.dressed(elsewhere, 9.0) is elsewhere, "it is kept until it is answered"
    assert not caution.allow("homeassistant/status", 9.0)
    assert caution.allow("edge/x/command/+", 9.0)


def test_silence_that_mends_nothing_or_lasts_an_hour_ends() -> None:
    caution = Caution("edge/x")
    for _ in range(2):
        for start_s in range(MOST):
            tried(caution, start_s)
            caution.lost(start_s + 0.1)
        assert caution.silent
        caution.connected(9.0)
        caution.lost(9.1)
        assert not caution.silent, "another cause"
    for start_s in range(MOST):
        tried(caution, start_s)
        caution.lost(start_s + 0.1)
    silent_s = MOST - 1 + 0.1
    caution.connected(9.0)
    caution.lost(100.0)
    caution.connected(101.0)
    assert not caution.look(silent_s + AGAIN_S - 1)
    assert caution.look(silent_s + AGAIN_S)
    assert caution.dressed(DEVICE, silent_s + AGAIN_S) is not None


@pytest.mark.parametrize(
    "former", ["homeassistant/device/old/config", "edge/old/status", "edge/xy"]
)
def test_what_only_takes_away_is_given_up_first_and_the_rest_has_its_tries_again(
    former: str,
) -> None:
    caution = Caution("edge/x")
    gone = Message(former, b"", qos=1, retain=True)
    for start_s in range(MOST):
        tried(caution, start_s)
        said = caution.dressed(gone, start_s)
        assert said is not None
        assert said.qos == 0, "the client repeats nothing"
        caution.lost(start_s + 0.1)
    caution.connected(9.0)
    assert caution.dressed(DEVICE, 9.0) is None
    assert not caution.look(9.0)
    assert caution.dressed(gone, 9.0) is None
    assert caution.look(9.1)
    assert not caution.look(9.2), "once"
    for start_s in range(10, 10 + MOST):
        assert not caution.put_out
        assert caution.dressed(DEVICE, start_s) is not None
        caution.lost(start_s + 0.1)
        caution.connected(start_s + 0.2)
    assert caution.silent, "it was not that alone"


def test_what_is_borne_is_told_again_by_itself_and_once() -> None:
    """Two that are said at different times would else be told again by turns, for ever."""
    caution = Caution("edge/x")
    other = Message("homeassistant/device/old/config", b"", qos=1, retain=True)
    connected(caution, 0.0)
    assert caution.allow("homeassistant/status", 0.0)
    assert caution.dressed(DEVICE, 1.0) is not None
    assert caution.look(PROOF_S), "what was asked for"
    assert not caution.due(DEVICE.topic), "it is on trial still"
    assert caution.look(PROOF_S + 1.0)
    assert caution.due(DEVICE.topic)
    assert caution.dressed(DEVICE, PROOF_S + 1.0) is DEVICE
    assert caution.dressed(other, PROOF_S + 1.0) is not None
    assert caution.look(2 * PROOF_S + 1.0)
    assert caution.due(other.topic)
    assert not caution.due(DEVICE.topic)
    assert caution.dressed(other, 2 * PROOF_S + 1.0) is other
    assert not caution.look(99.0)


def test_a_connection_that_another_client_took_over_has_borne_nothing() -> None:
    caution = Caution("edge/x")
    tried(caution, 0.0)
    caution.lost(1.0, taken_over=True)
    assert not caution.look(PROOF_S + 1.0)
    assert caution.dressed(DEVICE, 7.0) is not None, "handed over before it is there again"
    said = tried(caution, 20.0)
    assert said is not None
    assert said.qos == 0
    assert not caution.look(20.0 + PROOF_S - 1.0)


def test_connections_of_some_seconds_say_nothing_against_what_they_have_borne() -> None:
    caution = Caution("edge/x")
    for start_s in range(0, 10 * MOST, 10):
        connected(caution, start_s)
        caution.allow("homeassistant/status", start_s)
        caution.dressed(DEVICE, start_s + 0.2)
        if caution.look(start_s + PROOF_S):
            assert not caution.due(DEVICE.topic)
        assert caution.look(start_s + PROOF_S + 0.3)
        caution.lost(start_s + PROOF_S + 2.0)
    assert not caution.silent


def test_what_waits_under_a_former_name_is_told_by_the_new_one(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """Rows of the outbox, and what another process has left, hold whole topics."""
    server = mosquitto()
    ear = server.subscribe("#")
    deposit(tmp_path / "spool", Message("edge/old/analysis/picture", b"seen", retain=True), "p")
    outbox = Outbox(tmp_path / "o.sqlite", max_bytes=10_000_000)
    own = Topics("edge", "x")
    with running(broker_of(server), outbox=outbox, own=own, spool=tmp_path / "spool") as run:
        ear.wait_for("edge/x/analysis/picture seen")
        for word in ("event", "level/minute", "analysis", "clip", "last_words"):
            run.publisher.offer(Message(f"edge/old/{word}", word.encode(), qos=1, durable=True))
        for word in ("event", "level/minute", "analysis", "clip", "last_words"):
            ear.wait_for(f"edge/x/{word} {word}")
        wait_until(lambda: run.publisher.depth == 0, "all are answered")
    assert not any("edge/old" in line for line in ear.lines())


def test_another_client_of_our_id_says_nothing_about_what_is_borne() -> None:
    caution = Caution("edge/x")
    for start_s in range(2 * MOST):
        tried(caution, start_s)
        caution.lost(start_s + 0.1, taken_over=True)
    assert not caution.silent
    assert not caution.put_out


def test_what_is_said_again_while_it_is_on_trial_is_on_trial_no_longer_for_that() -> None:
    caution = Caution("edge/x")
    tried(caution, 0.0)
    assert caution.dressed(DEVICE, PROOF_S - 1.0) is not None
    assert caution.look(PROOF_S)


def test_what_a_slow_broker_has_not_read_is_not_borne() -> None:
    caution = Caution("edge/x")
    caution.connected(0.0)
    caution.dressed(DEVICE, 0.0)
    assert not caution.wants_answer(0.5), "that could overtake it"
    assert caution.wants_answer(1.0)
    assert not caution.look(60.0)
    caution.answered(0.5)
    assert not caution.look(60.0)
    caution.answered(1.0)
    assert not caution.wants_answer(60.0)
    assert not caution.look(PROOF_S - 1.0)
    assert caution.look(PROOF_S)


def test_a_frozen_broker_has_borne_nothing_until_it_answers(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    server = mosquitto()
    with running(broker_of(server), tmp_path / "o.sqlite", own=Topics("edge", "x")) as run:
        wait_until(lambda: run.link.connected, "connected")
        server.freeze()
        run.publisher.offer(DEVICE)
        later_s = PROOF_S + BEHIND_S

        def borne() -> bool:
            return run.link.look(time.monotonic() + later_s)

        wait_until(lambda: run.link.caution.wants_answer(time.monotonic() + later_s), "it is said")
        for _ in range(8):
            assert not borne()
            time.sleep(0.25)
        server.thaw()
        wait_until(borne, "it has read it")
