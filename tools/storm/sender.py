# SPDX-License-Identifier: MIT
"""A publisher that sends numbered messages until it is killed: `python -m tools.storm.sender`.

It prints the `message_id` of each once it is written down.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

from edge.publish.broker import Broker
from edge.publish.mqtt import Handlers, Link
from edge.publish.outbox import Outbox
from edge.publish.publisher import Publisher
from edge.types import Message, Moment

PLENTY: Final = 10_000_000
EVERY_S: Final = 0.002


def body(run: int, number: int) -> bytes:
    """Return a message that shows when it was altered."""
    digest = hashlib.sha256(f"{run} {number}".encode()).hexdigest()
    return json.dumps({"message_id": f"{run}-{number}", "digest": digest}).encode()


class TellingOutbox(Outbox):
    """Prints what is written down, before anybody else can know."""

    def put(self, message: Message, now: Moment | None = None) -> int:
        """Write it down, and say so."""
        number = super().put(message, now)
        text = json.loads(message.payload)["message_id"] + "\n"
        os.write(sys.stdout.fileno(), text.encode())  # at once and whole
        return number


def main(outbox: Path, port: int, run: int) -> None:
    """Send what waits, then numbered messages of this run, for ever."""
    link = Link(
        Broker(url=f"mqtt://127.0.0.1:{port}", client_id="sender"),
        handlers=Handlers(
            acknowledged=lambda mid, refused: publisher.acknowledged(mid, refused)  # noqa: PLW0108 - it is made below
        ),
    )
    spare = Outbox(None, max_bytes=PLENTY)
    publisher = Publisher(link, TellingOutbox(outbox, max_bytes=PLENTY), spare)
    threading.Thread(target=link.run, daemon=True).start()
    threading.Thread(target=publisher.run, daemon=True).start()
    number = 0
    while run >= 0:  # a negative run only sends what waits
        publisher.offer(Message("edge/storm/event", body(run, number), qos=1, durable=True))
        number += 1
        time.sleep(EVERY_S)
    while publisher.depth:
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
