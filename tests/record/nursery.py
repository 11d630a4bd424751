# SPDX-License-Identifier: MIT
"""Processes that save clips until they are killed, forked from one that is warm.

Each line of standard input is a folder and a number; a process is forked that prints its
id, then the number of each clip that it has saved. With a number over 0 it kills itself at
that many operations on files, and else goes on for ever. When it is gone, its end is
printed as `gone` and the signal.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path

from edge.record.store import ClipStore
from tests.record.shelf import flac, sidecar

CLIPS = [flac(seed) for seed in range(3)]
OPERATIONS = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "fcntl.flock"}
KEPT_CLIPS = 3
SAVED_CLIPS = 5
"""Of one that ends by itself: at least one is deleted, too."""


def die_at(operations: int) -> None:
    """Kill this process when Python is about to do that many operations on files."""
    left = operations

    def count(event: str, _: tuple[object, ...]) -> None:
        nonlocal left
        if event not in OPERATIONS:  # killing is one
            return
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def save_clips(folder: Path, *, for_ever: bool) -> None:
    """Save clips and delete the oldest ones."""
    store = ClipStore(folder)
    store.open()
    saved = 0
    while for_ever or saved < SAVED_CLIPS:
        audio = CLIPS[saved % len(CLIPS)]
        digest = hashlib.sha256(audio).hexdigest()
        path = store.save(sidecar(sha256=digest), audio, "flac")
        _tell(path.name[:7])
        saved += 1
        entries = list(store.entries())
        for entry in entries[:-KEPT_CLIPS]:
            store.delete(entry)


def main() -> None:
    """Fork for each line, and wait."""
    for line in sys.stdin:
        folder, _, operations = line.rstrip("\n").rpartition("\t")
        child = os.fork()
        if not child:
            _tell(os.getpid())
            if int(operations):
                die_at(int(operations))
            save_clips(Path(folder), for_ever=not int(operations))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        _tell("gone", os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


def _tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
