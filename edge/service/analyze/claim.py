# SPDX-License-Identifier: MIT
"""A job is one process's at a time: its unfinished report is the lock, and then the report."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any, Self

from edge.durable import sync
from edge.service.analyze.job import part_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.service.analyze.job import Job


class Claim:
    """The right to make a job's results, until it is closed or its process ends.

    Raises `BlockingIOError` where another has it, `OSError` where nothing can be written.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._part = part_of(job.report)
        job.output.mkdir(parents=True, exist_ok=True)
        self._handle = _locked(self._part, f"{job.sound} is being analysed by another process")

    def __enter__(self) -> Self:
        """Return the claim, which stands already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def stage(self, report: Mapping[str, Any]) -> None:
        """Write the report down, on disk, but not yet under its name. Raises `OSError`."""
        text = json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
        os.ftruncate(self._handle, 0)
        with open(self._handle, "w", encoding="utf-8", closefd=False) as file:
            file.write(text)
        os.fsync(self._handle)

    def commit(self) -> None:
        """Give the staged report its name, which marks the job as done. Raises `OSError`."""
        self._part.replace(self.job.report)
        sync(self.job.output)

    def close(self) -> None:
        """Take away what is unfinished, and let others have it; a second call does nothing."""
        if self._handle >= 0:
            try:
                self.job.clean()
            finally:
                os.close(self._handle)
                self._handle = -1


def _locked(path: Path, taken: str) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have renamed or removed the file since it was opened here.
            if os.path.samestat(os.fstat(handle), os.stat(path)):  # noqa: PTH116 - as beside it
                return handle
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(handle)
            raise BlockingIOError(taken) from None
        os.close(handle)
