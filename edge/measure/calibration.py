# SPDX-License-Identifier: MIT
"""What makes dBFS a sound pressure level: found once, kept for years, compared with the last.

A calibration belongs to a microphone and a channel of it; another one is not calibrated by
it. It survives a change of `core.gain_db`, which only moves it.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

from edge.durable import replace_file
from edge.errors import StorageError
from edge.measure.correction import Correction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

Method = Literal["calibrator", "level", "sensitivity"]

FILE: Final = "calibration.json"
"""Its name in the state directory."""

REFERENCE_DB: Final = 94.0
"""1 Pa, to which a sensitivity belongs."""

SENSITIVITY_DBFS: Final = (-120.0, 40.0)
LEVEL_DB: Final = (20.0, 160.0)
KEPT: Final = 50


@dataclass(frozen=True, slots=True)
class Calibration:
    """One calibration.

    sensitivity_dbfs : what 94 dB SPL at 1 kHz gives, -120..40.
    method : by a calibrator, by a known level, or the sensitivity was told.
    device, channel : what was calibrated: the source's name, and the number of the channel
        or "mean".
    gain_db : `core.gain_db` at that time.
    reference_db : the level that was there, 20..160 dB; 94 for a sensitivity that was told.
    time : ISO 8601 UTC; the clock may not have been right.
    correction : of the microphone's frequency response.

    Raises `ValueError` for another method or a figure out of range.
    """

    sensitivity_dbfs: float
    method: Method
    device: str
    channel: str
    gain_db: float
    reference_db: float
    time: str
    clock_synchronised: bool
    correction: Correction | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.method not in get_args(Method):
            raise ValueError(f"method must be one of {get_args(Method)}, not {self.method!r}")
        _check("sensitivity_dbfs", self.sensitivity_dbfs, SENSITIVITY_DBFS)
        _check("reference_db", self.reference_db, LEVEL_DB)
        if not math.isfinite(self.gain_db):
            raise ValueError(f"gain_db must be finite, not {self.gain_db}")

    def offset_db(self, gain_db: float) -> float:
        """Return what makes dBFS dB SPL while `core.gain_db` is `gain_db`."""
        return REFERENCE_DB - self.sensitivity_dbfs + self.gain_db - gain_db

    def drift_db(self, before: Calibration) -> float:
        """Return by how much the microphone became more sensitive, whatever the gains were."""
        return before.offset_db(self.gain_db) - self.offset_db(self.gain_db)

    def to_json(self) -> dict[str, Any]:
        """Return it for the file."""
        return asdict(self)

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Calibration:
        """Return what `to_json` wrote; raises ValueError, KeyError or TypeError for another."""
        correction = line["correction"]
        return cls(
            sensitivity_dbfs=float(line["sensitivity_dbfs"]),
            method=cast("Method", line["method"]),
            device=str(line["device"]),
            channel=str(line["channel"]),
            gain_db=float(line["gain_db"]),
            reference_db=float(line["reference_db"]),
            time=str(line["time"]),
            clock_synchronised=bool(line["clock_synchronised"]),
            correction=Correction.from_json(correction) if correction else None,
        )


class CalibrationStore:
    """The calibrations of a box in one file, the newest last, `KEPT` of them at most.

    The newest of each device and channel outlives newer ones of others. Nothing is read or
    kept in memory between calls: what another process added is seen.

    Parameters
    ----------
    path : of the file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[Calibration]:
        """Return all, oldest first.

        A damaged file is set aside beside itself, said in the log, and no calibration is left.
        Raises `StorageError` where it is there and can't be read.
        """
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(
                f"{self._path} can't be read: {error.strerror}", "make it readable for this user"
            ) from error
        try:
            return [Calibration.from_json(one) for one in json.loads(text)["calibrations"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._set_aside(error)
            return []

    def current(self, device: str, channel: str) -> Calibration | None:
        """Return the newest of a device's channel; None: it is not calibrated."""
        return next((one for one in reversed(self.of(device, channel))), None)

    def of(self, device: str, channel: str) -> list[Calibration]:
        """Return those of a device's channel, oldest first."""
        return [one for one in self.all() if (one.device, one.channel) == (device, channel)]

    def add(self, calibration: Calibration) -> float | None:
        """Keep one; return its drift in dB against the one before, None if there is none.

        After a power cut the file is the old one or the new one, whole. Raises `StorageError`.
        """
        known = self.all()
        same = [one for one in known if _whose(one) == _whose(calibration)]
        drift_db = calibration.drift_db(same[-1]) if same else None
        try:
            self._write(_bounded([*known, calibration]))
        except OSError as error:
            raise StorageError(
                f"{self._path} can't be written: {error.strerror}",
                "the calibration is not kept; make room, or make the folder writable",
            ) from error
        return drift_db

    def _write(self, calibrations: Sequence[Calibration]) -> None:
        body = {"calibrations": [one.to_json() for one in calibrations]}
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, indent=1)
        replace_file(self._path, text.encode())

    def _set_aside(self, error: Exception) -> None:
        aside = self._path.with_name(f"{self._path.name}.damaged")
        try:
            self._path.replace(aside)
        except OSError as stuck:
            log.warning("%s is damaged and can't be moved: %s", self._path, stuck)
            return
        log.warning(
            "%s is damaged (%s) and is now %s: the box is not calibrated; calibrate it again",
            self._path,
            error,
            aside.name,
        )


def _bounded(calibrations: list[Calibration]) -> list[Calibration]:
    """Return the newest `KEPT`; the newest of a device's channel goes last."""
    newest = {_whose(one): place for place, one in enumerate(calibrations)}
    places = sorted(
        range(len(calibrations)), key=lambda n: (newest[_whose(calibrations[n])] == n, n)
    )
    return [calibrations[place] for place in sorted(places[-KEPT:])]


def _whose(calibration: Calibration) -> tuple[str, str]:
    return calibration.device, calibration.channel


def _check(name: str, value: float, limits: tuple[float, float]) -> None:
    if not limits[0] <= value <= limits[1]:
        raise ValueError(f"{name} must be {limits[0]:g} to {limits[1]:g}, not {value:g}")
