# SPDX-License-Identifier: MIT
"""The idle-time unit: takes the box's own clips apart while nothing is going on.

A light parent, which never imports NumPy, looks for the newest important clip without
a report, waits until the box is idle, and has a warm worker do it. The worker is stopped
where it stands when something is heard, and killed when the unit ends: results appear
whole, the report last, so that at no moment anything is lost or done twice.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Any, Final

from edge.analysis.inbox import Inbox
from edge.errors import EXIT_OK, StorageError
from edge.publish import payloads
from edge.publish.spool import deposit
from edge.service.analyze.attempt import AttemptFile
from edge.service.analyze.child import Child
from edge.service.analyze.claim import Claim
from edge.service.analyze.idle import IdleGate
from edge.service.analyze.job import Job, Options, failure
from edge.service.analyze.lock import take_lock
from edge.service.notify import tell, watchdog_interval_s

if TYPE_CHECKING:
    from edge.analysis.inbox import Clip
    from edge.config.schema import Settings
    from edge.service.analyze.child import Answer

log = logging.getLogger(__name__)

TICK_S: Final = 0.1  # within which an event pauses the worker and a signal ends all
LOOK_S: Final = 3.0  # between two looks for new clips
KEEP_WARM_S: Final = 60.0  # a worker without work holds 200 MB; starting one takes seconds
STALL_S: Final = 600.0  # without a word from a worker that may run: it hangs
BLOCKED_S: Final = 60.0  # results can't be written: a full disk is asked again after this


class Unit:
    """The idle-time unit. `run` returns the exit code.

    Parameters
    ----------
    gate : says why the box is not idle; a test's may allow more.
    stall_s : so long a worker may say nothing about a minute of sound.
    blocked_s : how long to wait where results can't be written.
    """

    def __init__(
        self,
        settings: Settings,
        gate: IdleGate,
        *,
        stall_s: float = STALL_S,
        blocked_s: float = BLOCKED_S,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._stall_s, self._blocked_s = stall_s, blocked_s
        self._inbox = Inbox(settings.clips)
        self._options = options_of(settings)
        self._topics = payloads.Topics(settings.publish.base_topic, settings.node.id)
        self._child: Child | None = None
        self._ended = False
        self._said = ""
        self._stuck = False  # results can't be written
        self._fed_s = 0.0
        self._watchdog_s = watchdog_interval_s(os.environ)

    def run(self) -> int:
        """Analyse clips as they come, until a signal.

        Raises `StorageError` where another does so already, or where the state directory
        can't be written.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        lock = take_lock(self._settings.state.path)
        try:
            self._attempts = AttemptFile(self._settings.state.path / "analyze.json")
            tell(READY=1)
            log.info("analysing what is in %s", self._settings.clips)
            self._work()
        except OSError as error:
            raise StorageError(f"the state directory can't be used: {error}") from error
        finally:
            self._dismiss()
            os.close(lock)
        log.info("stopped")
        return EXIT_OK

    def _end(self, *_: object) -> None:
        self._ended = True

    def _work(self) -> None:
        idle_since_s = time.monotonic()
        enabled = self._settings.analysis.enabled
        if not enabled:
            log.info("analysis.enabled = false: nothing will be analysed")
        while not self._ended:
            clip = self._next() if enabled else None
            if clip is None:
                self._say(self._inbox.unreadable or "nothing is to be done")
                if time.monotonic() - idle_since_s > KEEP_WARM_S:
                    self._dismiss()
                self._sleep(LOOK_S)
            elif self._may_work():
                self._do(clip)
                idle_since_s = time.monotonic()

    def _next(self) -> Clip | None:
        """Return the clip to do: first the one at which an earlier process was."""
        begun = self._attempts.now
        clip = self._inbox.find(begun.stem) if begun else None
        if begun and clip is None:
            self._attempts.end()  # it is done, or gone
        return clip or self._inbox.next()

    def _may_work(self) -> bool:
        """Wait a tick and return False while the box is not idle."""
        why = self._gate.reason(self._child.pid if self._child else None)
        if why:
            self._say(f"waiting, clips to be done: {self._inbox.waiting}; {why}")
            self._sleep(TICK_S)
        return not why

    def _do(self, clip: Clip) -> None:
        job = Job(
            sound=clip.sound,
            output=clip.bucket,
            stem=clip.stem,
            options=self._options,
            sidecar=clip.sidecar,
        )
        try:
            with Claim(job) as claim:
                self._carry_out(claim)
        except OSError as error:
            if clip.sound.exists():  # a full disk, most of all
                self._wait_until_unblocked(str(error))
            else:
                self._forget(job)

    def _carry_out(self, claim: Claim) -> None:
        """Do a claimed job. Raises `OSError` where it can't be done now, whatever the clip is."""
        job, attempt = claim.job, self._attempts.now
        if attempt and attempt.stem == job.stem and attempt.hopeless:
            self._finish(claim, failure(job, attempt.why))
            return
        self._attempts.begin(job.stem)
        answer = self._ask(job)
        match answer:
            case {"report": report}:
                self._finish(claim, report)
            case {"refused": why}:
                self._finish(claim, failure(job, why))
            case {"blocked": why}:
                raise OSError(why)
            case {"died": why} | {"failed": why}:
                self._dismiss()
                log.warning("%s: %s", job.stem, why)
                self._attempts.failed(why)
            case _:  # the unit ends
                self._dismiss()
                self._attempts.pause()

    def _ask(self, job: Job) -> Answer:
        """Have the worker do a job; return its last word, {} if the unit ends before."""
        if self._child is None:
            self._child = Child(self._settings.analysis.memory_mb, idle=True)
        child = self._child
        child.ask(job)
        silent_s, before_s = 0.0, time.monotonic()
        while not self._ended:
            if select.select([child], [], [], TICK_S)[0]:
                silent_s = 0.0
                for answer in child.answers():
                    if "share" not in answer:
                        return answer
            now_s = time.monotonic()
            silent_s += 0.0 if child.paused else now_s - before_s
            before_s = now_s
            if silent_s > self._stall_s:
                return {"died": f"nothing was heard of its process for {self._stall_s:g} s"}
            self._hold(child, job)
        return {}

    def _hold(self, child: Child, job: Job) -> None:
        """Stop the worker while the box is not idle; let it go on when it is."""
        why = self._gate.reason(child.pid)
        child.pause(paused=bool(why))
        self._say(f"{job.stem} is paused: {why}" if why else f"analysing {job.stem}")
        self._feed()

    def _finish(self, claim: Claim, report: dict[str, Any]) -> None:
        """Commit a report: the message first, so that no report is ever without one.

        A crash between the two makes both again; the message has the same id. A full disk
        does not: the report is written, but for its name, before the message.
        """
        job = claim.job
        if not job.sound.exists():
            self._forget(job)
            return
        claim.stage(report)
        if self._settings.publish.url:
            self._tell(job, report)
        claim.commit()
        self._attempts.end()
        if self._stuck:
            self._stuck = False
            log.info("results can be written again")
        if why := report.get("error"):
            log.error("%s is set aside: %s", job.stem, why)
        else:
            log.info("%s is analysed", job.stem)

    def _forget(self, job: Job) -> None:
        log.info("%s was deleted meanwhile", job.stem)
        for path in (job.picture, *job.stems):
            path.unlink(missing_ok=True)
        self._attempts.end()

    def _tell(self, job: Job, report: dict[str, Any]) -> None:
        """Leave report and picture for the listener, which talks to the broker."""
        spool = self._settings.spool
        if report.get("picture") and self._settings.analysis.publish_picture:
            picture = payloads.picture(self._topics, job.picture.read_bytes())
            deposit(spool, picture, "picture")  # the newest replaces one that still lies there
        # Last: what fails before is done again, and this would be told again.
        body = {"message_id": f"{report['clip_id']}-analysis", **report}
        deposit(spool, payloads.analysis(self._topics, body), f"analysis-{job.stem}")

    def _wait_until_unblocked(self, why: str) -> None:
        """Wait a minute until what can't be done now is tried again; log it once."""
        with contextlib.suppress(OSError):  # that may be what can't be written
            self._attempts.pause()
        self._say(f"nothing can be analysed: {why}", logging.ERROR)
        self._stuck = True
        self._sleep(self._blocked_s)

    def _sleep(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not self._ended and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, TICK_S))
            self._feed()

    def _feed(self) -> None:
        now_s = time.monotonic()
        if self._watchdog_s and now_s - self._fed_s > self._watchdog_s:
            tell(WATCHDOG=1)
            self._fed_s = now_s

    def _say(self, what: str, level: int = logging.INFO) -> None:
        """Tell the service manager and the log, once, when it changes."""
        if what == self._said:
            return
        self._said = what
        tell(STATUS=what)
        # What is stuck is tried every minute, for weeks if need be.
        log.log(logging.DEBUG if self._stuck else level, what)

    def _dismiss(self) -> None:
        if self._child:
            self._child.kill()
            self._child = None


def options_of(settings: Settings) -> Options:
    """Return what the settings ask of each clip."""
    channel = settings.capture.channel
    return Options(
        rate_hz=settings.analysis.rate_hz,
        channel=None if isinstance(channel, str) else channel,
        picture=settings.analysis.picture,
        stems=settings.analysis.stems,
    )


def analyze(settings: Settings) -> int:
    """Run the idle-time unit; return its exit code."""
    gate = IdleGate(
        settings.state.path,
        max_load=settings.analysis.max_load,
        max_temperature_c=settings.analysis.max_temperature_c,
    )
    return Unit(settings, gate).run()
