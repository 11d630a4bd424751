# SPDX-License-Identifier: MIT
"""The table of what a box was found to do: a row for each check, and what it was tried on."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from edge import __version__
from tools.boot.machine import BrokenError
from tools.boot.root import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

Box = TypeVar("Box")


def must(fits: bool, otherwise: str) -> None:  # noqa: FBT001 - a claim and what else is the case
    """Raise `BrokenError` unless it is so."""
    if not fits:
        raise BrokenError(otherwise)


def row(check: Callable[[Box], str], box: Box) -> str:
    """Return what came of a check; tells it as well, with the time that it took."""
    name, began_s = check.__name__.replace("_", " "), time.monotonic()
    try:
        seen = f"| {name} | ok | {check(box)} |"
    except (BrokenError, OSError, subprocess.SubprocessError) as error:
        seen = f"| {name} | FAILED | {error} |"
    print(f"{seen}  ({time.monotonic() - began_s:.0f} s)", file=sys.stderr, flush=True)
    return seen


def about(suite: str) -> str:
    """Return what was tried, and when."""
    commit = subprocess.check_output(
        ["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, text=True
    ).strip()
    return f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, edge {__version__}, Debian {suite}"
