# SPDX-License-Identifier: MIT
"""The publisher while its disk fails, is damaged, or the broker is full."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from edge.publish.broker import Broker, Refusal
from edge.publish.mqtt import Link
from edge.publish.outbox import Outbox
from edge.publish.payloads import forgotten
from edge.publish.publisher import IN_FLIGHT, Publisher
from edge.publish.spool import AT_ONCE, deposit
from edge.types import Message, Moment
from tests.conftest import Mosquitto, may_mount, small_disk, wait_until
from tests.publish.test_mqtt import broker_of, event, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE = 4096


def damage(path: Path) -> None:
    """Overwrite what is in the file, but for its first page; the reader learns that it changed."""
    with closing(sqlite3.connect(path)) as disk:
        disk.execute("CREATE TABLE other (x)")
        disk.commit()
        disk.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(PAGE)
        file.write(b"\xff" * (size - PAGE))


def test_an_outbox_that_is_damaged_while_it_runs_is_set_aside_and_a_new_one_begun(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    path = tmp_path / "o.sqlite"
    with running(broker_of(server), path) as run:
        run.publisher.offer(event(0))
        ear.wait_for("event-0.")
        wait_until(lambda: run.publisher.depth == 0, "acknowledged")
        damage(path)
        for number in range(1, 20):
            run.publisher.offer(event(number))
            ear.wait_for(f"event-{number}.")
        wait_until(lambda: run.publisher.depth == 0, "acknowledged")
    assert (tmp_path / "o.damaged").is_file()
    assert caplog.text.count("a new one begun") == 1
    assert len(caplog.records) <= 3
    with Outbox(path, max_bytes=10_000) as outbox:
        outbox.put(event(99))


ON_A_FULL_DISK = """
import sys
from contextlib import suppress
from pathlib import Path
from edge.publish.broker import Broker
from edge.publish.mqtt import Link
from edge.publish.outbox import Outbox
from edge.publish.publisher import Publisher
from tests.publish.test_mqtt import event
from tests.publish.test_publisher import damage

disk = Path(sys.argv[1])
outbox, spare = Outbox(disk / "o.sqlite", max_bytes=10_000_000), Outbox(None, max_bytes=100_000)
publisher = Publisher(Link(Broker("mqtt://127.0.0.1:9", "edge-x")), outbox, spare)

def take(number):
    publisher.offer(event(number))
    publisher.stop()
    publisher.run()

for number in range(20):
    take(number)
damage(disk / "o.sqlite")
rescued = (disk / "o.sqlite").read_bytes()
with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
    while True:
        filler.write(bytes(512))
for number in range(20, 23):
    take(number)
    assert (outbox.depth, outbox.dropped) == (0, 20), (outbox.depth, outbox.dropped)
assert spare.depth == 3
(disk / "filler").unlink()
take(23)
assert spare.depth == 0
assert outbox.dropped == 20
assert [row.message for row in outbox.waiting()] == [event(n) for n in range(20, 24)]
assert (disk / "o.damaged").read_bytes() == rescued
"""


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not allowed here")
def test_an_outbox_that_is_damaged_on_a_full_disk_begins_anew_once_there_is_room(
    tmp_path: Path,
) -> None:
    """Until then messages wait in memory; the loss is counted once, the rescued file stays."""
    done = subprocess.run(
        [*small_disk(tmp_path, "600k"), sys.executable, "-c", ON_A_FULL_DISK, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_waits_in_memory_is_written_down_within_a_minute_though_nothing_new_comes(
    tmp_path: Path,
) -> None:
    place = tmp_path / "state"
    place.write_text("in the way")
    outbox, spare = Outbox(place / "o.sqlite", max_bytes=10_000), Outbox(None, max_bytes=10_000)
    publisher = Publisher(Link(Broker("mqtt://127.0.0.1:9", "edge-x")), outbox, spare)
    with outbox, spare:
        for number in range(2):
            publisher.offer(event(number))
        publisher.stop()
        publisher.run()
        assert (outbox.depth, spare.depth) == (0, 2)
        place.unlink()
        publisher._look_disk_s = 0.0  # noqa: SLF001 - a minute later
        publisher.stop()
        publisher.run()
        assert (outbox.depth, spare.depth) == (2, 0)
        assert [row.message for row in outbox.waiting()] == [event(0), event(1)]


def test_what_lies_in_the_spool_is_told_from_memory_once_while_the_outbox_can_not_be_used(
    tmp_path: Path,
) -> None:
    """It stays for the outbox: memory is soon gone."""
    path, spool = tmp_path / "o.sqlite", tmp_path / "spool"
    path.mkdir()
    messages = [event(number) for number in range(AT_ONCE + 1)]
    for number, message in enumerate(messages):
        deposit(spool, message, f"{number:02}")
    outbox, spare = Outbox(path, max_bytes=10_000), Outbox(None, max_bytes=10_000)
    publisher = Publisher(Link(Broker("mqtt://127.0.0.1:9", "edge-x")), outbox, spare, spool)

    def look() -> None:
        publisher._look_s = publisher._look_disk_s = 0.0  # noqa: SLF001 - some time later
        publisher.stop()
        publisher.run()

    with outbox, spare:
        depths = []
        for _ in range(3):
            look()
            depths.append(spare.depth)
        assert depths == [AT_ONCE, AT_ONCE + 1, AT_ONCE + 1]
        assert len(list(spool.iterdir())) == AT_ONCE + 1
        path.rmdir()
        for _ in range(2):
            look()
        assert spare.depth == 0
        assert list(spool.iterdir()) == []
        told = [row.message for row in outbox.waiting(limit=100)]
        assert sorted(one.payload for one in told) == sorted(2 * [one.payload for one in messages])


ON_A_DISK_THAT_CAN_ONLY_BE_READ = """
import sys
from pathlib import Path
from edge.publish.broker import Broker
from edge.publish.mqtt import Link
from edge.publish.outbox import Outbox
from edge.publish.publisher import Publisher

outbox, spare = Outbox(None, max_bytes=10_000), Outbox(None, max_bytes=10_000)
link = Link(Broker("mqtt://127.0.0.1:9", "edge-x"))
publisher = Publisher(link, outbox, spare, Path(sys.argv[1]))
for _ in range(3):
    publisher._look_s = 0.0
    publisher.stop()
    publisher.run()
print(outbox.depth + spare.depth)
"""


@pytest.mark.skipif(not may_mount(), reason="mounting is not allowed here")
def test_what_lies_in_the_spool_of_a_disk_that_can_only_be_read_is_told_once(
    tmp_path: Path,
) -> None:
    """As cards end: the last words say so."""
    deposit(tmp_path, event(0), "one")
    mounts = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path}"
    apart = ("unshare", "-m", "--propagation", "private", "sh", "-c", f'{mounts} && exec "$0" "$@"')
    script = (sys.executable, "-c", ON_A_DISK_THAT_CAN_ONLY_BE_READ, str(tmp_path))
    assert subprocess.check_output([*apart, *script], text=True) == "1\n"


def test_the_spare_is_sent_while_the_outbox_can_not_be_read(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    path = tmp_path / "o.sqlite"
    with running(broker_of(server), path) as run, closing(sqlite3.connect(path)) as disk:
        wait_until(lambda: run.link.connected, "connected")
        server.freeze()
        run.publisher.offer(event(0))
        wait_until(lambda: run.publisher.depth == 1, "written down")
        disk.execute("ALTER TABLE message RENAME TO away")
        server.thaw()
        for number in range(1, 20):
            run.publisher.offer(event(number))
            ear.wait_for(f"event-{number}.")
        disk.execute("ALTER TABLE away RENAME TO message")
        run.publisher.offer(event(20))
        ear.wait_for("event-20.")
        wait_until(lambda: run.publisher.depth == 0, "acknowledged")
    said = [record.levelname for record in caplog.records if "outbox" in record.message]
    assert said == ["ERROR", "WARNING"]


def test_events_go_out_while_nothing_can_be_forgotten(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """A disk that became read-only: more than may be in flight still leaves."""
    server = mosquitto()
    ear = server.subscribe()
    path = tmp_path / "o.sqlite"
    with running(broker_of(server), path) as run, closing(sqlite3.connect(path)) as disk:
        for verb in ("INSERT", "DELETE"):
            disk.execute(
                f"CREATE TRIGGER no_{verb} BEFORE {verb} ON message"
                " BEGIN SELECT RAISE(FAIL, 'read-only'); END"
            )
        for number in range(3 * IN_FLIGHT):
            run.publisher.offer(event(number))
        ear.wait_for(f"event-{3 * IN_FLIGHT - 1}.")


def test_what_is_to_be_forgotten_is_told_until_it_is_taken_and_never_again(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """Later, another box may say something there."""
    server = mosquitto()
    with running(broker_of(server), tmp_path / "o.sqlite") as run:
        wait_until(lambda: run.link.connected, "connected")
        run.publisher.offer(Message("state", b"old", qos=1, retain=True))
        server.kill()
        run.publisher.offer(forgotten("state"))
        server.start()
        ear = server.subscribe()  # which may be too late to hear it
        wait_until(lambda: run.link.connections == 2, "connected again")
        wait_until(lambda: "state" not in run.publisher._states, "it is taken")  # noqa: SLF001
        run.publisher.offer(Message("kept", b"1", qos=1, retain=True))
        ear.wait_for("kept 1")
        since = len(ear.lines())
        run.publisher.tell_again()
        wait_until(lambda: "kept 1" in ear.lines()[since:], "told again")
        assert not any(line.startswith("state") for line in ear.lines()[since:])


def test_what_could_not_be_forgotten_at_first_is_no_trouble_once_it_is(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    server = mosquitto()
    with running(broker_of(server), tmp_path / "o.sqlite") as run:
        wait_until(lambda: run.link.connected, "connected")
        server.freeze()  # so that the answers are this test's
        run.publisher.offer(forgotten("state"))
        wait_until(lambda: "state" in run.publisher._topics.values(), "sent")  # noqa: SLF001
        (mid,) = run.publisher._topics  # noqa: SLF001
        run.publisher.acknowledged(mid, Refusal.FOR_NOW)
        wait_until(lambda: run.publisher.refused_topics == ("state",), "refused")
        server.thaw()
        run.publisher.tell_again()
        wait_until(lambda: run.publisher.refused_topics == (), "it is taken")


def test_after_a_refusal_for_now_nothing_durable_is_sent_for_a_while(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    server = mosquitto()
    ear = server.subscribe()
    with running(broker_of(server), tmp_path / "o.sqlite") as run:
        wait_until(lambda: run.link.connected, "connected")
        server.freeze()  # so that the answers are this test's
        run.publisher.offer(event(0))
        run.publisher.offer(event(1))
        wait_until(lambda: len(run.publisher.in_flight) == 2, "sent")
        first, second = run.publisher.in_flight
        run.publisher.acknowledged(first, Refusal.FOR_NOW)
        wait_until(lambda: run.publisher.in_flight == (second,), "settled")
        for number in range(2, 3 * IN_FLIGHT):
            run.publisher.offer(event(number))
        wait_until(lambda: run.publisher.depth == 3 * IN_FLIGHT, "written down")
        assert run.publisher.counters.sent == 2
        run.publisher._pause_until_s = 0.0  # noqa: SLF001 - a minute later
        server.thaw()
        ear.wait_for(f"event-{3 * IN_FLIGHT - 1}.")
        wait_until(lambda: run.publisher.depth == 0, "all acknowledged, the refused one too")
        assert run.publisher.counters.sent == 3 * IN_FLIGHT + 1, "what was in flight was not again"
        heard = [line.split()[-1] for line in ear.lines()]
        order = [0, 1, 0, *range(2, 3 * IN_FLIGHT)]
        assert heard == [f"event-{number}." for number in order]


def test_what_returns_from_memory_keeps_the_moment_of_its_coming(tmp_path: Path) -> None:
    now = Moment(1002.0, 50.0, "a", synchronised=True)
    away = Link(Broker("mqtt://127.0.0.1:9", "edge-x"))
    outbox = Outbox(tmp_path / "o.sqlite", max_bytes=10_000)
    spare = Outbox(None, max_bytes=10_000)
    publisher = Publisher(away, outbox, spare, now=lambda: now)
    with outbox, spare, closing(sqlite3.connect(tmp_path / "o.sqlite")) as disk:
        disk.execute(
            "CREATE TRIGGER full BEFORE INSERT ON message BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
        for wall_s, synchronised in ((1000.0, True), (1001.0, False)):
            now = Moment(wall_s, 50.0, "a", synchronised)
            publisher.offer(event(0))
            publisher.stop()
            publisher.run()
        assert spare.depth == 2
        disk.execute("DROP TRIGGER full")
        now = Moment(1002.0, 50.0, "a", synchronised=True)
        publisher.offer(event(2))
        publisher.run()
        rows = outbox.waiting()
    assert [(row.put_s, row.booted_s, row.boot) for row in rows] == [
        (1000.0, None, None),
        (None, 951.0, "a"),
        (1002.0, None, None),
    ]


class SlowDisk(Outbox):
    """Needs 10 ms for each time that it forgets something, as an SD card does."""

    def done(self, *row_ids: int) -> None:
        time.sleep(0.01)
        super().done(*row_ids)


def test_a_backlog_on_a_slow_disk_does_not_delay_live_values(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    server = mosquitto()
    ear = server.subscribe("edge/x/level")
    outbox = SlowDisk(tmp_path / "o.sqlite", max_bytes=10_000_000)
    live = 0
    with running(broker_of(server), outbox=outbox) as run:
        wait_until(lambda: run.link.connected, "connected")
        for number in range(600):
            run.publisher.offer(event(number))
        wait_until(lambda: run.publisher.depth, "a backlog")
        while run.publisher.depth:
            run.publisher.offer(Message("edge/x/level", b"live-%d." % live))
            ear.wait_for(f"live-{live}.")
            live += 1
    assert live > 10, "none needs a tenth of the backlog's time"
