# SPDX-License-Identifier: MIT
"""The units of this machine, which are out of the way while `edge setup` needs the microphone."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from typing import TYPE_CHECKING, Final, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

UNITS: Final = ("edge-listen", "edge-analyze")
ENDING: Final = (signal.SIGHUP, signal.SIGTERM)  # the terminal is gone; a shutdown


@contextlib.contextmanager
def units_stopped() -> Iterator[None]:
    """Stop what runs, or is about to; at the end start it, and whatever is switched on.

    The analyzer too: it reads the settings at its start only. What ends a process is an exception
    meanwhile, so that no box stays deaf because a connection to it broke.
    """
    running = [unit for unit in UNITS if _shown(unit, "ActiveState") not in {"inactive", "failed"}]
    started = running
    before = {number: signal.getsignal(number) for number in (*ENDING, signal.SIGINT)}
    for number in ENDING:
        if before[number] is not signal.SIG_IGN:  # nohup
            signal.signal(number, _end)
    try:
        if running:
            click.echo(f"stopped meanwhile: {', '.join(running)}")
            _systemctl("stop", *running)
        yield
        # One that failed at the settings of before has others now.
        switched_on = [one for one in UNITS if _shown(one, "UnitFileState") == "enabled"]
        started = [unit for unit in UNITS if unit in {*running, *switched_on}]
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        if started:
            _systemctl("start", "--no-block", *started)
        for number, handler in before.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError):  # the terminal is gone
            click.echo(f"started: {', '.join(started) or 'no unit'}")


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _shown(unit: str, what: str) -> str:
    """Return a property of a unit; "inactive" where there is no systemd."""
    done = _systemctl("show", "--value", f"--property={what}", unit)
    return done.strip() or "inactive"


def _systemctl(*words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - ours
            ["systemctl", "--quiet", *words],  # noqa: S607 - root's own PATH
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout
