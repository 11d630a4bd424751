# SPDX-License-Identifier: MIT
import os
import socket
from pathlib import Path

import pytest

from edge.service.notify import (
    INFERENCE_STALL_S,
    SAMPLES_STALL_S,
    Progress,
    tell,
    watchdog_interval_s,
)


def test_the_watchdog_is_fed_at_half_its_time_and_only_by_whom_it_means() -> None:
    assert watchdog_interval_s({"WATCHDOG_USEC": "20000000"}) == 10.0
    mine = {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}
    assert watchdog_interval_s(mine) == 10.0
    assert watchdog_interval_s({**mine, "WATCHDOG_PID": "1"}) is None
    for nothing in ("", "0", "soon"):
        assert watchdog_interval_s({"WATCHDOG_USEC": nothing}) is None


def test_samples_that_stand_still_starve_the_watchdog_though_inference_goes_on() -> None:
    progress = Progress(0.0)
    assert progress.advancing(1, 1, 1.0)
    assert progress.advancing(1, 2, 1.0 + SAMPLES_STALL_S - 0.1)
    assert not progress.advancing(1, 3, 1.0 + SAMPLES_STALL_S)
    assert progress.advancing(2, 4, 4.0), "it heals"


def test_inference_that_stands_still_starves_the_watchdog_though_samples_flow() -> None:
    progress = Progress(0.0)
    results = [progress.advancing(second, 0, float(second)) for second in range(1, 15)]
    assert results == [second < INFERENCE_STALL_S for second in range(1, 15)]


def test_a_model_with_long_patches_is_given_the_time_that_they_take() -> None:
    progress = Progress(0.0, inference_stall_s=40.0)
    results = [progress.advancing(second, 0, float(second)) for second in range(1, 45)]
    assert results == [second < 40 for second in range(1, 45)]


def test_the_manager_hears_plain_assignments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        tell(READY=1, STATUS="all well")
        assert manager.recv(4096) == b"READY=1\nSTATUS=all well"
