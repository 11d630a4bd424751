# SPDX-License-Identifier: MIT
"""From the files and folders that somebody names to jobs."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceError
from edge.service.analyze.job import STEMS, Job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.service.analyze.job import Options

SUFFIXES: Final = frozenset(
    (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64")
)
"""What is taken from a folder; a file that is named is tried whatever it is called."""


def jobs_of(paths: Sequence[Path], options: Options, output: Path | None) -> list[Job]:
    """Return a job for each recording in `paths`, in the order of their names.

    Results lie beside their recording, or in `output`, below which the folders of a named
    folder are repeated. A report is named after its recording without the suffix; where
    another recording differs by the suffix alone, with it.

    Raises `DeviceError` where there is nothing to do, or where two results would have one name.
    """
    stems_in = cache(_stems_in)
    jobs = [
        Job(
            sound=sound,
            output=sound.parent if output is None else output / sound.parent.relative_to(top),
            stem=sound.stem if stems_in(sound.parent)[sound.stem] < 2 else sound.name,
            options=options,
            sidecar=sound.with_suffix(".json") if sound.with_suffix(".json").is_file() else None,
        )
        for top, sound in _recordings(paths)
    ]
    if not jobs:
        named = ", ".join(map(str, paths))
        raise DeviceError(f"there is no recording in {named}", "give WAV, FLAC, OGG or MP3")
    report, times = Counter(job.report for job in jobs).most_common(1)[0]
    if times > 1:
        raise DeviceError(
            f"{times} recordings would have the one report {report}", "do them one at a time"
        )
    return jobs


def _recordings(paths: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Give each recording once, with the folder that its results' folders are relative to."""
    seen: set[Path] = set()
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for sound in inside:
            if (sound == path or _is_recording(sound)) and sound not in seen:
                seen.add(sound)
                yield (path if sound != path else path.parent), sound


def _is_recording(path: Path) -> bool:
    ours = path.name.endswith(STEMS) or path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not ours and path.is_file()


def _stems_in(folder: Path) -> Counter[str]:
    try:
        return Counter(path.stem for path in folder.iterdir() if _is_recording(path))
    except OSError:
        return Counter()
