# SPDX-License-Identifier: MIT
"""Minutes become hours and days of the local calendar, across restarts and full disks."""

from __future__ import annotations

import json
import resource
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edge.clock import StreamClock
from edge.config.load import load_settings
from edge.publish.payloads import Topics
from edge.service.calibrated import Calibrated
from edge.service.instrument import Instrument
from edge.types import StreamFormat
from tests.seconds import a_level

if TYPE_CHECKING:
    from pathlib import Path

    from edge.types import Message

RATE_HZ = 8000
STREAM = StreamFormat(RATE_HZ, 1, 1024, "S16_LE")
MIDNIGHT = datetime(2026, 11, 25).astimezone()


class Box:
    """An instrument whose stream began at a local time, and what it has sent."""

    def __init__(
        self, directory: Path, began: datetime, *overrides: str, device: str = "microphone"
    ) -> None:
        settings = load_settings(
            None, [f'state.directory="{directory}"', "level.bands=false", *overrides]
        )
        self._clock = StreamClock(RATE_HZ, wall=began.timestamp, mono=lambda: 0.0)
        self._clock.tie(0, 0.0)
        self.sent: list[Message] = []
        self.instrument = Instrument(
            settings,
            stream=STREAM,
            stream_id=f"s{began:%H%M}",
            labels=(),
            topics=Topics("edge", "hive"),
            clock=self._clock,
            calibrated=Calibrated(settings, device),
            tell=lambda _: None,
            send=self.sent.append,
        )

    def hear(self, minutes: int, laeq_dbfs: float = -50.0) -> None:
        """Hear so many minutes and end."""
        measuring = self.instrument.measuring
        self.instrument.begin()
        for second in range(60 * minutes):
            measuring.level(a_level(second, RATE_HZ, laeq_dbfs=laeq_dbfs))
            measuring.work_off()
        measuring.finish()

    def bodies(self, span: str) -> list[dict[str, Any]]:
        return [json.loads(one.payload) for one in self.sent if one.topic.endswith(f"level/{span}")]


def at(hour: int, minute: int = 0) -> datetime:
    return MIDNIGHT.replace(hour=hour, minute=minute)


def test_an_hour_is_told_when_the_next_one_begins(tmp_path: Path) -> None:
    box = Box(tmp_path, at(10))
    box.hear(61)
    assert len(box.bodies("minute")) == 61
    (hour,) = box.bodies("hour")
    assert (hour["heard_s"], hour["coverage"], hour["laeq_dbfs"]) == (3600.0, 1.0, -50.0)
    assert hour["lae_dbfs"] == pytest.approx(-50.0 + 35.6, abs=0.05)
    start = datetime.fromisoformat(hour["start_time"])
    assert start == at(10)
    assert datetime.fromisoformat(hour["time"]) == at(11)


def test_an_hour_survives_a_restart_and_is_told_once(tmp_path: Path) -> None:
    first = Box(tmp_path, at(10))
    first.hear(20, -40.0)
    second = Box(tmp_path, at(10, 30))
    second.hear(31, -60.0)
    assert first.bodies("hour") == []
    (hour,) = second.bodies("hour")
    assert (hour["heard_s"], hour["coverage"]) == (50 * 60.0, pytest.approx(50 / 60, abs=1e-3))
    assert hour["laeq_dbfs"] == pytest.approx(-43.9, abs=0.1)
    third = Box(tmp_path, at(11, 2))
    third.hear(1)
    assert third.bodies("hour") == []


def test_a_day_has_its_parts_and_lden(tmp_path: Path) -> None:
    """A stretch in each part is enough; how much of it was heard is said."""
    for hour, laeq in ((2, -60.0), (12, -50.0), (20, -55.0)):
        Box(tmp_path, at(hour)).hear(30, laeq)
    box = Box(tmp_path, at(23, 59))
    box.hear(2, -60.0)
    (day,) = box.bodies("day")
    assert (day["laeq_night_dbfs"], day["laeq_day_dbfs"]) == (-60.0, -50.0)
    assert day["laeq_evening_dbfs"] == -55.0
    expected = 12 * 10**-5.0 + 4 * 10**-5.0 + 8 * 10**-5.0
    assert 10 ** (day["lden_dbfs"] / 10) == pytest.approx(expected / 24, rel=0.02)
    assert day["coverage_by_part"]["day"] == pytest.approx(0.5 / 12, abs=1e-3)
    ids = [json.loads(one.payload)["message_id"] for one in box.sent if "level/" in one.topic]
    assert len(ids) == len(set(ids))
    assert all(one.durable for one in box.sent if "level/" in one.topic)


def test_a_disk_that_fails_keeps_nothing_from_being_told_and_is_said(tmp_path: Path) -> None:
    """A file lies where the folder of the day book should be."""
    (tmp_path / "levels").write_text("in the way")
    box = Box(tmp_path, at(10))
    box.hear(2)
    assert len(box.bodies("minute")) == 2
    assert box.instrument.figures()["levels_kept"] not in ("ok", "off")
    (tmp_path / "levels").unlink()
    box.hear(1)
    assert box.instrument.figures()["levels_kept"] == "ok"


def test_what_the_day_book_has_lost_makes_no_id_come_twice(tmp_path: Path) -> None:
    """A full disk, or a power cut: the hour was told, and the next run does not know it."""
    first = Box(tmp_path, at(10))
    first.hear(65)
    (file,) = (tmp_path / "levels").iterdir()
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:40]))
    second = Box(tmp_path, at(11, 10))
    second.hear(5)
    ids = [
        json.loads(one.payload)["message_id"]
        for one in [*first.sent, *second.sent]
        if "level/" in one.topic
    ]
    assert len(first.bodies("hour")) == len(second.bodies("hour")) == 1
    assert len(ids) == len(set(ids))


def test_a_full_disk_under_the_day_book_costs_those_minutes_and_no_more(
    tmp_path: Path,
) -> None:
    """The kernel's own limit on a file's size stands for the disk: half a line is written."""
    Box(tmp_path, at(10)).hear(2)
    (file,) = (tmp_path / "levels").iterdir()
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 50, resource.RLIM_INFINITY))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        full = Box(tmp_path, at(10, 2))
        full.hear(3)
        assert full.instrument.figures()["levels_kept"] not in ("ok", "off")
        assert len(full.bodies("minute")) == 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, before)
    after = Box(tmp_path, at(10, 5))
    after.hear(56)
    (hour,) = after.bodies("hour")
    assert hour["heard_s"] == (2 + 55) * 60.0


@pytest.mark.parametrize("began_uncalibrated", [True, False])
def test_an_hour_of_which_a_minute_was_not_calibrated_is_no_sound_pressure_level(
    tmp_path: Path, *, began_uncalibrated: bool
) -> None:
    """It may have been another microphone, or another channel of it."""
    settings = load_settings(None, [f'state.directory="{tmp_path / "state"}"'])
    runs = [
        (at(10), 5, -50.0, not began_uncalibrated),
        (at(10, 10), 5, -50.0, began_uncalibrated),
        (at(10, 20), 42, -50.0, not began_uncalibrated),
    ]
    for began, minutes, laeq, is_calibrated in runs:
        device = "microphone" if is_calibrated else "another"
        if is_calibrated:
            Calibrated(settings, device).adopt(-26.0, "sensitivity", 94.0)
        box = Box(tmp_path / "state", began, device=device)
        box.hear(minutes, laeq)
    (hour,) = box.bodies("hour")
    assert hour["calibrated"] is False
    assert hour["laeq_dbfs"] == pytest.approx(-50.0)
    assert not [key for key in hour if key.endswith("_db")]


def test_without_days_no_minute_is_written(tmp_path: Path) -> None:
    box = Box(tmp_path, at(10), "level.days=0")
    box.hear(61)
    assert len(box.bodies("hour")) == 1
    assert list(tmp_path.iterdir()) == []
    assert box.instrument.figures()["levels_kept"] == "off"


def test_what_is_kept_is_utc_and_in_dbfs(tmp_path: Path) -> None:
    Box(tmp_path, at(12)).hear(3)
    (file,) = (tmp_path / "levels").iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 3
    assert datetime.fromisoformat(lines[0]["start"]) == at(12).astimezone(UTC)
