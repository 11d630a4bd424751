# SPDX-License-Identifier: MIT
"""The parent's hand on a worker: it is started, asked, stopped, let go on, and killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from edge.service.analyze.job import Job

Answer = dict[str, Any]

# One thread each: on a small box the listener needs the other cores, and N jobs are N processes.
_ONE_THREAD: Final = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")
}
_READ_BYTES: Final = 1 << 16


class Child:
    """A worker process, warm between jobs.

    It leads a process group of its own, so that a Ctrl-C in the terminal is the parent's
    alone, and it is killed with its parent, whatever that dies of.

    Parameters
    ----------
    memory_mb : the most memory it may write to; 0: no limit.
    idle : whether it runs only when nobody else wants the processor.
    """

    def __init__(self, memory_mb: int = 0, *, idle: bool = False) -> None:
        module = [sys.executable, "-m", "edge.service.analyze.worker"]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*module, str(memory_mb), str(os.getpid()), *(["idle"] * idle)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | _ONE_THREAD,
            start_new_session=True,
        )
        assert self._process.stdin is not None  # noqa: S101 - PIPE makes it one; for the types
        assert self._process.stdout is not None  # noqa: S101 - as above
        self._asked = self._process.stdin
        self._answers = self._process.stdout
        self._text = b""
        self.paused = False
        self._bound = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fileno(self) -> int:
        """Return what `select` waits for: answers."""
        return self._answers.fileno()

    def ask(self, job: Job) -> None:
        """Hand over a job; a child that is already dead will say so in `answers`."""
        with contextlib.suppress(BrokenPipeError):
            self._asked.write(json.dumps(job.to_json()).encode() + b"\n")
            self._asked.flush()

    def answers(self) -> list[Answer]:
        """Return what has come; waits only if nothing has. `{"died": why}` is the last ever."""
        text = os.read(self.fileno(), _READ_BYTES)
        if not text:
            return [{"died": self._last_words()}]
        self._bound = True
        *lines, self._text = (self._text + text).split(b"\n")
        return [json.loads(line) for line in lines]

    def pause(self, *, paused: bool) -> None:
        """Stop it where it stands, or let it go on.

        Not before its first word: stopped any earlier it could outlive its parent.
        """
        if paused != self.paused and self._bound:
            self._signal(signal.SIGSTOP if paused else signal.SIGCONT)
            self.paused = paused

    def kill(self) -> None:
        """End it now, whatever it does; a second call does nothing."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._asked.close()
        self._answers.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self.pid, number)

    def _last_words(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with code {code}"
