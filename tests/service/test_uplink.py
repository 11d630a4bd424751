# SPDX-License-Identifier: MIT
"""The way out as one, at its end."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from edge.config.load import load_settings
from edge.service.supervisor import Supervisor
from edge.service.uplink import Uplink
from edge.types import Message

if TYPE_CHECKING:
    from pathlib import Path

LATE = 50


def test_a_stop_without_any_time_left_still_writes_down_what_was_heard_last(
    tmp_path: Path,
) -> None:
    """Other threads were slow to end: offsets, the last minute and a clip wait in the inbox."""
    settings = load_settings(
        None, (f'state.directory="{tmp_path}"', 'publish.url="mqtt://127.0.0.1:9"')
    )
    uplink = Uplink(settings, lambda *_: None, forgotten=lambda _: None)
    supervisor = Supervisor()
    uplink.start(supervisor)
    for number in range(LATE):
        uplink.send(Message("edge/x/event", b"%d" % number, qos=1, durable=True))
    uplink.stop(supervisor, within_s=-1.0)
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as disk:
        assert disk.execute("SELECT count(*) FROM message").fetchone() == (LATE,)
