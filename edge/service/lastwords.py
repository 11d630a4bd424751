# SPDX-License-Identifier: MIT
"""What a run that did not end in order leaves behind: where its threads were, and its figures.

The file is there while a listener runs. Who finds it at a start knows that the last run was
killed, crashed, or lost its power, and tells it: it leaves it where the outbox takes it from, on
the same disk. Until then the next run's file holds it too. One write a start, two when it is
told, one an orderly end. On a disk that can't be written it lies in memory, until the unit is
stopped: what fails for want of room fails in words, too.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final, TextIO
from uuid import NAMESPACE_OID, uuid5

from edge import __version__
from edge.clock import boot_id, utc_now
from edge.publish import payloads
from edge.publish.spool import deposit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.publish.payloads import Topics
    from edge.types import Message

log = logging.getLogger(__name__)

NAME: Final = "last_words"
LONGEST: Final = 20_000  # characters of a stack that are told
MOST: Final = 20  # runs whose words wait for an outbox
QUICK_S: Final = 60.0
"""A run that failed within this time failed at its start: the next one waits."""

LONGEST_BACK_OFF_S: Final = 60.0


class LastWords:
    """Keeps the last words of this run, and knows those of the one before.

    While it is open, a fatal signal (also the service manager's, when the watchdog starves)
    writes down where each thread was. A disk that can't be written is no reason not to run.

    Parameters
    ----------
    directory : the state directory.
    figures : the newest ones that the last run of this boot has left, with its `pid`; None: there
        are none.
    spare : a file in memory.
    """

    def __init__(self, directory: Path, figures: Mapping[str, Any] | None, spare: Path) -> None:
        self._path = directory / NAME
        self._spare = spare
        # The spare one is the newer one, where there is one.
        self.before = _read(spare, figures or {}) or _read(self._path, figures or {})
        """What the last run left; None: it ended in order."""
        self._failures = self._count()
        self._file: TextIO | None = None
        self._sent = False  # though it could not be written down
        self._head = {
            "pid": os.getpid(),
            "version": __version__,
            "started": utc_now().text,
            "boot": boot_id(),
            "failures": self._failures,
            "untold": self.before and {**self.before, "untold": None},
        }
        if self._begin(self._path):
            _remove(spare)
        else:
            _remove(self._path)
            self._begin(spare)
        faulthandler.enable(self._file or sys.stderr)

    def _begin(self, path: Path) -> bool:
        """Begin the file; return whether that could be done."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            # Not emptied first: what has its place on a full disk keeps it.
            self._file = path.open("r+", encoding="utf-8", errors="replace")
            self._write_head()
        except OSError as error:
            log.warning("should this run fail, nothing is kept of it in %s: %s", path, error)
            self._close()
            return False
        return True

    def _close(self) -> None:
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file = None

    @property
    def wait_s(self) -> float:
        """How long to wait before this run begins, after several that failed at once."""
        if self._failures <= 1:
            return 0.0
        return min(2.0 ** min(self._failures - 2, 6), LONGEST_BACK_OFF_S)

    def tell(self, topics: Topics, spool: Path | None, send: Callable[[Message], None]) -> None:
        """Tell what the last run has left, once: it need not be kept any longer.

        Parameters
        ----------
        spool : from where the outbox takes it; None: there is nobody to tell it to.
        send : takes it where that folder can't be written; then it is kept until this run ends
            in order: the next one would tell it again.

        What is told again, also after a power cut that undid what was written of it, has the
        same `message_id`.
        """
        if self.before is None or self._head["untold"] is None or self._sent:
            return
        log.error("the last run was not ended in order: %s", self.before["how"])
        if spool:
            message = payloads.last_words(topics, self.before, utc_now())
            try:
                deposit(spool, message, self.before["message_id"])
                _thin_out(spool)
            except OSError as error:
                log.warning("what it has left can't be written down: %s", error)
                send(message)
                self._sent = True
                return
        self._head["untold"] = None
        with contextlib.suppress(OSError):
            self._write_head()

    def say(self, error: BaseException) -> None:
        """Write down why this run ends."""
        if self._file:
            with contextlib.suppress(OSError, ValueError):
                self._file.write("".join(traceback.format_exception(error)))
                self._file.flush()

    def end(self, *, in_order: bool) -> None:
        """Close; what ended in order leaves nothing."""
        faulthandler.disable()
        kept = in_order and self._head["untold"] is not None and not self._sent
        with contextlib.suppress(OSError):
            if kept:
                self._head["in_order"] = True
                self._write_head()
        self._close()
        if in_order and not kept:
            _remove(self._path)
            _remove(self._spare)

    def _write_head(self) -> None:
        if self._file:
            self._file.seek(0)
            self._file.write(json.dumps(self._head) + "\n")
            self._file.flush()
            self._file.truncate()

    def _count(self) -> int:
        """Return how many runs in a row failed at their start.

        A power cut is no failure, and those of another version are not this one's: what was
        installed to mend them must not wait.
        """
        if self.before is None or self.before["how"] == "power cut":
            return 0
        if self.before.get("version") != __version__:
            return 0
        return self.before["failures"] + 1 if self.before["lasted_s"] < QUICK_S else 0


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _thin_out(spool: Path) -> None:
    """Keep the newest only: where the outbox can't be used nobody takes them away."""
    with contextlib.suppress(OSError):  # it is being taken right now
        left = sorted(spool.glob("[!.]*-last-words.json"), key=lambda path: path.stat().st_mtime)
        for path in left[:-MOST]:
            _remove(path)


def _number(run: str) -> str:
    """Return under which number a run's words are told, by whichever run tells them."""
    return f"{uuid5(NAMESPACE_OID, run).hex}-last-words"


def _read(path: Path, figures: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        head, _, words = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    except OSError:
        return None
    try:
        facts = dict(json.loads(head))
        failures, boot = int(facts.pop("failures")), facts.pop("boot")
        pid = facts.pop("pid")
        number = _number(f"{boot} {pid} {facts['started']}")
        if facts.pop("in_order", False):  # stopped before it could tell of the one before
            return {"message_id": number, **facts["untold"]}
        if facts.get("untold") is None:
            facts.pop("untold", None)
    except (ValueError, TypeError, KeyError):  # cut off: by a power cut, unless it ran in this boot
        facts, failures, boot, pid = {}, 0, boot_id() if figures else "", 0
        number = _number(f"{head}{words}")
    last = dict(figures) if figures.get("pid") == pid else {}
    ended = "crashed" if words.strip() else "killed"
    return {
        "message_id": number,
        **facts,
        "how": ended if boot == boot_id() else "power cut",
        "words": words[-LONGEST:].strip(),
        "failures": failures,
        "lasted_s": last.get("uptime_s", 0),
        "figures": last,
    }
