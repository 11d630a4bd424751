# SPDX-License-Identifier: MIT
"""Until the microphone is there for the first time: says so, and tries again."""

from __future__ import annotations

import logging
import os
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from edge.capture.reopening import FIRST_RETRY_S, LONGEST_RETRY_S, ReopeningSource
from edge.clock import utc_now
from edge.errors import DeviceAwayError
from edge.health import BoxHealth
from edge.publish import payloads
from edge.service import build
from edge.service.notify import tell, watchdog_interval_s
from edge.service.supervisor import Supervisor
from edge.service.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.capture.source import Source
    from edge.config.schema import Settings

log = logging.getLogger(__name__)

STOP_WITHIN_S: Final = 1.0


def awaited_source(settings: Settings) -> Source | None:
    """Return the source, open; None: a signal came before its device did.

    A device that isn't there, or that another program holds, may come: it is tried again, with
    pauses that grow, while broker and service manager are told. Any other trouble with it is
    raised as `DeviceError`, since waiting mends nothing.
    """
    open_source = partial(ReopeningSource, partial(build.build_source, settings.capture))
    try:
        return open_source()
    except DeviceAwayError as error:
        return _Awaiting(settings, open_source, error).run()


class _Awaiting:
    def __init__(
        self, settings: Settings, open_source: Callable[[], Source], error: DeviceAwayError
    ) -> None:
        self._settings = settings
        self._open = open_source
        self._trouble = error
        self._supervisor = Supervisor()
        self._topics = build.build_topics(settings)
        self._box = BoxHealth(settings.state.path)
        self._uplink = Uplink(settings, lambda *_: None) if settings.publish.url else None
        self._next_health_s = 0.0

    def run(self) -> Source | None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._supervisor.end())
        if self._uplink:
            self._uplink.start(self._supervisor)
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

    def _report_health(self) -> None:
        now_s = time.monotonic()
        if self._uplink is None or now_s < self._next_health_s:
            return
        self._next_health_s = now_s + self._settings.health.interval_s
        figures = self._box.read() | {"microphone": "absent"} | self._uplink.figures()
        self._uplink.send(payloads.health(self._topics, figures, utc_now()))
