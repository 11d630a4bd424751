# SPDX-License-Identifier: MIT
"""The storm itself can tell a loss; and the box loses nothing in a short one."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edge.publish.broker import Broker as Address
from edge.publish.mqtt import Handlers, Link
from edge.publish.outbox import Outbox
from edge.publish.publisher import Publisher
from edge.types import Message
from tests.conftest import wait_until
from tools.lab.microphone import Stretch
from tools.storm.books import TELLS_S, WHOLE_S, Deaf, balance, onset_s
from tools.storm.box import Box
from tools.storm.broker import Broker, Ear, Wire
from tools.storm.certificate import make_certificates
from tools.storm.kills import kill_rounds
from tools.storm.net import make_net
from tools.storm.samples import BUFFER_S, PERIOD, Life, compare, played_bursts, silences
from tools.storm.sound import BURST_S, PERIOD_S, RATE_HZ, bursts, write_signal

if TYPE_CHECKING:
    from pathlib import Path

    from tools.storm.net import Net

NOON_S = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()


def told(at_s: float, number: int = 0, **more: object) -> list[dict[str, Any]]:
    """Return the onset and the offset of an event."""
    onset = datetime.fromtimestamp(at_s, UTC).isoformat()
    event = {"event_id": f"e{number}", "onset_time": onset, **more}
    return [
        {**event, "event_type": edge, "message_id": f"e{number}-{edge}"}
        for edge in ("onset", "offset")
    ]


def test_a_burst_is_played_whole_or_not_at_all() -> None:
    assert bursts(100.0, 100.0 + BURST_S[1]) == []
    assert bursts(100.0, 100.1 + BURST_S[1] + PERIOD_S) == [
        100.0 + BURST_S[0],
        100.0 + BURST_S[0] + PERIOD_S,
    ]


def test_books_balance_when_each_burst_arrives() -> None:
    books = balance([NOON_S, NOON_S + 6], [], told(NOON_S + 0.5) + told(NOON_S + 6.9, 1))
    assert (books.due, books.heard, books.wrong) == (2, 2, [])


def test_a_burst_that_does_not_arrive_is_wrong_unless_the_box_was_deaf() -> None:
    assert balance([NOON_S], [], []).wrong
    assert not balance([NOON_S], [Deaf(NOON_S + 1, NOON_S + 2)], []).wrong
    assert not balance([NOON_S], [Deaf(NOON_S - 1, NOON_S + 0.1)], []).wrong


def test_a_burst_that_was_played_whole_is_due_however_near_the_silence() -> None:
    assert balance([NOON_S], [Deaf(NOON_S - 1, NOON_S - 0.01)], []).wrong
    after = Deaf(NOON_S + WHOLE_S + 0.01, NOON_S + 9)
    assert balance([NOON_S], [after], []).wrong
    assert not balance([NOON_S], [after._replace(killed=True)], []).wrong


def test_an_event_of_no_burst_is_wrong() -> None:
    assert balance([], [], told(NOON_S)).wrong
    assert balance([NOON_S], [], told(NOON_S) + told(NOON_S + 0.2, 1)).wrong


def test_an_event_without_an_end_is_wrong() -> None:
    onset, _ = told(NOON_S)
    assert balance([NOON_S], [], [onset]).wrong


def test_who_is_killed_before_it_could_tell_an_end_owes_none() -> None:
    """A second over the limit is told once it is whole, and its bands are there."""
    onset, _ = told(NOON_S)
    killed_s = NOON_S + TELLS_S + 0.5
    assert not balance([NOON_S], [Deaf(killed_s, killed_s + 1, killed=True)], [onset]).wrong
    much_later_s = NOON_S + 2 * TELLS_S
    assert balance([NOON_S], [Deaf(much_later_s, much_later_s + 1, killed=True)], [onset]).wrong


def life(
    *spans_s: tuple[float, float], lost: int, told_s: float = 1e9, in_order: bool = True
) -> Life:
    """Return a life that was given these spans, by a unit that says it lost so many samples."""
    heard_s = sum(min(stop, told_s) - start for start, stop in spans_s)
    return Life(
        tuple(
            Stretch(spans_s[0][0], start, round((stop - start) * RATE_HZ), RATE_HZ)
            for start, stop in spans_s
        ),
        told_s=min(told_s, spans_s[-1][1]),
        samples=round(heard_s * RATE_HZ) + lost,
        lost_samples=lost,
        in_order=in_order,
    )


def test_samples_balance_when_each_hole_is_counted() -> None:
    """An overrun, and a plug pulled: what was lost is told to some hundredths of a second."""
    counted = compare([life((10, 20), (20.35, 30), (35.5, 40), lost=int(5.86 * RATE_HZ))])
    assert counted.wrong == []
    assert counted.given == pytest.approx(24.15 * RATE_HZ)
    assert counted.lost == pytest.approx(5.85 * RATE_HZ)


def test_the_smallest_hole_that_nobody_counts_is_wrong() -> None:
    """An overrun loses a whole buffer."""
    spans = ((10.0, 20.0), (20.0 + BUFFER_S, 30.0), (35.5, 40.0))
    assert compare([life(*spans, lost=round(5.5 * RATE_HZ))]).wrong


def test_samples_that_are_counted_as_heard_and_were_not_played_are_wrong() -> None:
    told = life((10, 20), (21, 30), lost=RATE_HZ)
    assert compare([told]).wrong == []
    assert compare([replace(told, samples=told.samples + 4 * PERIOD)]).wrong
    assert compare([replace(told, samples=told.samples - 4 * PERIOD)]).wrong


def test_who_was_killed_owes_what_he_was_given_until_he_told_his_figures() -> None:
    told = life((10, 20), (21, 30), lost=RATE_HZ, told_s=27.0, in_order=False)
    assert compare([told]).wrong == []
    assert compare([replace(told, lost_samples=0, samples=told.samples - RATE_HZ)]).wrong
    assert compare([replace(told, told_s=29.0)]).wrong


def test_the_smallest_hole_is_missed_in_a_life_that_was_killed_too() -> None:
    spans = ((10.0, 20.0), (20.0 + BUFFER_S, 30.0))
    assert compare([life(*spans, lost=0, told_s=27.0, in_order=False)]).wrong
    freshly = life(*spans, lost=0, told_s=20.0 + 1.5 * BUFFER_S, in_order=False)
    assert not compare([freshly]).wrong, "its end may not have been read yet"


def test_books_without_figures_do_not_balance() -> None:
    told = life((10, 20), lost=0)
    silent = replace(told, samples=0, lost_samples=0)
    assert compare([silent]).wrong
    assert compare([told, silent]).wrong
    assert compare([told, replace(silent, in_order=False)]).wrong == []


def test_a_silence_is_as_long_as_the_card_says() -> None:
    killed = life((10, 20), (21, 30), lost=RATE_HZ, in_order=False)
    lives = [killed, life((33, 40), lost=0)]
    assert silences(lives, 1000.0) == [
        Deaf(1020, 1021),
        Deaf(1030, 1033, killed=True),
        Deaf(1040, 1040),
    ]
    assert played_bursts(lives, 1000.0) == [
        *(1010 + BURST_S[0] + PERIOD_S * number for number in range(3)),
        1033 + BURST_S[0],
    ]


def test_a_message_may_come_twice_but_not_altered() -> None:
    twice = balance([NOON_S], [], told(NOON_S) * 2)
    assert (twice.doubled, twice.wrong) == (2, [])
    assert balance([NOON_S], [], told(NOON_S) + told(NOON_S, score=0.1)).wrong


def test_a_publisher_that_is_killed_loses_nothing_that_was_written_down(tmp_path: Path) -> None:
    with ExitStack() as running:
        result = kill_rounds(tmp_path, 15, 7, running)
    assert result.stored > 100
    assert result.wrong == []


def test_a_short_storm_loses_nothing() -> None:
    first = ("unit killed", "microphone pulled", "broker killed", "broker frozen")
    asked = [part for name in first for part in ("--first", name)]
    storm = subprocess.run(
        [sys.executable, "-m", "tools.storm", "--seconds", "60", "--seed", "5", *asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert storm.returncode == 0, storm.stdout + storm.stderr
    assert "| yes |" in storm.stdout
    assert " of 0 |" not in storm.stdout, "something had to be heard"
    came = dict(part.rsplit(" ", 1) for part in storm.stdout.splitlines()[0].split(", "))
    assert all(int(came[name]) for name in first), came


def test_a_soak_that_is_too_long_is_refused() -> None:
    asked = [sys.executable, "-m", "tools.storm", "--soak", "72"]
    refused = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "up to 24 hours" in refused.stderr


def a_connection(running: ExitStack) -> tuple[Net, socket.socket, socket.socket, socket.socket]:
    """Return a network of its own, who listens in it, and both ends of a connection with it."""
    net = make_net(running)
    if net is None:
        pytest.skip("no network of our own may be made here")
    with net.inside():
        far = running.enter_context(socket.create_server((net.address, 0)))
    near = running.enter_context(socket.create_connection(far.getsockname(), 5.0))
    return net, far, near, running.enter_context(far.accept()[0])


def test_a_network_of_its_own_can_be_pulled_mute_and_slow() -> None:
    with ExitStack() as running:
        net, _, near, there = a_connection(running)
        there.settimeout(0.5)
        for begin, end in ((net.pull, net.plug), (net.mute, net.unmute)):
            begin()
            near.sendall(b"x")
            with pytest.raises(TimeoutError):
                there.recv(1)
            end()
            there.settimeout(60.0)
            near.sendall(b"y")
            assert (there.recv(1), there.recv(1)) == (b"x", b"y")
            there.settimeout(0.5)
        net.slow("80kbit")
        began_s = time.monotonic()
        near.sendall(bytes(20_000))
        there.settimeout(60.0)
        received = 0
        while received < 20_000:
            received += len(there.recv(65536))
        assert time.monotonic() - began_s > 1.0
        net.fast()


def test_nobody_is_told_that_a_network_is_mute() -> None:
    """Who connects meanwhile waits, as behind a dead router; each end is mute for itself."""
    with ExitStack() as running:
        net, far, near, there = a_connection(running)
        near.settimeout(0.5)
        net.mute()
        with pytest.raises(TimeoutError):
            socket.create_connection(far.getsockname(), 0.5)
        there.sendall(b"z")
        with pytest.raises(TimeoutError):
            near.recv(1)
        net.unmute()
        near.settimeout(60.0)
        assert near.recv(1) == b"z"


def test_an_expired_certificate_is_said_and_nothing_is_lost_by_it(tmp_path: Path) -> None:
    """The same broker shows it for a while, and a good one again."""
    certificates = make_certificates(tmp_path, "127.0.0.1")
    said: list[str] = []
    outbox, spare = (Outbox(None, max_bytes=1_000_000) for _ in range(2))
    with ExitStack() as running:
        broker = Broker(tmp_path, running, certificates.good)
        ear = Ear(broker.port, running)
        url = f"mqtts://127.0.0.1:{broker.tls_port}"
        link = Link(
            Address(url, "x", ca_file=str(certificates.authority.file)),
            handlers=Handlers(
                lost=said.append,
                acknowledged=lambda mid, refused: publisher.acknowledged(mid, refused),  # noqa: PLW0108 - it is made below
            ),
        )
        publisher = Publisher(link, outbox, spare)
        for target in (link.run, publisher.run):
            threading.Thread(target=target, daemon=True).start()
        running.callback(link.stop)
        running.callback(publisher.stop)
        wait_until(lambda: link.connected, "connected")
        broker.certificate = certificates.expired
        broker.send(signal.SIGTERM)
        broker.start()
        for number in range(3):
            body = json.dumps({"number": number}).encode()
            publisher.offer(Message("edge/storm/event", body, qos=1, durable=True))
        wait_until(lambda: any("certificate has expired" in why for why in said), "it is said")
        wait_until(lambda: publisher.depth == 3, "all wait")
        broker.certificate = certificates.good
        broker.send(signal.SIGTERM)
        broker.start()
        wait_until(lambda: publisher.depth == 0, "all are sent", 120.0)
        wait_until(lambda: len(ear.messages("event")) == 3, "all have come")
        assert [one["number"] for one in ear.messages("event")] == [0, 1, 2]


def test_a_mute_network_is_noticed_by_the_keepalive_and_costs_no_message(tmp_path: Path) -> None:
    """Neither end is told: `edge listen` sits out its 5 s of `publish.keepalive_s`."""
    raw = tmp_path / "signal.raw"
    write_signal(raw, 1)
    with ExitStack() as running:
        net = make_net(running)
        if net is None:
            pytest.skip("no network of our own may be made here")
        broker = Broker(tmp_path, running)
        ear = Ear(broker.port, running)
        wire = Wire(broker.port, net)
        reports = (f'publish.url="mqtt://{wire.host}:{wire.port}"',)
        box = Box(tmp_path, raw, tmp_path / "state", reports, running)
        wait_until(lambda: ear.messages("health"), "it reports")
        net.mute()
        muted_s = time.monotonic()
        wait_until(lambda: "Keep alive timeout" in box.text(), "it is noticed")
        assert time.monotonic() - muted_s > 4.0
        time.sleep(PERIOD_S)  # one burst at least begins meanwhile
        net.unmute()
        back_s = time.time()
        wait_until(
            lambda: any(onset_s(event) > back_s for event in ear.messages("event")),
            "it is back",
            90.0,
        )
        assert box.stop() == 0
        utc_of_mono_s = time.time() - time.monotonic()
        lives = box.lives(utc_of_mono_s)
        books = balance(
            played_bursts(lives, utc_of_mono_s),
            silences(lives, utc_of_mono_s),
            ear.messages("event"),
        )
    assert books.wrong == compare(lives).wrong == []
    assert books.due >= 3
