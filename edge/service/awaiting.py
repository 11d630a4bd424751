# SPDX-License-Identifier: MIT
"""Until the microphone is there for the first time: says so, and tries again."""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from edge.capture.reopening import FIRST_RETRY_S, LONGEST_RETRY_S, ReopeningSource
from edge.clock import utc_now
from edge.errors import DeviceAwayError, EdgeError
from edge.health import BoxHealth
from edge.publish import payloads
from edge.service import build
from edge.service.commands import CommandError, Commands
from edge.service.homeassistant import HomeAssistant, shown
from edge.service.notify import Every, tell, watchdog_interval_s
from edge.service.rules import build_rules, state_labels
from edge.service.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.capture.source import Source
    from edge.config.schema import Settings
    from edge.service.commands import Body, Reply
    from edge.service.figures import FiguresFile
    from edge.service.lastwords import LastWords
    from edge.service.supervisor import Supervisor
    from edge.types import Message

log = logging.getLogger(__name__)

STOP_WITHIN_S: Final = 1.0
COMMANDS: Final = (
    *("record", "keep", "calibrate", "play", "model"),
    *("pause", "resume", "threshold"),
)


def awaited_source(
    settings: Settings, supervisor: Supervisor, file: FiguresFile, words: LastWords
) -> Source | None:
    """Return the source, open; None: the supervisor ended before its device came.

    A device that isn't there, or that another program holds, may come: it is tried again, with
    pauses that grow, while broker and service manager are told. Any other trouble with it is
    raised as `DeviceError`, since waiting mends nothing.
    """
    open_source = partial(ReopeningSource, partial(build.build_source, settings.capture))
    try:
        return open_source()
    except DeviceAwayError as error:
        return _Awaiting(settings, open_source, error, supervisor, file=file, words=words).run()


class _Awaiting:
    def __init__(
        self,
        settings: Settings,
        open_source: Callable[[], Source],
        error: DeviceAwayError,
        supervisor: Supervisor,
        *,
        file: FiguresFile,
        words: LastWords,
    ) -> None:
        self._words = words
        self._open = open_source
        self._trouble = error
        self._supervisor = supervisor
        self._file = file
        self._topics = build.build_topics(settings)
        self._box = BoxHealth(settings.state.path)
        commands = Commands(
            topics=self._topics,
            handlers=dict.fromkeys(COMMANDS, self._refuse),
            shorthand=dict.fromkeys(COMMANDS, "value"),
            send=self._send,
        )
        self._settings = settings
        self._shower = HomeAssistant(settings, self._topics, self._send, self._tell_again)
        forgotten = self._shower.forgotten
        self._uplink = (
            Uplink(settings, commands.received, forgotten=forgotten)
            if settings.publish.url
            else None
        )
        self._health = Every(settings.health.interval_s, 0.0)

    def run(self) -> Source | None:
        if self._uplink:
            self._uplink.start(self._supervisor)
            # A card that goes may be what ended the last run, and it may never come back.
            self._words.tell(self._topics, self._settings.spool, self._send)
            self._introduce()
        log.error("%s; waiting for it", self._trouble)
        tell(READY=1)
        began_s = time.monotonic()
        source = self._wait()
        if source:
            log.info("%s is there after %.0f s", source.name, time.monotonic() - began_s)
        if self._uplink:
            self._uplink.stop(self._supervisor, within_s=STOP_WITHIN_S)
        return source

    def _wait(self) -> Source | None:
        interval_s = watchdog_interval_s(os.environ) or LONGEST_RETRY_S
        retry_s = FIRST_RETRY_S
        while not self._supervisor.ended.wait(min(retry_s, interval_s)):
            tell(WATCHDOG=1, STATUS=f"no microphone: {self._trouble.message}")
            self._report_health()
            try:
                return self._open()
            except DeviceAwayError as error:
                if error.message != self._trouble.message:
                    log.warning("%s; waiting for it", error)
                self._trouble = error
            retry_s = min(2.0 * retry_s, LONGEST_RETRY_S)
        return None

    def _introduce(self) -> None:
        """End what the run before left sounding, and show a box that has never heard."""
        settings = self._settings
        try:
            model = build.described_model(settings)
            rules = build_rules(settings, model)
        except EdgeError as error:
            log.warning("%s", error)
            return
        alarms = build.alarm_names(settings)
        for label in (*state_labels(settings, model), *alarms):
            self._send(payloads.detected(self._topics, label, on=False))
        self._send(payloads.paused(self._topics, on=False))
        if not settings.homeassistant.enabled:
            self._shower.withdraw()
        # What is known already stays as it was: whether levels are calibrated depends on
        # the microphone that is not here.
        elif self._shower.is_new:
            name = f"{model.name} {model.version}"
            thermometer = self._box.has_thermometer
            what = shown(settings, name, rules, alarms, calibrated=False, thermometer=thermometer)
            self._shower.tell(what)

    def _report_health(self) -> None:
        figures = self._box.read() | {"microphone": "absent"}
        figures |= self._uplink.figures() if self._uplink else {}
        self._file.write(figures)
        changed = bool(self._uplink and self._uplink.changed())
        if self._health.due(time.monotonic()) or changed:
            self._send(payloads.health(self._topics, figures, utc_now()))

    def _refuse(self, _body: Body, _reply: Reply) -> None:
        raise CommandError("there is no microphone yet", self._trouble.message)

    def _tell_again(self) -> None:
        if self._uplink:
            self._uplink.tell_again()

    def _send(self, message: Message) -> None:
        if self._uplink:
            self._uplink.send(message)
