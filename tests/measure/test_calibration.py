# SPDX-License-Identifier: MIT
"""A calibration belongs to a microphone, outlives power cuts, and knows how far it drifted."""

from __future__ import annotations

import json
import logging
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.errors import StorageError
from edge.measure.calibration import KEPT, Calibration, CalibrationStore
from edge.measure.correction import Correction

if TYPE_CHECKING:
    from pathlib import Path

ONE = Calibration(
    sensitivity_dbfs=-41.1,
    method="calibrator",
    device="USB mic",
    channel="mean",
    gain_db=0.0,
    reference_db=94.0,
    time="2026-11-25T10:00:00.000Z",
    clock_synchronised=True,
)


@pytest.fixture
def store(tmp_path: Path) -> CalibrationStore:
    return CalibrationStore(tmp_path / "state" / "calibration.json")


def test_the_offset_makes_dbfs_of_94_db_read_94() -> None:
    assert ONE.sensitivity_dbfs + ONE.offset_db(0.0) == pytest.approx(94.0)


def test_a_later_gain_moves_the_offset_and_is_no_drift() -> None:
    """12 dB more in the core make the same sound read 12 dBFS more."""
    assert ONE.offset_db(12.0) == pytest.approx(ONE.offset_db(0.0) - 12.0)
    again = replace(ONE, gain_db=12.0, sensitivity_dbfs=-29.1)
    assert again.drift_db(ONE) == pytest.approx(0.0)


def test_nothing_is_calibrated_at_first(store: CalibrationStore) -> None:
    assert store.current("USB mic", "mean") is None


def test_what_was_added_is_read_back_with_its_correction(store: CalibrationStore) -> None:
    one = replace(ONE, correction=Correction(((20.0, -1.5), (20000.0, 2.0)), "mic.txt", "00"))
    assert store.add(one) is None
    assert store.current("USB mic", "mean") == one


def test_the_newest_counts_and_its_drift_is_told(store: CalibrationStore) -> None:
    """A microphone that became 0.4 dB more sensitive drifted by +0.4."""
    store.add(ONE)
    assert store.add(replace(ONE, sensitivity_dbfs=-40.7)) == pytest.approx(0.4)
    current = store.current("USB mic", "mean")
    assert current is not None
    assert current.sensitivity_dbfs == -40.7


def test_another_microphone_or_channel_is_not_calibrated_by_it(store: CalibrationStore) -> None:
    store.add(ONE)
    assert store.current("another", "mean") is None
    assert store.current("USB mic", "0") is None
    assert store.add(replace(ONE, device="another")) is None


def test_the_history_is_bounded_and_keeps_the_newest_of_each(store: CalibrationStore) -> None:
    other = replace(ONE, device="another")
    store.add(other)
    for n in range(KEPT + 5):
        store.add(replace(ONE, sensitivity_dbfs=-41.0 - n / 10))
    kept = store.all()
    assert len(kept) == KEPT
    assert kept[0] == other
    assert kept[-1].sensitivity_dbfs == pytest.approx(-41.0 - (KEPT + 4) / 10)


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"\x00" * 300, b"[]", b'{"calibrations": [{}]}', b'{"calibrations": 3}', b"\xff"],
)
def test_a_damaged_file_is_set_aside_and_said(
    store: CalibrationStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    path = tmp_path / "state" / "calibration.json"
    path.parent.mkdir()
    path.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert store.current("USB mic", "mean") is None
    assert "not calibrated" in caplog.text
    assert path.with_name("calibration.json.damaged").read_bytes() == damage
    store.add(ONE)
    assert store.current("USB mic", "mean") == ONE


@pytest.mark.parametrize(
    ("figure", "value"),
    [("sensitivity_dbfs", float("nan")), ("sensitivity_dbfs", 1e9), ("reference_db", 0.0)],
)
def test_a_figure_out_of_range_is_refused(figure: str, value: float) -> None:
    with pytest.raises(ValueError, match=figure):
        Calibration.from_json(ONE.to_json() | {figure: value})


def test_no_file_is_left_over_and_what_is_there_is_whole(
    store: CalibrationStore, tmp_path: Path
) -> None:
    store.add(ONE)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["calibration.json"]
    assert len(json.loads((tmp_path / "state" / "calibration.json").read_text())) == 1


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StorageError, match=r"can't be (read|written)"):
        CalibrationStore(tmp_path / "state" / "calibration.json").add(ONE)


def test_everybody_who_may_enter_the_folder_can_read_it(
    store: CalibrationStore, tmp_path: Path
) -> None:
    """`edge calibrate` run by root must not hide it from the unit."""
    store.add(ONE)
    mode = (tmp_path / "state" / "calibration.json").stat().st_mode
    assert stat.S_IMODE(mode) & 0o444 == 0o444
