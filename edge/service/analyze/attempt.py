# SPDX-License-Identifier: MIT
"""Which clip is being analysed, on disk: so that one that kills the box can't do it for ever."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from edge.service.analyze.job import write_whole

if TYPE_CHECKING:
    from pathlib import Path

FAILURES: Final = 2  # of the worker alone: tried once more, then set aside
INTERRUPTIONS: Final = 5  # of both: more often a power cut than the clip, so more is borne


@dataclass(frozen=True, slots=True)
class Attempt:
    """How often a clip has failed; `running`: somebody is, or was, at it."""

    stem: str
    failures: int = 0
    interruptions: int = 0
    running: bool = False
    why: str = ""

    @property
    def hopeless(self) -> bool:
        """Whether it has failed often enough to be set aside."""
        return self.failures >= FAILURES or self.interruptions >= INTERRUPTIONS


class AttemptFile:
    """The one attempt that can be under way, remembered through a power cut.

    `now` is that attempt, None between clips. Its methods raise `OSError` where it can't be
    written; `now` is right nevertheless.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.now = _read(path)
        if self.now and self.now.running:
            # Nobody ended it in order: this process died with its worker, or the box did.
            # Written when it is begun again: until then the file says as much.
            self.now = replace(
                self.now,
                running=False,
                interruptions=self.now.interruptions + 1,
                why="it was interrupted each time, by a power cut or by what it did",
            )

    def begin(self, stem: str) -> None:
        """Note that `stem` is being analysed; what is known of it stays."""
        known = self.now if self.now and self.now.stem == stem else Attempt(stem)
        self._write(replace(known, running=True))

    def failed(self, why: str) -> Attempt:
        """Note that the worker failed at it, and return what is known now."""
        assert self.now is not None  # noqa: S101 - only what was begun can fail
        failed = replace(self.now, failures=self.now.failures + 1, running=False, why=why)
        self._write(failed)
        return failed

    def pause(self) -> None:
        """Note that it was left in order and may be begun again."""
        if self.now and self.now.running:
            self._write(replace(self.now, running=False))

    def end(self) -> None:
        """Forget it: it has its report."""
        self.now = None
        self._path.unlink(missing_ok=True)

    def _write(self, attempt: Attempt) -> None:
        self.now = attempt
        write_whole(self._path, json.dumps(asdict(attempt)).encode())


def _read(path: Path) -> Attempt | None:
    try:
        return Attempt(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None  # there was none, or it is damaged: nothing is known
