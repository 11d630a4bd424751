# SPDX-License-Identifier: MIT
"""Named threads with one fate: a thread that dies of something unexpected ends the process."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from edge.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
T = TypeVar("T")

SLICE_S: Final = 0.5


class Flag:
    """An event that a signal handler may set.

    The lock of `threading.Event` is not to be had twice by one thread: a signal that came in the
    microseconds in which the main thread holds it would wait for ever.
    """

    def __init__(self) -> None:
        self._set = False
        self._changed = threading.Condition(threading.RLock())

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._set

    def set(self) -> None:
        """Set it, for good."""
        with self._changed:
            self._set = True
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, for so long at most; return whether it is."""
        end_s = time.monotonic() + timeout_s
        with self._changed:
            # Piecewise: a signal just before the wait is not waited for.
            while not self._set and (left_s := end_s - time.monotonic()) > 0.0:
                self._changed.wait(min(left_s, SLICE_S))
        return self._set


class Supervisor:
    """Starts threads, notices the first death, and is the one place that catches everything.

    `ended` is set when a thread has died or `end` was called; whoever waits for
    it looks at `failure` afterwards.
    """

    def __init__(self) -> None:
        self.ended = Flag()
        self.failure: BaseException | None = None
        self._threads: dict[str, threading.Thread] = {}

    def start(self, name: str, target: Callable[[], None]) -> None:
        """Run `target` in a thread of that name."""
        # A daemon, so that a thread stuck in a driver can't keep a dying process alive.
        thread = threading.Thread(target=self._run, args=(name, target), name=name, daemon=True)
        self._threads[name] = thread
        thread.start()

    def end(self) -> None:
        """Ask for the end, from any thread or a signal handler."""
        self.ended.set()

    def join(self, name: str, timeout_s: float) -> bool:
        """Wait for a thread; return whether it has ended. One never started has."""
        thread = self._threads.get(name)
        if thread is None:
            return True
        thread.join(timeout_s)
        if thread.is_alive():
            log.warning("thread %s did not end within %g s", name, timeout_s)
        return not thread.is_alive()

    def _run(self, name: str, target: Callable[[], None]) -> None:
        try:
            target()
        except EdgeError as error:
            self._fail(error)
        except BaseException as error:
            log.critical("thread %s died", name, exc_info=error)
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
        self.ended.set()


class Mailbox(Generic[T]):
    """One place between two threads: the newest wins, what it replaces is counted in `dropped`."""

    def __init__(self) -> None:
        self._filled = threading.Condition()
        self._item: T | None = None
        self._closed = False
        self.dropped = 0

    def put(self, item: T) -> None:
        """Leave an item; never waits for the reader."""
        with self._filled:
            self.dropped += self._item is not None
            self._item = item
            self._filled.notify()

    def offer(self, item: T) -> None:
        """Leave an item where none waits; else it is as if it had not come."""
        with self._filled:
            if self._item is None:
                self._item = item
                self._filled.notify()

    def close(self) -> None:
        """Nothing more will come."""
        with self._filled:
            self._closed = True
            self._filled.notify()

    def take(self) -> T | None:
        """Wait for an item; None once closed and empty."""
        with self._filled:
            self._filled.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            return item
