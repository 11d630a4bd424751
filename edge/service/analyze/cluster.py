# SPDX-License-Identifier: MIT
"""The same function on a Dask cluster, for archives that outgrow the machine.

A recording is read here and sent; report, picture and stems come back as bytes and are
written here. So the cluster needs neither our disk nor our paths, only this package
installed; and a recording is some MB, while its analysis takes many times as long as sending.
"""

from __future__ import annotations

import logging
import re
import tempfile
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.errors import EXIT_FAILURE, EdgeError
from edge.service.analyze.batch import Outcome, Progress, outcome_of
from edge.service.analyze.claim import Claim
from edge.service.analyze.job import Job, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CONNECT_S: Final = 5
ADDRESS: Final = re.compile(r"(tcp|tls|ws|wss)://[^\s/]+:\d+")
AHEAD: Final = 2  # jobs sent for each thread of the cluster: one is done, the next is there
TICK_S: Final = 0.2

Sent = tuple[dict[str, Any], dict[str, bytes]]


class ClusterError(EdgeError):
    """The Dask cluster can't be used."""

    exit_code = EXIT_FAILURE


def run_there(
    jobs: Sequence[Job], address: str, more: Callable[[], bool]
) -> Iterator[Outcome | Progress]:
    """Do the jobs on the cluster whose scheduler is at `address`, as `run_here` does them.

    At most two recordings for each of its threads are in memory. Raises `ClusterError`
    without the package `distributed`, without an answer, without a worker, and when it ends.
    """
    if not ADDRESS.fullmatch(address):
        raise ClusterError(f"{address!r} is no address of a Dask scheduler", "give tcp://HOST:PORT")
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise ClusterError(
            "--scheduler needs the package distributed", "pip install 'edge[cluster]'"
        ) from error
    # Of a lost connection it logs a traceback for each attempt; a sentence is enough.
    for name in ("distributed", "distributed.client"):  # the second has a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        make: Any = distributed.Client  # it has no types
        client = make(address, timeout=CONNECT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(f"there is no Dask scheduler at {address}: {error}") from error
    try:
        threads = sum(client.nthreads().values())
        if not threads:
            raise ClusterError(f"the cluster at {address} has no worker", "start dask worker")
        yield from _follow(client, distributed.wait, jobs, AHEAD * threads, more)
    except (CancelledError, OSError) as error:  # the second: its connection broke in a call
        raise ClusterError(
            f"the cluster at {address} is gone", "start again: what is done is passed over"
        ) from error
    finally:
        with suppress(OSError):
            client.close(timeout=0.5)


def _follow(
    client: Any,  # noqa: ANN401 - distributed ships no types
    wait: Any,  # noqa: ANN401 - as above
    jobs: Sequence[Job],
    at_once: int,
    more: Callable[[], bool],
) -> Iterator[Outcome | Progress]:
    left = iter(jobs)
    sent: dict[Any, Claim] = {}
    done = 0
    try:
        while more():
            while len(sent) < at_once and (job := next(left, None)) is not None:
                try:
                    parcel = _parcel(job)
                    claim = Claim(job)
                except OSError as error:
                    done += 1
                    yield Outcome(job, None, str(error))
                    continue
                sent[client.submit(carry_out_parcel, *parcel, pure=False)] = claim
            if not sent:
                return
            try:
                finished = wait(list(sent), timeout=TICK_S, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                finished = set()
            for future in finished:
                done += 1
                with sent.pop(future) as claim:
                    yield _unpack(claim, future)
            yield Progress(done)
    finally:
        for claim in sent.values():
            claim.close()


def _parcel(job: Job) -> tuple[dict[str, Any], bytes, bytes | None]:
    sidecar = job.sidecar.read_bytes() if job.sidecar else None
    return job.to_json(), job.sound.read_bytes(), sidecar


def carry_out_parcel(body: dict[str, Any], sound: bytes, sidecar: bytes | None) -> Sent:
    """Run on a worker: analyse what was sent; return the last word and the files made."""
    from edge.service.analyze.worker import last_word

    job = Job.from_json(body)
    with tempfile.TemporaryDirectory(prefix="edge-analyze-") as name:
        folder = Path(name)
        here = replace(job, sound=folder / job.sound.name, output=folder, sidecar=None)
        here.sound.write_bytes(sound)
        if sidecar is not None:
            here = replace(here, sidecar=folder / "sidecar.json")
            (folder / "sidecar.json").write_bytes(sidecar)
        answer = last_word(here)
        made = [path for path in (here.picture, *here.stems) if path.exists()]
        return answer, {path.name: path.read_bytes() for path in made}


def _unpack(claim: Claim, future: Any) -> Outcome:  # noqa: ANN401 - as above
    job = claim.job
    if future.status != "finished":
        return Outcome(job, None, f"the cluster failed: {future.exception()}")
    answer, files = future.result()
    try:
        for path in (job.picture, *job.stems):
            if path.name in files:
                write_whole(path, files[path.name])
    except OSError as error:
        return Outcome(job, None, str(error))
    return outcome_of(claim, answer)
