# SPDX-License-Identifier: MIT
import os
import resource
import socket
import sys
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from edge.dsp.spec import CoreDesign, CoreSpec
from edge.errors import ConfigError, EdgeError
from edge.service.designs import core_design, design
from edge.types import FilterSpec

SPEC = CoreSpec(48000, 16000, (FilterSpec("highpass", 10.0), FilterSpec("notch", 50.0, q=30.0)))


def same(one: CoreDesign, other: CoreDesign) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(astuple(one), astuple(other), strict=True))


def kept_in(directory: Path) -> list[Path]:
    return sorted((directory / "designs").iterdir())


def test_the_child_designs_what_scipy_designs_here(tmp_path: Path) -> None:
    assert same(core_design(SPEC, tmp_path), design(SPEC))


def test_a_design_is_kept_under_its_settings_and_read_at_the_next_start(tmp_path: Path) -> None:
    first = core_design(SPEC, tmp_path)
    (file,) = kept_in(tmp_path)
    made_ns = file.stat().st_mtime_ns
    assert same(core_design(SPEC, tmp_path), first)
    assert file.stat().st_mtime_ns == made_ns
    core_design(CoreSpec(48000, 16000, ()), tmp_path)
    assert len(kept_in(tmp_path)) == 2


@pytest.mark.parametrize("damage", [b"", b"rubbish", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_made_anew(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    first = core_design(SPEC, tmp_path)
    (file,) = kept_in(tmp_path)
    file.write_bytes(damage)
    assert same(core_design(SPEC, tmp_path), first)
    assert "damaged" in caplog.text
    assert same(core_design(SPEC, tmp_path), first)
    assert caplog.text.count("is damaged") == 1, "mended by the first"


def test_a_place_that_can_not_be_written_costs_time_only(caplog: pytest.LogCaptureFixture) -> None:
    assert same(core_design(SPEC, Path("/proc/edge")), design(SPEC))
    assert "can't be kept" in caplog.text


def test_a_full_disk_is_left_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Else each start would leave a part of a file behind."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        core_design(SPEC, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "can't be kept" in caplog.text
    assert kept_in(tmp_path) == []


def test_a_reader_never_meets_a_half_written_file(tmp_path: Path) -> None:
    """A new file takes the name; what had it before is not written into."""
    core_design(SPEC, tmp_path)
    (file,) = kept_in(tmp_path)
    file.write_bytes(b"damaged")
    (tmp_path / "reader").hardlink_to(file)
    core_design(SPEC, tmp_path)
    assert (tmp_path / "reader").read_bytes() == b"damaged"
    assert not [name for name in os.listdir(tmp_path / "designs") if name.endswith(".tmp")]  # noqa: PTH208


def test_a_filter_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    impossible = CoreSpec(16000, 16000, (FilterSpec("lowpass", 9000.0),))
    with pytest.raises(ConfigError, match="9000"):
        core_design(impossible, tmp_path)


def test_equal_and_odd_rates_need_no_taps() -> None:
    assert design(CoreSpec(16000, 16000, ())).decimation_taps.size == 0
    assert design(CoreSpec(44100, 16000, ())).decimation_taps.size == 0
    assert design(CoreSpec(48000, 16000, ())).decimation_taps.size > 0


@pytest.mark.parametrize("program", ["sleep 5", None])
def test_a_designer_that_hangs_or_can_not_run_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    fake = tmp_path / "python"
    if program:
        fake.write_text(f"#!/bin/sh\nexec {program}\n")
        fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(EdgeError, match="the filter designer failed"):
        core_design(SPEC, None, limit_s=0.2)


def test_the_watchdog_is_fed_while_the_child_designs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A microphone that comes late finds a unit that is watched already; a slow box takes 20 s."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        core_design(SPEC, None)
        assert manager.recv(100) == b"WATCHDOG=1"
