# SPDX-License-Identifier: MIT
"""What becomes of the sounds: the clips of this run, and what the idle time makes of them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from edge.cli.heard import in_words

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edge.cli.heard import Saved

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
    for clip in clips:
        (sound, *_) = [*directory.rglob(clip.file)] if clip.file else [None]
        print(f"clip: {sound or 'without its sound'}, {clip.duration_s:.1f} s, {clip.labels}")
        if sound is None:
            continue
        report = sound.with_suffix(".analysis.json")
        while not report.exists() and analyzer.poll() is None and time.monotonic() < end_s:
            if not more():
                return
            time.sleep(LOOK_S)
        if report.exists():
            body = json.loads(report.read_bytes())
            print(f"  analysis: {in_words(body)}")
            print(f"  picture: {sound.with_suffix('.analysis.png')}", flush=True)
        else:
            print("  no analysis yet")
