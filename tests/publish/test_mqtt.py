# SPDX-License-Identifier: MIT
"""The link and the publisher against a real Mosquitto."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.errors import PublishError
from edge.publish.broker import Broker, Refusal, read_password
from edge.publish.mqtt import Handlers, Link, probe
from edge.publish.outbox import Outbox
from edge.publish.publisher import IN_FLIGHT, INBOX, Publisher
from edge.types import Message
from tests.conftest import (
    LATE_EAR,
    REPOSITORY,
    Mosquitto,
    Subscriber,
    broker_with_memory,
    free_port,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.publish.payloads import Topics

WILL = Message("edge/x/status", b"offline", qos=1, retain=True)


class Running:
    """A link and a publisher in threads, as the unit runs them."""

    def __init__(
        self, broker: Broker, outbox: Outbox, own: Topics | None = None, spool: Path | None = None
    ) -> None:
        self.lost: list[str] = []
        handlers = Handlers(
            lost=self.lost.append,
            acknowledged=self.acknowledged,
        )
        self.outbox = outbox
        self.link = Link(broker, will=WILL, handlers=handlers, own=own.root if own else "")
        self.spare = Outbox(None, max_bytes=10_000_000)
        rename = own.own if own else str
        self.publisher = Publisher(self.link, outbox, self.spare, spool, own=rename)
        self.threads = [
            threading.Thread(target=self.link.run, daemon=True),
            threading.Thread(target=self.publisher.run, daemon=True),
        ]

    def acknowledged(self, mid: int, refused: Refusal) -> None:
        self.publisher.acknowledged(mid, refused)

    def stop(self) -> None:
        self.publisher.stop()
        self.threads[1].join(60)
        self.link.stop()
        self.threads[0].join(60)
        self.link.close()
        self.outbox.close()
        self.spare.close()


@contextmanager
def running(
    broker: Broker,
    path: Path | None = None,
    outbox: Outbox | None = None,
    own: Topics | None = None,
    spool: Path | None = None,
) -> Iterator[Running]:
    run = Running(broker, outbox or Outbox(path, max_bytes=10_000_000), own, spool)
    for thread in run.threads:
        thread.start()
    try:
        yield run
    finally:
        run.stop()


def event(number: int) -> Message:
    return Message("edge/x/event", b"event-%d." % number, qos=1, durable=True)


def broker_of(server: Mosquitto, **more: str) -> Broker:
    return Broker(server.url, "edge-x", keepalive_s=5, **more)


def test_live_states_and_durable_messages_arrive(mosquitto: Callable[..., Mosquitto]) -> None:
    server = mosquitto()
    ear = server.subscribe()
    with running(broker_of(server)) as run:
        wait_until(lambda: run.link.connected, "connected")
        run.publisher.offer(Message("edge/x/level", b"live"))
        run.publisher.offer(Message("edge/x/info", b"state", qos=1, retain=True))
        run.publisher.offer(event(1))
        for text in ("level live", "info state", "event event-1."):
            ear.wait_for(text)
        wait_until(lambda: run.publisher.depth == 0, "the acknowledgement")


def test_durable_messages_wait_for_a_broker_that_comes_late(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    server = broker_with_memory(mosquitto, tmp_path)
    with running(broker_of(server), tmp_path / "o.sqlite") as run:
        for number in range(50):
            run.publisher.offer(event(number))
        run.publisher.offer(Message("edge/x/level", b"live"))
        run.publisher.offer(Message("edge/x/info", b"state", qos=1, retain=True))
        wait_until(lambda: run.publisher.depth == 50 and run.lost, "stored, and the reason known")
        assert "refused" in run.lost[0]
        wait_until(lambda: run.publisher.counters.live_dropped == 1, "nothing live is kept")
        server.start()
        ear = server.subscribe("#", *LATE_EAR)
        ear.wait_for("event-49.")
        ear.wait_for("info state")
        wait_until(lambda: run.publisher.depth == 0, "all acknowledged")
        heard = [line for line in ear.lines() if "event-" in line]
        assert heard == [f"edge/x/event event-{n}." for n in range(50)]
        assert not any("live" in line for line in ear.lines())


def test_nothing_is_forgotten_before_the_broker_has_acknowledged_it(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """A frozen broker takes the bytes and answers nothing: the messages must stay."""
    server = mosquitto("allow_anonymous true\npersistence false")
    path = tmp_path / "o.sqlite"
    with running(broker_of(server), path) as run:
        wait_until(lambda: run.link.connected, "connected")
        server.freeze()
        for number in range(5):
            run.publisher.offer(event(number))
        wait_until(lambda: run.publisher.counters.sent >= 5, "sent into the void")
        time.sleep(0.3)
        assert run.publisher.depth == 5
        server.kill()
    with Outbox(path, max_bytes=10_000) as outbox:
        assert [row.message for row in outbox.waiting()] == [event(n) for n in range(5)]
    server.start()
    ear = server.subscribe()
    with running(broker_of(server), path) as run:
        ear.wait_for("event-4.")
        wait_until(lambda: run.publisher.depth == 0, "acknowledged")


def test_states_are_told_again_to_a_broker_that_forgot_them(
    mosquitto: Callable[..., Mosquitto],
) -> None:
    server = mosquitto()
    with running(broker_of(server)) as run:
        run.publisher.offer(Message("edge/x/info", b"state", qos=1, retain=True))
        wait_until(lambda: run.publisher.counters.sent or run.link.connected, "connected")
        server.kill()
        wait_until(lambda: run.lost, "the loss is noticed")
        server.start()
        ear = server.subscribe()
        ear.wait_for("info state")


def test_a_sender_that_is_killed_leaves_its_will(mosquitto: Callable[..., Mosquitto]) -> None:
    server = mosquitto()
    ear = server.subscribe()
    with running(broker_of(server)) as run:
        wait_until(lambda: run.link.connected, "connected")
        run.link._client._sock_close()  # noqa: SLF001 - a cut cable has no public name
        ear.wait_for("status offline")


def test_what_the_access_list_denies_blocks_nothing_and_waits_until_it_is_allowed(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    (tmp_path / "acl").write_text("topic write edge/x/event\ntopic read #\n")
    server = mosquitto(f"allow_anonymous true\nacl_file {tmp_path / 'acl'}")
    ear = server.subscribe()
    denied = 2 * IN_FLIGHT
    with running(broker_of(server)) as run:
        for number in range(denied):
            clip = Message("edge/x/clip", f"clip-{number}.".encode(), qos=1, durable=True)
            run.publisher.offer(clip)
        run.publisher.offer(event(1))
        ear.wait_for("event-1.")
        wait_until(lambda: run.publisher.depth == denied, "the event is settled")
        wait_until(lambda: not run.publisher.in_flight, "no answer is waited for")
        assert run.publisher.refused_topics == ("edge/x/clip",)
        (tmp_path / "acl").write_text("topic readwrite #\n")
        server.reload()
        wait_until(lambda: may_be_told(server, ear), "the new list is in force")
        run.publisher._held_until_s = 0.0  # noqa: SLF001 - an hour later
        ear.wait_for(f"clip-{denied - 1}.")
        wait_until(lambda: run.publisher.depth == 0, "all are settled")
        clips = [line for line in ear.lines() if "clip-" in line]
        assert [line.split()[-1] for line in clips] == [f"clip-{n}." for n in range(denied)]
        assert run.publisher.refused_topics == ()


def may_be_told(server: Mosquitto, ear: Subscriber) -> bool:
    """Say something else than events; return whether that was ever heard."""
    command = ["mosquitto_pub", "-p", str(server.port), "-t", "edge/x/else", "-m", "allowed"]
    subprocess.run(command, check=True)
    return any("edge/x/else" in line for line in ear.lines())


def test_a_subscription_that_the_broker_refuses_is_known(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    rules = tmp_path / "rules.json"
    allowed = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False}
    everybody = {"groupname": "all", "roles": []}
    document = {"defaultACLAccess": allowed, "groups": [everybody], "anonymousGroup": "all"}
    rules.write_text(json.dumps(document))
    (plugin,) = Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")
    server = mosquitto(
        f"allow_anonymous true\nplugin {plugin}\nplugin_opt_config_file {rules}",
    )
    link = Link(broker_of(server), subscribe={"edge/x/command/+": False, "edge/x/run": True})
    thread = threading.Thread(target=link.run)
    thread.start()
    try:
        wait_until(lambda: link.unheard == ("edge/x/command/+", "edge/x/run"), "it knows")
    finally:
        link.stop()
        thread.join()


def test_with_the_shipped_access_list_a_box_speaks_and_hears_for_itself_alone(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords"
    for number, user in enumerate(("x", "y", "watcher")):
        create = ["-c"] if number == 0 else []
        subprocess.run(["mosquitto_passwd", *create, "-b", passwords, user, user], check=True)
    shipped = REPOSITORY / "deploy" / "mosquitto" / "acl"
    server = mosquitto(f"allow_anonymous false\npassword_file {passwords}\nacl_file {shipped}")
    watcher = server.subscribe("#", "-u", "watcher", "-P", "watcher")
    other = server.subscribe("#", "-u", "y", "-P", "y")
    with running(broker_of(server, user="x", password="x")) as run:  # noqa: S106 - of this test's broker
        run.publisher.offer(Message("edge/y/event", b"in a strange name", qos=1, durable=True))
        for device in ("x", "y"):
            topic = f"homeassistant/device/{device}/config"
            run.publisher.offer(Message(topic, f"{device} by x".encode(), qos=1, retain=True))
        run.publisher.offer(event(1))
        watcher.wait_for("event-1.")
        watcher.wait_for("x by x")
        wait_until(lambda: run.publisher.depth == 1, "what is its own is settled")
        refused = {"edge/y/event", "homeassistant/device/y/config"}
        wait_until(lambda: set(run.publisher.refused_topics) == refused, "what is not is known")
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(server.port), "-u", "watcher"]
    command += ["-P", "watcher", "-t", "edge/y/command/record", "-m", "for y"]
    subprocess.run(command, check=True)
    other.wait_for("for y")
    assert not [line for line in other.lines() if "edge/x/" in line]
    assert not [line for line in watcher.lines() if "strange" in line or "y by x" in line]


class TestReasons:
    """Each way a broker can fail has its own sentence."""

    def refused(self, broker: Broker) -> str:
        with pytest.raises(PublishError) as caught:
            probe(broker)
        assert caught.value.help
        return caught.value.message

    def test_nobody_listens(self) -> None:
        assert "refused" in self.refused(Broker(f"mqtt://127.0.0.1:{free_port()}", "edge-x"))

    def test_no_such_host(self) -> None:
        assert "nowhere.invalid" in self.refused(Broker("mqtt://nowhere.invalid", "edge-x"))

    def test_wrong_password(self, mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
        passwords = tmp_path / "passwords"
        subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "bee", "right"], check=True)
        server = mosquitto(f"allow_anonymous false\npassword_file {passwords}")
        probe(broker_of(server, user="bee", password="right"))  # noqa: S106 - of this test's broker
        message = self.refused(broker_of(server, user="bee", password="wrong"))  # noqa: S106
        assert "Not authorized" in message
        assert "wrong" not in message

    def test_a_broker_that_hangs(self, mosquitto: Callable[..., Mosquitto]) -> None:
        server = mosquitto()
        server.freeze()
        assert "within 5 s" in self.refused(broker_of(server))

    def test_a_certificate_of_somebody_else(self, tls_broker: TlsBroker, tmp_path: Path) -> None:
        probe(tls_broker.trusted)
        assert "certificate is not accepted" in self.refused(tls_broker.untrusted)
        message = self.refused(
            Broker(tls_broker.trusted.url, "e", ca_file=str(tmp_path / "no.pem"))
        )
        assert "no.pem is not a file" in message

    def test_a_broker_that_wants_our_certificate(self, tls_broker: TlsBroker) -> None:
        nameless = Broker(tls_broker.trusted.url, "e", ca_file=tls_broker.trusted.ca_file)
        assert "no broker" in self.refused(nameless)

    def test_plain_words_to_a_broker_that_speaks_tls(self, tls_broker: TlsBroker) -> None:
        plain = Broker(tls_broker.trusted.url.replace("mqtts:", "mqtt:"), "e")
        assert "no broker" in self.refused(plain)


class TlsBroker:
    """A Mosquitto with TLS that wants a client's certificate, and who may talk to it."""

    def __init__(self, directory: Path, start: Callable[..., Mosquitto]) -> None:
        self._directory = directory
        ca, stranger = self._authority("ca"), self._authority("stranger")
        server, client = self._issue("server", ca), self._issue("client", ca)
        broker = start(
            f"allow_anonymous true\ncafile {ca[0]}\ncertfile {server[0]}\nkeyfile {server[1]}\n"
            "require_certificate true"
        )
        url = broker.url.replace("mqtt://127.0.0.1", "mqtts://localhost")
        files = {"cert_file": str(client[0]), "key_file": str(client[1])}
        self.trusted = Broker(url, "edge-x", ca_file=str(ca[0]), **files)
        self.untrusted = Broker(url, "edge-x", ca_file=str(stranger[0]), **files)

    def _authority(self, name: str) -> tuple[Path, Path]:
        certificate, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate)),
        )
        return certificate, key

    def _issue(self, name: str, authority: tuple[Path, Path]) -> tuple[Path, Path]:
        certificate, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-CA", str(authority[0]), "-CAkey", str(authority[1])),
            *("-keyout", str(key), "-out", str(certificate)),
        )
        return certificate, key

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture
def tls_broker(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> TlsBroker:
    return TlsBroker(tmp_path, mosquitto)


def test_the_password_comes_from_its_file_or_the_credential(tmp_path: Path) -> None:
    (tmp_path / "mqtt-password").write_text("honey\n")
    assert read_password(str(tmp_path / "mqtt-password"), {}) == "honey"
    assert read_password("", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "honey"
    assert read_password("", {}) == ""
    with pytest.raises(PublishError, match="can't be read"):
        read_password(str(tmp_path / "none"), {})


def test_a_broker_never_shows_its_password() -> None:
    assert "honey" not in repr(Broker("mqtt://h", "x", password="honey"))  # noqa: S106


def test_a_long_backlog_is_delivered_before_the_goodbye(
    mosquitto: Callable[..., Mosquitto],
) -> None:
    """Stopping gives the broker a time, not a number of acknowledgements."""
    server = mosquitto()
    ear = server.subscribe()
    with running(broker_of(server)) as run:
        wait_until(lambda: run.link.connected, "connected")
        for number in range(200):
            run.publisher.offer(event(number))
        run.publisher.stop()
        run.threads[1].join(60)
        assert run.publisher.depth == 0
    ear.wait_for("event-199.")


def test_a_full_inbox_stops_neither_an_acknowledgement_nor_the_end() -> None:
    outbox = Outbox(None, max_bytes=10_000_000)
    run = Running(Broker("mqtt://127.0.0.1:9", "edge-x"), outbox)
    for number in range(INBOX + 10):
        run.publisher.offer(event(number))
    assert run.publisher.counters.inbox_dropped == 10
    run.publisher.acknowledged(1, Refusal.NOT)
    run.publisher.stop()
    run.publisher.run()
    assert run.publisher.depth == INBOX
    outbox.close()
    run.spare.close()


def test_a_burst_reaches_the_broker_whole_or_is_counted(
    mosquitto: Callable[..., Mosquitto],
) -> None:
    server = mosquitto()
    with running(broker_of(server)) as run:
        wait_until(lambda: run.link.connected, "connected")
        for number in range(5000):
            run.publisher.offer(Message("edge/x/level", b"%d" % number))
        done = run.publisher.counters
        wait_until(lambda: done.sent + done.inbox_dropped == 5000, "nothing is stuck")


@pytest.mark.parametrize("waiting", [0, 50])
def test_who_leaves_a_frozen_broker_is_offline_when_it_thaws(
    mosquitto: Callable[..., Mosquitto], waiting: int
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    with running(broker_of(server)) as run:
        wait_until(lambda: run.link.connected, "connected")
        run.publisher.offer(Message("edge/x/status", b"online", qos=1, retain=True))
        ear.wait_for("status online")
        server.freeze()
        for number in range(waiting):
            run.publisher.offer(event(number))
    server.thaw()
    ear.wait_for("status offline")


def test_what_the_broker_can_not_take_now_is_kept(mosquitto: Callable[..., Mosquitto]) -> None:
    """Only an answer that will never change lets a durable message go."""
    server = mosquitto()
    with running(broker_of(server)) as run:
        wait_until(lambda: run.link.connected, "connected")
        server.freeze()  # so that the answers are this test's
        for number in range(3):
            run.publisher.offer(event(number))
        wait_until(lambda: len(run.publisher.in_flight) == 3, "sent")
        answers = (Refusal.FOR_NOW, Refusal.FOR_EVER, Refusal.NOT)
        for mid, answer in zip(run.publisher.in_flight, answers, strict=True):
            run.publisher.acknowledged(mid, answer)
        wait_until(lambda: not run.publisher.in_flight, "settled")
        wait_until(lambda: run.publisher.depth == 1, "one is kept")
        assert [row.message for row in run.outbox.waiting()] == [event(0)]
        assert run.publisher.counters.refused == 2
        server.thaw()


def test_a_disk_that_fails_and_heals_keeps_the_order(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    run = Running(Broker("mqtt://127.0.0.1:9", "edge-x"), Outbox(path, max_bytes=10_000_000))
    failing = "CREATE TRIGGER full BEFORE INSERT ON message BEGIN SELECT RAISE(FAIL, 'full'); END"

    def take(number: int) -> None:
        run.publisher.offer(event(number))
        wait_until(lambda: run.publisher.depth == number + 1, "taken")

    run.threads[1].start()
    take(0)
    with closing(sqlite3.connect(path)) as disk:
        disk.execute(failing)
        take(1)
        take(2)
        assert run.publisher.counters.unstored == 2
        disk.execute("DROP TRIGGER full")
    take(3)
    run.publisher.stop()
    run.threads[1].join(60)
    assert [row.message for row in run.outbox.waiting()] == [event(n) for n in range(4)]
    run.outbox.close()
    run.spare.close()
