# SPDX-License-Identifier: MIT
"""What becomes of the sounds: the clips of this run, and what the idle time makes of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from edge.cli.heard import in_words
from edge.errors import StorageError
from edge.record.folder import read_sidecar
from edge.record.name import REPORT
from edge.record.store import ClipStore

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edge.cli.heard import Saved
    from edge.record.store import Entry

ANALYSIS_LIMIT_S: Final = 60.0
LOOK_S: Final = 0.2


def show_clips(
    clips: Iterable[Saved],
    directory: Path,
    analyzer: subprocess.Popen[bytes],
    more: Callable[[], bool],
) -> None:
    """Print each clip, and its analysis as soon as it is there; ends when all are, or `more` says.

    Parameters
    ----------
    analyzer : the idle-time process, which nothing keeps from working any more.
    """
    end_s = time.monotonic() + ANALYSIS_LIMIT_S
    store = ClipStore(directory)
    for clip in clips:
        entry = _find(store, clip.file)
        sound = entry.audio if entry else None
        missing = "deleted since" if clip.file else "without its sound"
        print(f"clip: {sound or missing}, {clip.duration_s:.1f} s, {clip.labels}")
        if entry is None or sound is None:
            continue
        report = entry.bucket / f"{entry.stem}{REPORT}"
        while not report.exists() and analyzer.poll() is None and time.monotonic() < end_s:
            if not more():
                return
            if not sound.exists():
                break
            time.sleep(LOOK_S)
        _show(report)


def _find(store: ClipStore, file: str) -> Entry | None:
    """Return the clip that a message names, where it is one and is still there."""
    try:
        return store.find(file, by_id=False)
    except StorageError:
        return None


def _show(report: Path) -> None:
    try:
        body = read_sidecar(report)
    except StorageError:
        print("  no analysis yet")
    else:
        print(f"  analysis: {in_words(body)}")
        print(f"  picture: {report.with_suffix('.png')}", flush=True)
