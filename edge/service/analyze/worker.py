# SPDX-License-Identifier: MIT
"""The child that does the work: jobs in on standard input, answers out, a JSON line each.

``{"share": 0.5}``         so much is done
``{"report": {...}}``      done; all results but the report are on disk
``{"refused": "..."}``     the recording can't be analysed, now or ever
``{"failed": "..."}``      this attempt failed: a new child may do better
``{"blocked": "..."}``     the results can't be written: not the recording's fault
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from edge.errors import EdgeError
from edge.service.analyze.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

Answer = dict[str, Any]

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1


def serve(jobs: TextIO, answers: TextIO) -> None:
    """Do each job as it comes, until there are no more."""

    def answer(body: Answer) -> None:
        answers.write(json.dumps(body, ensure_ascii=False, allow_nan=False) + "\n")
        answers.flush()

    for line in jobs:
        job = Job.from_json(json.loads(line))
        answer({"share": 0.0})
        answer(last_word(job, lambda share: answer({"share": round(share, 3)})))


def last_word(job: Job, progress: Callable[[float], None] = lambda _: None) -> Answer:
    """Do a job and return the answer that ends it; nothing is raised."""
    from edge.service.analyze.work import carry_out

    try:
        return {"report": carry_out(job, progress)}
    except EdgeError as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"failed": "it needs more memory than it may have"}
    except OSError as error:
        return {"blocked": str(error)}
    except Exception as error:  # the edge of the process: a bug is one recording's end
        log.critical("%s", job.sound, exc_info=error)
        return {"failed": f"{type(error).__name__}: {error}"}


def _main(memory_mb: int, parent: int, *, idle: bool) -> None:
    # Whoever asked is dead: so is this, be it stopped, in C code or waiting.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    # Ctrl-C goes to all in the terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if idle:
        # The unit has set it already, and then forbids it: this is for who has no unit.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if memory_mb:
        # What is written to, not what is mapped: libraries map far more than they use.
        limit = memory_mb * 1_000_000
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _take_work_space()
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s analyze %(message)s")
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, answers)


def _take_work_space() -> None:
    """Have BLAS take its memory now: where it finds none later it ends the process."""
    import numpy as np

    square = np.ones((128, 128), np.float32)
    np.matmul(square, square)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), idle="idle" in sys.argv)
