# SPDX-License-Identifier: MIT
"""What a broker like EMQX says no with: each is told in words, and nothing durable is lost."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from edge.errors import PublishError
from edge.publish.broker import MOST_WORDS, Broker, Refusal
from edge.publish.caution import MOST, PROOF_S
from edge.publish.mqtt import Handlers, Link, probe
from edge.publish.outbox import Outbox
from edge.publish.publisher import IN_FLIGHT, Publisher
from edge.types import Message
from tests.conftest import wait_until
from tests.publish.strict import ACCEPTED, Answers, StrictBroker, properties

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIP = Message("edge/x/clip", b"c" * 3000, qos=1, durable=True)
EVENT = Message("edge/x/event", b"e", qos=1, durable=True)
NOT_ALLOWED = b"\x87" + properties("not_authorized")


class Box:
    """A link and a publisher in threads, and what they say."""

    def __init__(self, server: StrictBroker) -> None:
        self.said: list[str] = []
        handlers = Handlers(
            connected=lambda: self.said.append("connected"),
            lost=self.said.append,
            acknowledged=self._acknowledged,
        )
        self.broker = Broker(server.url, "edge-x", keepalive_s=5)
        heard = {"edge/x/command/+": False, "edge/x/run": True}
        self.link = Link(self.broker, handlers=handlers, subscribe=heard)
        self._boxes = [Outbox(None, max_bytes=1_000_000) for _ in range(2)]
        self.publisher = Publisher(self.link, *self._boxes)
        self._threads = [
            threading.Thread(target=one.run, daemon=True) for one in (self.publisher, self.link)
        ]
        for thread in self._threads:
            thread.start()

    def _acknowledged(self, number: int, refused: Refusal) -> None:
        self.publisher.acknowledged(number, refused)

    def offer(self, *messages: Message) -> None:
        for message in messages:
            self.publisher.offer(message)

    def stop(self) -> None:
        self.publisher.stop()
        self._threads[0].join(60)
        self.link.stop()
        self._threads[1].join(60)
        self.link.close()
        for box in self._boxes:
            box.close()


@contextmanager
def box_at(answers: Answers) -> Iterator[tuple[StrictBroker, Box]]:
    server = StrictBroker(answers)
    box = Box(server)
    try:
        yield server, box
    finally:
        box.stop()
        server.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"\0\x87" + properties("not_authorized"), "Not authorized: not_authorized"),
        (b"\0\x86" + properties(), "Bad user name or password"),
        (b"\0\x89" + properties("server_busy"), "Server busy: server_busy"),
        (b"\0\x97" + properties(), "Quota exceeded"),
        (b"\0\x9c" + properties(server="b.example"), "Use another server: b.example"),
        (b"\0\x9d" + properties("away", "b.example"), "Server moved: away: b.example"),
        (b"\0\1", "Unsupported protocol version"),
    ],
)
def test_a_broker_that_lets_nobody_in_is_named_with_its_words_once(
    answer: bytes, said: str
) -> None:
    with box_at(Answers(connack=answer)) as (server, box):
        box.offer(EVENT)
        wait_until(lambda: server.connections >= 3, "it goes on trying")
        assert box.said == [f"the broker refuses us: {said}"]
        assert box.link.trouble == f"the broker refuses us: {said}"
        wait_until(lambda: box.publisher.depth == 1, "it waits")
        with pytest.raises(PublishError, match=f"it refuses us: {said}"):
            probe(box.broker)
        server.answers = Answers()
        wait_until(lambda: box.publisher.depth == 0, "what waited is told")
        assert box.link.trouble == ""


def test_a_refusal_of_an_older_mqtt_is_no_broker_that_hangs() -> None:
    """Some answer a client of MQTT 5 in the form of 3.1.1: 5 is "not authorized" there."""
    with box_at(Answers(connack=b"\0\5")) as (_, box):
        wait_until(lambda: bool(box.said), "it says why")
        assert box.said == ["the connection ended before MQTT 5 was accepted"]
        with pytest.raises(PublishError, match="ended before MQTT 5"):
            probe(box.broker)


@pytest.mark.parametrize(
    ("code", "refusal"),
    [(0x87, "not allowed"), (0x97, "not now"), (0x83, "not now")],
)
def test_what_is_refused_with_a_reason_is_kept_and_the_rest_goes_out(
    code: int, refusal: str, caplog: pytest.LogCaptureFixture
) -> None:
    refused = bytes([code]) + properties("the broker's own words")
    with box_at(Answers(puback={CLIP.topic: refused})) as (server, box):
        box.offer(EVENT, CLIP)
        wait_until(lambda: (EVENT.topic, EVENT.payload) in server.taken, "the event is there")
        wait_until(lambda: box.publisher.refused_topics == (CLIP.topic,), "it is known")
        wait_until(lambda: box.publisher.depth == 1, "the event is settled, the clip kept")
        wait_until(lambda: f"refuses {CLIP.topic} ({refusal})" in caplog.text, "it is said")
        assert server.connections == 1


def test_what_is_refused_for_now_is_not_overtaken_by_what_is_not_sent_yet() -> None:
    """An offset must not come before its onset; what was on its way at the first refusal may."""
    events = [Message(EVENT.topic, b"%d" % n, qos=1, durable=True) for n in range(5 * IN_FLIGHT)]

    def all_taken() -> bool:
        box.publisher._pause_until_s = 0.0  # noqa: SLF001 - a minute later
        return len(server.taken) == len(events)

    with box_at(Answers(quota=4)) as (server, box):
        box.offer(*events)
        wait_until(all_taken, "all are taken")
        wait_until(lambda: box.publisher.depth == 0, "and forgotten")
        on_its_way = 2 * IN_FLIGHT  # some were sent instead of those taken before the first refusal
        later = [int(payload) for _, payload in server.taken[on_its_way * 4 // 5 :]]
        assert later == sorted(later)
        wait_until(lambda: not box.publisher._one_by_one, "many at a time again")  # noqa: SLF001


def test_nobody_to_hear_it_is_no_refusal() -> None:
    with box_at(Answers(puback={EVENT.topic: b"\x10" + properties()})) as (_, box):
        box.offer(EVENT)
        wait_until(lambda: box.publisher.counters.sent == 1, "sent")
        wait_until(lambda: box.publisher.depth == 0, "settled")
        assert box.publisher.refused_topics == ()


def test_a_subscription_that_is_not_allowed_is_known() -> None:
    with box_at(Answers(suback=0x87)) as (_, box):
        wait_until(lambda: box.link.unheard == ("edge/x/command/+", "edge/x/run"), "it knows")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (b"\x8e" + properties(), "Session taken over"),
        (b"\x97" + properties(), "Quota exceeded"),
        (b"\x89" + properties("overload"), "Server busy: overload"),
        (b"\x9c" + properties(server="b.example"), "Use another server: b.example"),
        (b"\x98" + properties("\n" + "kicked " * 20), None),
    ],
)
def test_a_broker_that_ends_the_connection_is_quoted(end: bytes, said: str | None) -> None:
    with box_at(Answers()) as (server, box):
        wait_until(lambda: box.link.connected, "connected")
        server.end(end)
        wait_until(lambda: len(box.said) == 3, "and connected again")
        words = box.said[1].removeprefix("the broker ended the connection: ")
        if said:
            assert words == said
        assert words.isprintable()
        assert len(words) <= MOST_WORDS + len("Administrative action: ")


def test_a_broker_that_throws_out_for_a_message_is_not_stormed_and_nothing_is_lost() -> None:
    """EMQX with `deny_action = disconnect`."""
    with box_at(Answers(ends={EVENT.topic: NOT_ALLOWED})) as (server, box):
        box.offer(EVENT)
        wait_until(lambda: box.link.caution.put_out, "it is put out")
        tried = server.connections
        assert tried == MOST + 1
        words = "the broker ended the connection: Not authorized: not_authorized"
        assert box.link.trouble == words
        time.sleep(5.0)  # it would have come back four times
        assert server.connections == tried
        assert box.said.count(words) == tried
        assert box.publisher.depth == 1
        server.answers = Answers()
        wait_until(lambda: box.publisher.depth == 0, "what waited is told", 120)
        time.sleep(PROOF_S)
        server.end(NOT_ALLOWED)
        wait_until(lambda: box.said.count(words) == tried + 1, "another end is said again")


def test_what_is_larger_than_the_broker_takes_waits_and_keeps_nobody_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    too_large = {CLIP.topic: b"\x95" + properties()}
    answers = Answers(connack=ACCEPTED + properties(largest=2000), ends=too_large)
    picture = Message("edge/x/analysis/picture", b"p" * 3000, qos=1, retain=True)
    live = Message("edge/x/scores", b"s" * 3000)
    with box_at(answers) as (server, box):
        box.offer(picture, CLIP, EVENT)
        wait_until(lambda: (EVENT.topic, EVENT.payload) in server.taken, "the event is there")
        box.offer(live)
        wait_until(lambda: len(box.publisher.refused_topics) == 3, "it is known")
        assert all(box.publisher.refused_topics), "by its name"
        wait_until(lambda: box.publisher.depth == 1, "the event is settled, the clip kept")
        wait_until(lambda: f"refuses {CLIP.topic} (too large)" in caplog.text, "it is said")
        assert [topic for topic, _ in server.heard] == [EVENT.topic]
        assert server.connections == 1
