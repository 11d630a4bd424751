# SPDX-License-Identifier: MIT
"""The listening unit from its start to its exit code: what it waits for, and what it leaves."""

from __future__ import annotations

import logging
import os
import signal
from functools import partial
from typing import TYPE_CHECKING

from edge.errors import EXIT_CONFIG, EXIT_FAILURE, EXIT_OK, EdgeError
from edge.led import Led
from edge.service.awaiting import awaited_source
from edge.service.figures import FiguresFile, runtime_directory
from edge.service.lastwords import LastWords
from edge.service.listener import Listener
from edge.service.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.capture.source import Source
    from edge.config.schema import Settings

log = logging.getLogger(__name__)


class _StoppedError(BaseException):
    """A signal came while the listener was being built: models and filters may take a minute."""


def listen(settings: Settings) -> int:
    """Run the listening unit, once its microphone is there; return its exit code."""
    directory = runtime_directory(os.environ)
    file = FiguresFile(directory, settings.node.id)
    words = LastWords(
        settings.state.path, file.last(), directory / f"{settings.node.id}.last_words"
    )
    code = EXIT_FAILURE
    try:
        code = _listen(settings, file, words)
    except BaseException as error:
        code = error.exit_code if isinstance(error, EdgeError) else EXIT_FAILURE
        words.say(error)
        raise
    finally:
        # Wrong settings are said, and not mended by another start.
        in_order = code in {EXIT_OK, EXIT_CONFIG}
        words.end(in_order=in_order)
        if in_order:  # else the next run tells these figures too
            file.remove()
    return code


def _listen(settings: Settings, file: FiguresFile, words: LastWords) -> int:
    supervisor = Supervisor()
    _at_a_stop(supervisor.end)
    # Until there is a `Listener` whose models it makes look: a reload may come at any time.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if words.wait_s:
        log.error("the last runs failed at once: waiting %g s", words.wait_s)
        supervisor.ended.wait(words.wait_s)
    led = Led(settings.health.led)
    led.show("blinking")
    try:
        source = None
        if not supervisor.ended.is_set():
            source = awaited_source(settings, supervisor, file, words)
        build = partial(Listener, settings, file=file, words=words, led=led)
        if source and (listener := _built(build, source, supervisor)):
            listener.run()
    finally:
        led.show("off")
    if supervisor.failure:
        words.say(supervisor.failure)
        log.error("%s", supervisor.failure)
    match supervisor.failure:
        case None:
            return EXIT_OK
        case EdgeError(exit_code=code):
            return code
    return EXIT_FAILURE


def _built(
    build: Callable[[Source, Supervisor], Listener], source: Source, supervisor: Supervisor
) -> Listener | None:
    """Return the listener; None: it was to stop meanwhile, of which nothing has run yet."""

    def give_up() -> None:
        if not supervisor.ended.is_set():
            supervisor.end()
            raise _StoppedError

    listener = None
    try:
        _at_a_stop(give_up)
        if not supervisor.ended.is_set():  # while the device was being opened
            listener = build(source, supervisor)
        _at_a_stop(supervisor.end)
    except _StoppedError:
        listener = None
    if listener is None:
        source.close()
    return listener


def _at_a_stop(do: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: do())
