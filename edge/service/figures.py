# SPDX-License-Identifier: MIT
"""The newest figures of a running listener, where others of the box can read them.

As a file in memory (`/run`), never on a card: `edge status` reads it, and needs no broker.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REMEMBERED: Final = 512  # inferences: four minutes of the shipped model's


class Durations:
    """The last durations of something, and their percentiles (one thread adds, any reads)."""

    def __init__(self) -> None:
        self._ms = np.zeros(_REMEMBERED)
        self._count = 0

    def add(self, seconds: float) -> None:
        """Add one."""
        self._ms[self._count % _REMEMBERED] = 1e3 * seconds
        self._count += 1

    def figures(self, name: str) -> dict[str, float | None]:
        """Return `<name>_p50_ms` and `<name>_p99_ms`; None: there was none."""
        known = self._ms[: min(self._count, _REMEMBERED)]
        return {
            f"{name}_p{percent}_ms": round(float(np.percentile(known, percent)), 2)
            if known.size
            else None
            for percent in (50, 99)
        }


def runtime_directory(environment: Mapping[str, str]) -> Path:
    """Return where a listener of this user leaves its figures: systemd's, the user's, or /run."""
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        if value := environment.get(name):
            folder = Path(value.split(":")[0])
            return folder if name == "RUNTIME_DIRECTORY" else folder / "edge"
    return Path("/run/edge")


class FiguresFile:
    """Writes the newest figures; where that can't be, nothing happens: nobody hears by it.

    Parameters
    ----------
    directory : in memory; made if missing.
    node : the name of the box, of which a machine may run several.
    """

    def __init__(self, directory: Path, node: str) -> None:
        self._path = directory / f"{node}.json"
        with contextlib.suppress(OSError):
            directory.mkdir(parents=True, exist_ok=True)

    def write(self, figures: Mapping[str, Any]) -> None:
        """Replace the file."""
        part = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps({**figures, "pid": os.getpid()}), encoding="utf-8")
            part.chmod(0o644)  # they are no secret, and the unit's files are its own else
            part.replace(self._path)

    def last(self) -> dict[str, Any] | None:
        """Return what the last listener has left; None: nothing, or nothing that is whole."""
        with contextlib.suppress(OSError):
            return _read(self._path)
        return None

    def remove(self) -> None:
        """Take it away: nobody runs any more."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def read_figures(environment: Mapping[str, str], node: str) -> dict[str, Any] | None:
    """Return the figures of a listener that runs, of this user or the unit's; None: none does.

    Raises `StorageError` where they may not be read.
    """
    for directory in (runtime_directory(environment), Path("/run/edge")):
        path = directory / f"{node}.json"
        try:
            figures = _read(path)
        except PermissionError as error:
            help_text = "ask as root, or as the user that edge runs as"
            raise StorageError(f"{path} may not be read", help_text) from error
        except OSError:
            continue
        # What was killed has left its last figures behind.
        if figures and Path(f"/proc/{figures.get('pid')}").exists():
            return figures
    return None


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a file holds; None: nothing that is whole. Raises OSError."""
    try:
        figures: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError:
        return None
    return figures if isinstance(figures, dict) else None
