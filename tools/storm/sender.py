# SPDX-License-Identifier: MIT
"""A publisher that sends numbered messages until it is killed: `python -m tools.storm.sender`."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import Final

from edge.publish.broker import Broker
from edge.publish.mqtt import Handlers, Link
from edge.publish.outbox import Outbox, open_outbox
from edge.publish.publisher import Publisher
from edge.types import Message

PLENTY: Final = 10_000_000
EVERY_S: Final = 0.002


def body(run: int, number: int) -> bytes:
    """Return a message that shows when it was altered."""
    digest = hashlib.sha256(f"{run} {number}".encode()).hexdigest()
    return json.dumps({"message_id": f"{run}-{number}", "digest": digest}).encode()


def main(outbox: Path, port: int, run: int) -> None:
    """Send what waits, then numbered messages of this run, for ever."""
    link = Link(
        Broker(url=f"mqtt://127.0.0.1:{port}", client_id="sender"),
        handlers=Handlers(
            acknowledged=lambda mid, refused: publisher.acknowledged(mid, refused)  # noqa: PLW0108 - it is made below
        ),
    )
    spare = Outbox(None, max_bytes=PLENTY)
    publisher = Publisher(link, open_outbox(outbox, max_bytes=PLENTY), spare)
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
