# SPDX-License-Identifier: MIT
"""Analysis by hand: many recordings, several workers, one bad file stops nothing."""

from __future__ import annotations

import select
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edge.service.analyze.child import Child
from edge.service.analyze.claim import Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.service.analyze.job import Job

TICK_S: Final = 0.1
TRIES: Final = 2  # a worker that dies may have been killed for another's memory


class Outcome(NamedTuple):
    """What became of a job: its report, or why there is none."""

    job: Job
    report: dict[str, Any] | None
    error: str


class Progress(NamedTuple):
    """How many jobs are done, with the parts of those under way."""

    jobs: float


def run_here(
    jobs: Sequence[Job], workers: int, more: Callable[[], bool]
) -> Iterator[Outcome | Progress]:
    """Do the jobs in `workers` processes; give each outcome as it comes, its report written.

    Ends within a second once `more()` is False: what is done stays, what is under way leaves
    nothing behind.
    """
    pool = _Pool(jobs, workers)
    try:
        while pool.unfinished and more():
            yield from pool.wait()
    finally:
        pool.close()


class _Pool:
    """Workers and what each is at."""

    def __init__(self, jobs: Sequence[Job], workers: int) -> None:
        self._waiting = deque((job, 1) for job in jobs)
        self._busy: dict[Child, tuple[Claim, int]] = {}
        self._shares: dict[Child, float] = {}
        self._free = [Child() for _ in range(min(workers, len(jobs)))]
        self._done = 0

    @property
    def unfinished(self) -> bool:
        return bool(self._waiting or self._busy)

    def wait(self) -> Iterator[Outcome | Progress]:
        """Give the free workers something to do; yield what comes within a tick."""
        while self._free and self._waiting:
            job, tries = self._waiting.popleft()
            try:
                claim = Claim(job)
            except OSError as error:
                self._done += 1
                yield Outcome(job, None, str(error))
                continue
            child = self._free.pop()
            self._busy[child] = (claim, tries)
            child.ask(job)
        for child in select.select(list(self._busy), [], [], TICK_S)[0]:
            for answer in child.answers():
                yield from self._take(child, answer)
        yield Progress(self._done + sum(self._shares.values()))

    def close(self) -> None:
        """End all workers now."""
        for child in self._free:
            child.kill()
        for child, (claim, _) in self._busy.items():
            child.kill()
            claim.close()

    def _take(self, child: Child, answer: dict[str, Any]) -> Iterator[Outcome]:
        if "share" in answer:
            self._shares[child] = answer["share"]
            return
        claim, tries = self._busy.pop(child)
        self._shares.pop(child, None)
        with claim:
            if "died" in answer or "failed" in answer:
                child.kill()
                self._free.append(Child())
                if tries < TRIES:
                    self._waiting.append((claim.job, tries + 1))
                    return
            else:
                self._free.append(child)
            self._done += 1
            yield outcome_of(claim, answer)


def outcome_of(claim: Claim, answer: dict[str, Any]) -> Outcome:
    """Return what a worker's last word on a job means, its report written."""
    report = answer.get("report")
    if report is None:
        return Outcome(claim.job, None, next(iter(answer.values())))
    try:
        claim.stage(report)
        claim.commit()
    except OSError as error:
        return Outcome(claim.job, None, str(error))
    return Outcome(claim.job, report, "")
