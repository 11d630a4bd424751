# SPDX-License-Identifier: MIT
"""What is fed, and what it may do: return, or raise an `EdgeError`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from edge.config.load import load_defaults, load_settings
from edge.model import registry
from edge.model.session import Session
from edge.model.shelf import Shelf
from edge.publish.correct import corrected
from edge.publish.outbox import Outbox
from edge.publish.payloads import Topics
from edge.publish.spool import collect
from edge.record.folder import read_sidecar
from edge.service.calibrated import PATIENCE_S, Calibrated, CalibrationDesk
from edge.service.commands import Orders
from edge.service.pausing import Pausing
from edge.service.sounding import Sounding
from edge.types import Level, Message, Moment, StreamFormat, Utc
from tools.fuzzing.card import OddCard
from tools.fuzzing.mutate import must, odd, odd_bytes, odd_document, odd_text

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping
    from pathlib import Path

NOON: Final = Utc("2026-06-01T12:00:00.000Z", synchronised=True)
SECOND: Final = Level(
    sample_index=0,
    end_index=48000,
    n_samples=48000,
    laeq_dbfs=-41.0,
    lceq_dbfs=-40.5,
    lzeq_dbfs=-40.0,
    lafmax_dbfs=-38.0,
    lafmin_dbfs=-45.0,
    lasmax_dbfs=-40.0,
    lcpeak_dbfs=-20.0,
    laf_dbfs=np.full(100, -41.0, np.float32),
    gap=False,
    clipped_samples=0,
)
RIGHT: Final = Moment(1.8e9, 400.0, "a", synchronised=True)
WRONG: Final = Moment(100.0, 20.0, "a", synchronised=False)
EVENT: Final = {
    "message_id": "x",
    "onset_time": "1970-01-01T00:01:30Z",
    "clock_synchronised": False,
}


class Target(Protocol):
    """Takes one odd input; raises nothing but `EdgeError`, and `LossError` for a loss."""

    def feed(self, rng: random.Random) -> None:
        """Make an odd input and take it."""


class SettingsTarget:
    """Keys of the settings with odd values, and files that are damaged."""

    def __init__(self, place: Path) -> None:
        self._tree = json.loads(json.dumps(asdict(load_defaults())))
        self._file = place / "edge.toml"

    def feed(self, rng: random.Random) -> None:
        """Override a key or two, or read a damaged file."""
        if rng.random() < 0.2:
            text = '[capture]\nrate_hz = 48000\n[[level.alarms]]\nname = "a"\nkind = "level"\n'
            self._file.write_bytes(odd_bytes(rng, text.encode()))
            load_settings(self._file)
            return
        section = rng.choice(list(self._tree))
        key = rng.choice([*self._tree[section], "unknown"])
        value = odd_document(rng, self._tree[section].get(key))
        load_settings(None, [f"{section}.{key}={_toml(value)}"])


def _toml(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case None:
            return ""
        case _:
            return json.dumps(value)


class CommandTarget:
    """Commands from the broker: any topic, any payload; one answer each, and it is JSON."""

    BODIES: Final[Mapping[str, Any]] = {
        "record": {"seconds": 2.0, "request_id": "x"},
        "keep": {"clip": 1, "keep": True},
        "play": {"sound": "alarm", "seconds": 1.0},
        "calibrate": {"level_db": 94},
        "pause": {"seconds": 60},
        "resume": {},
        "nobody": {},
    }

    def __init__(self, place: Path) -> None:
        settings = load_settings(None, [f'state.directory="{place}"'])
        stream = StreamFormat(48000, 1, 1024, "S16_LE")
        self._answers: list[Message] = []
        self._desk = CalibrationDesk(
            Calibrated(settings, "fuzz"), stream, bands=True, now=lambda: NOON, told=lambda _: None
        )
        self._topics = Topics("edge", "fuzz")
        pausing = Pausing(self._topics, self._answers.append)
        more = {
            "play": (Sounding(None, stream.rate_hz).play, "sound"),
            "calibrate": (self._desk.request, "level_db"),
            "pause": (pausing.pause, "seconds"),
            "resume": (pausing.resume, ""),
        }
        self._commands = Orders(None, 60.0, more).commands(self._topics, self._answers.append)

    def feed(self, rng: random.Random) -> None:
        """Send one."""
        name = rng.choice(list(self.BODIES))
        payload = odd_text(rng, self.BODIES[name])
        self._answers.clear()
        self._commands.received(f"{self._topics.command}/{name}", payload)
        for _ in range(PATIENCE_S):  # a calibration is answered once something was heard
            self._desk.hear(SECOND)
        must(len(self._answers) == 1, "it is answered once")
        must(isinstance(json.loads(self._answers[0].payload), dict), "it is a JSON object")


class ModelTarget:
    """What a model file says of itself, and names of models."""

    def __init__(self, place: Path) -> None:
        self._path = registry.shipped_model()
        self._session = Session(self._path)
        self._document = json.loads(self._session.metadata[registry.METADATA_KEY])
        self._shelf = Shelf(place)
        self._place = place

    def feed(self, rng: random.Random) -> None:
        """Read a description, or look for a model."""
        if rng.random() < 0.1:
            name = odd(rng)
            if isinstance(name, str):
                found = self._shelf.find(name)
                must(found.is_relative_to(self._place) or found == self._path, "it is ours")
            return
        text = odd_text(rng, self._document).decode(errors="replace")
        registry._fitting(text, self._session, self._path)  # noqa: SLF001 - without a file for each


class SidecarTarget:
    """Sidecars of clips as they lie on the disk."""

    DOCUMENT: Final = {"clip_id": "a-1", "labels": ["rain"], "start_sample": 0, "events": [{}]}

    def __init__(self, place: Path) -> None:
        self._path = place / "0000001.json"

    def feed(self, rng: random.Random) -> None:
        """Read one."""
        self._path.write_bytes(odd_text(rng, self.DOCUMENT))
        must(isinstance(read_sidecar(self._path), dict), "it is of its type")


class OutboxTarget:
    """Rows that a bad disk has changed, and files in the spool; a sound one beside must come."""

    ROW: Final = ("t", b"{}", 1, 0, 2, 1.0, 2.0, "a")

    def __init__(self, place: Path) -> None:
        self._file = place / "outbox.sqlite"
        self._spool = place / "spool"
        self._spool.mkdir()

    def feed(self, rng: random.Random) -> None:
        """Put an odd row, or an odd file, before a sound message."""
        if rng.random() < 0.3:
            self._spool_file(rng)
            return
        sound = Message("edge/x/event", json.dumps(EVENT).encode(), qos=1, durable=True, worth=2)
        self._file.unlink(missing_ok=True)
        with Outbox(self._file, max_bytes=1_000_000) as outbox:
            outbox.put(sound, WRONG)
        row = [odd(rng) if rng.random() < 0.4 else one for one in self.ROW]
        row = [one if isinstance(one, int | float | str | bytes | None) else "x" for one in row]
        with closing(sqlite3.connect(self._file)) as db:
            try:
                db.execute(
                    "INSERT INTO message"
                    " (topic, payload, qos, retain, worth, put_s, booted_s, boot)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
                db.commit()
            except (sqlite3.Error, OverflowError, UnicodeEncodeError):  # SQLite knows better
                return
        with Outbox(self._file, max_bytes=1_000_000) as outbox:
            rows = outbox.waiting()
            must(sound in [one.message for one in rows], "the sound one is there")
            for one in rows:
                message = corrected(one, RIGHT)
                must(isinstance(message.topic, str), "it is of its type")
                must(isinstance(message.payload, bytes), "it is of its type")
                must(message.qos in {0, 1}, "it is of its type")

    def _spool_file(self, rng: random.Random) -> None:
        document = {"topic": "t", "payload": "e30=", "qos": 1, "retain": False, "durable": True}
        (self._spool / "x.json").write_bytes(odd_text(rng, document))
        got: list[Message] = []
        collect(self._spool, got.append)
        for file in self._spool.iterdir():
            file.unlink()
        for message in got:
            must(isinstance(message.payload, bytes), "it is of its type")


class CardTarget:
    """What alsa-lib may answer: overruns, errors, short reads, clocks that jump."""

    def __init__(self, place: Path) -> None:
        del place

    def feed(self, rng: random.Random) -> None:
        """Read from an odd card for a while: the index must neither jump nor stand still."""
        OddCard(rng).read_all()


TARGETS: Final[Mapping[str, Callable[[Path], Target]]] = {
    "settings": SettingsTarget,
    "commands": CommandTarget,
    "models": ModelTarget,
    "sidecars": SidecarTarget,
    "outbox": OutboxTarget,
    "alsa": CardTarget,
}
