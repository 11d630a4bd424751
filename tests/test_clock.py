# SPDX-License-Identifier: MIT
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.clock import RIGHT_FOR_S, StreamClock, format_utc
from tests.conftest import REPOSITORY
from tools.lab.clock import FaultClock


class Clocks:
    """Wall and monotonic time that a test sets."""

    def __init__(self) -> None:
        self.mono_s = 1000.0
        self.wall_s = 1_800_000_000.0

    def clock(self, rate_hz: int = 48000) -> StreamClock:
        return StreamClock(rate_hz, wall=lambda: self.wall_s, mono=lambda: self.mono_s)


def test_late_reads_do_not_move_the_stream_in_time() -> None:
    """The lowest of the last offsets is the true one; a late wake-up is not."""
    clocks, delays = Clocks(), random.Random(1)  # noqa: S311 - jitter, no secret
    clock = clocks.clock()
    for k in range(1, 400):
        delay_s = 0.0 if k % 7 == 0 else delays.random() * 0.05
        clock.tie(k * 480, 1000.0 + k * 0.01 + delay_s)
    assert clock.mono_s(0) == pytest.approx(1000.0, abs=1e-9)


def test_a_card_200_ppm_off_stays_within_3_ms_after_a_day() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    true_rate = 48000 * (1 + 200e-6)
    for second in range(0, 86400, 60):
        for k in range(12):  # the last seconds before each look
            index = round((second + k) * true_rate)
            clock.tie(index, 1000.0 + second + k)
    last_s = 86400 - 60 + 11
    assert clock.mono_s(round(last_s * true_rate)) == pytest.approx(1000.0 + last_s, abs=3e-3)


def test_a_step_of_the_wall_clock_changes_no_length() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    clock.tie(48000, 1000.0)
    before = clock.mono_s(96000) - clock.mono_s(0)
    clocks.wall_s += 7200
    assert clock.mono_s(96000) - clock.mono_s(0) == before
    assert clock.utc(48000).text == format_utc(1_800_000_000.0 + 7200)


def test_utc_is_iso_8601_with_milliseconds() -> None:
    assert format_utc(0.0) == "1970-01-01T00:00:00.000Z"
    assert format_utc(1_800_000_000.25) == "2027-01-15T08:00:00.250Z"


NAMED = """
import sys
from pathlib import Path
from edge.clock import wall_clock_synchronised
print(wall_clock_synchronised(Path(sys.argv[1])))
"""


class TestSynchronised:
    @pytest.fixture
    def clock(self, tmp_path: Path) -> FaultClock:
        return FaultClock(tmp_path / "clock")

    @pytest.fixture
    def said(self, tmp_path: Path) -> Path:
        """Return the file by which a time service says when it has set the clock right."""
        return tmp_path / "synchronized"

    def asked(self, clock: FaultClock, said: Path) -> bool:
        command = [*clock.wrap(), sys.executable, "-c", NAMED, said]
        return subprocess.check_output(command, cwd=REPOSITORY, text=True).strip() == "True"

    def test_the_kernel_is_asked_first(self, clock: FaultClock, said: Path) -> None:
        said.touch()
        assert not self.asked(clock, said)
        said.unlink()
        clock.correct()
        assert self.asked(clock, said)

    def test_where_a_sandbox_forbids_that_the_time_service_is_believed(
        self, clock: FaultClock, said: Path
    ) -> None:
        clock.hide()
        assert not self.asked(clock, said)
        said.touch()
        assert self.asked(clock, said)

    def test_it_is_believed_as_long_as_the_kernel_would(
        self, clock: FaultClock, said: Path
    ) -> None:
        clock.hide()
        said.touch()
        os.utime(said, (0.0, time.time() - RIGHT_FOR_S + 60.0))
        assert self.asked(clock, said)
        os.utime(said, (0.0, time.time() - RIGHT_FOR_S - 60.0))
        assert not self.asked(clock, said)
