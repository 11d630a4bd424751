# SPDX-License-Identifier: MIT
"""Whether the box is calibrated now, and a calibration while it listens."""

from __future__ import annotations

import logging
import queue
from typing import TYPE_CHECKING, Any, Final

from edge.clock import utc_now
from edge.dsp.bands import bands_of
from edge.errors import EdgeError
from edge.measure.calibration import FILE, LEVEL_DB, Calibration, CalibrationStore
from edge.measure.calibrator import CalibratorFinder, KnownLevel
from edge.service.commands import CommandError, only
from edge.types import Bands, Level

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config.schema import Settings
    from edge.measure.calibration import Method
    from edge.measure.calibrator import Heard
    from edge.service.commands import Body, Reply
    from edge.types import StreamFormat, Utc

log = logging.getLogger(__name__)

PATIENCE_S: Final = 60
"""So many seconds a calibrator may take to be put on and to stand still."""

CALIBRATOR_DB: Final = 94.0


def calibration_store(settings: Settings) -> CalibrationStore:
    """Return the calibrations of the box."""
    return CalibrationStore(settings.state.path / FILE)


class Calibrated:
    """The calibration in force for what a box listens to; none, if there is none.

    Parameters
    ----------
    device : the source's name.

    Raises `StorageError` where there are calibrations that can't be read.
    """

    def __init__(self, settings: Settings, device: str) -> None:
        self._store = calibration_store(settings)
        self._device = device
        self._channel = str(settings.capture.channel)
        self._gain_db = settings.core.gain_db
        self.current = self._store.current(device, self._channel)
        self.correction = self.current.correction if self.current else None
        """Of the microphone; what is adopted has it."""

    def offset_db(self) -> float | None:
        """Return what makes dB SPL of dBFS; None: not calibrated."""
        return self.current.offset_db(self._gain_db) if self.current else None

    @property
    def response(self) -> tuple[tuple[float, float], ...]:
        """That of the microphone, (Hz, dB); empty: it is taken to be flat."""
        return self.correction.points if self.correction else ()

    def adopt(
        self,
        sensitivity_dbfs: float,
        method: Method,
        reference_db: float,
        at: Utc | None = None,
    ) -> float | None:
        """Keep a new sensitivity and put it in force; return its drift, None for the first.

        `at` is its date; None: now.

        Raises `StorageError`, and `EdgeError` for a sensitivity that no microphone has.
        """
        at = at or utc_now()
        try:
            made = Calibration(
                sensitivity_dbfs=round(sensitivity_dbfs, 3),
                method=method,
                device=self._device,
                channel=self._channel,
                gain_db=self._gain_db,
                reference_db=reference_db,
                time=at.text,
                clock_synchronised=at.synchronised,
                correction=self.correction,
            )
        except ValueError as error:
            raise EdgeError(
                f"{reference_db:g} dB can't be what is heard: {error}",
                "name the level that is there",
            ) from error
        drift_db = self._store.add(made)
        self.current = made
        return drift_db

    def facts(self) -> dict[str, Any]:
        """Return what the box says of its calibration."""
        made = self.current
        if made is None:
            return {"calibrated": False}
        return {
            "calibrated": True,
            "sensitivity_dbfs": round(made.sensitivity_dbfs, 2),
            "method": made.method,
            "reference_db": made.reference_db,
            "calibration_time": made.time,
            "clock_synchronised": made.clock_synchronised,
            "correction": made.correction.file if made.correction else None,
        }


class CalibrationDesk:
    """Obeys the command `calibrate`: listens until it has found what it looks for, and answers.

    `request` is called by the mqtt thread, `hear` by the measure thread.

    Parameters
    ----------
    told : takes what the box says of its calibration once it has changed.
    now : the time.
    """

    def __init__(
        self,
        calibrated: Calibrated,
        stream: StreamFormat,
        *,
        bands: bool,
        now: Callable[[], Utc],
        told: Callable[[Body], None],
    ) -> None:
        self._calibrated = calibrated
        self._grid = bands_of(stream.rate_hz) if bands else ()
        self._now = now
        self._told = told
        self._requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._at_hand: _Request | None = None

    def request(self, body: Body, reply: Reply) -> None:
        """Take a command: {"level_db": 94} for a calibrator, {"known_level_db": 67.3} else."""
        only(body, "level_db", "known_level_db")
        if len(body) > 1:
            raise CommandError("two levels are named", 'send one: {"level_db": 94}')
        if self._at_hand or not self._requests.empty():
            raise CommandError("a calibration is going on", f"wait {PATIENCE_S} s at most")
        if "known_level_db" in body:
            level_db = _decibels(body, "known_level_db")
            finder: CalibratorFinder | KnownLevel = KnownLevel(level_db)
            self._requests.put(_Request(finder, "level", level_db, reply))
            return
        if not self._grid:
            raise CommandError("a calibrator is found in the bands", "set level.bands = true")
        level_db = _decibels(body, "level_db") if body else CALIBRATOR_DB
        finder = CalibratorFinder(self._grid, level_db)
        self._requests.put(_Request(finder, "calibrator", level_db, reply))

    def hear(self, item: Level | Bands) -> None:
        """Take one second of levels or bands."""
        if self._at_hand is None:
            if self._requests.empty():
                return
            self._at_hand = self._requests.get()
        request = self._at_hand
        heard = request.take(item)
        if heard is not None and heard.sensitivity_dbfs is not None:
            self._at_hand = None
            self._adopt(request, heard.sensitivity_dbfs)
        elif request.seconds >= PATIENCE_S:
            self._at_hand = None
            request.reply(
                {"ok": False, "error": f"not found within {PATIENCE_S} s: {request.last}"}
            )

    def _adopt(self, request: _Request, sensitivity_dbfs: float) -> None:
        try:
            drift_db = self._calibrated.adopt(
                sensitivity_dbfs, request.method, request.level_db, self._now()
            )
        except EdgeError as error:
            request.reply({"ok": False, "error": str(error)})
            return
        facts = self._calibrated.facts()
        facts["drift_db"] = None if drift_db is None else round(drift_db, 2)
        log.info("calibrated: 94 dB are %.2f dBFS", sensitivity_dbfs)
        request.reply({"ok": True, **facts})
        self._told(facts)


class _Request:
    """One command that is being obeyed."""

    def __init__(
        self, finder: CalibratorFinder | KnownLevel, method: Method, level_db: float, reply: Reply
    ) -> None:
        self._finder = finder
        self.method = method
        self.level_db = level_db
        self.reply = reply
        self.seconds = 0
        self.last = "nothing was heard"

    def take(self, item: Level | Bands) -> Heard | None:
        if isinstance(item, Level):
            self.seconds += 1
            heard = self._finder.level(item)
        else:
            heard = self._finder.bands(item)
        if heard:
            self.last = heard.text
        return heard


def _decibels(body: Body, key: str) -> float:
    value = body[key]
    lowest, highest = LEVEL_DB
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CommandError(f"{key} = {value!r:.40} is no number", f'send {{"{key}": 94}}')
    if not lowest <= value <= highest:
        raise CommandError(f"{key} = {value!r:.20}", f"send {lowest:g} to {highest:g}")
    return float(value)
