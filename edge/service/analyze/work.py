# SPDX-License-Identifier: MIT
"""What is done with one recording: the same function in the unit, by hand, and on a cluster."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import soundfile

from edge.analysis.recording import Recording
from edge.analysis.report import clip_facts, report_of
from edge.analysis.segment import Options as SegmentOptions
from edge.analysis.segment import analyse_segment
from edge.analysis.strip import Strips
from edge.analysis.summary import Summary
from edge.errors import DeviceError
from edge.service.analyze.job import N_COMPONENTS, commit, part_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.analysis.segment import Segment
    from edge.service.analyze.job import Job

_STEM_FORMAT = "PCM_16"


def carry_out(job: Job, progress: Callable[[float], None]) -> dict[str, Any]:
    """Analyse a recording, leave picture and stems where they belong, return the report.

    The report itself is the caller's to write, last of all.

    Parameters
    ----------
    progress : called after each stretch with the share, 0 to 1, that is done.

    Raises `DeviceError` for a recording that can't be analysed, `OSError` where results can't
    be written, `MemoryError`.
    """
    options = job.options
    recording = Recording(job.sound, max_rate_hz=options.rate_hz, channel=options.channel)
    job.output.mkdir(parents=True, exist_ok=True)
    summary, strips = Summary(), Strips()
    with contextlib.closing(recording), contextlib.ExitStack() as stack:
        stems = stack.enter_context(_Stems(job, recording.rate_hz)) if options.stems else None
        for samples in recording.stretches():
            segment = analyse_segment(
                samples,
                recording.rate_hz,
                SegmentOptions(n_components=N_COMPONENTS, stems=options.stems),
            )
            summary.add(segment)
            if options.picture:
                strips.add(segment)
            if stems:
                stems.add(segment)
            progress(min(recording.duration_s / max(recording.promised_s, 1e-9), 1.0))
        made = stems.commit() if stems else []
    sidecar = _sidecar(job.sidecar)
    settings = settings_of(options)
    report = report_of(recording, summary, digest=_digest(job.sound), settings=settings)
    report |= clip_facts(sidecar)
    if options.picture:
        _draw(job, strips, report, _events(sidecar))
        report["picture"] = job.picture.name
    report["stems"] = [path.name for path in made]
    return report


class _Stems:
    """Parts of the sound, written as they come: harmonic, percussive, and each component's.

    Components are found anew in every stretch, so one of a stretch is not one of the next:
    only a recording of one stretch has stems of components.
    """

    def __init__(self, job: Job, rate_hz: int) -> None:
        self._paths = job.stems
        self._rate_hz = rate_hz
        self._files: dict[Path, Any] = {}
        self._stretches = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for path in [*self._files]:
            self._close(path)
            part_of(path).unlink(missing_ok=True)  # unless it is committed: then it is gone

    def add(self, segment: Segment) -> None:
        """Write what a stretch holds."""
        pair = (segment.separation.harmonic, segment.separation.percussive)
        components = [one.sound for one in segment.components] if not self._stretches else []
        for path, samples in zip(self._paths, (*pair, *components), strict=False):
            if samples is not None:
                self._file(path).write(np.clip(samples, -1.0, 1.0))
        self._stretches += 1

    def commit(self) -> list[Path]:
        """Give the files their names; return them."""
        paths = [*self._files][: len(self._paths) if self._stretches == 1 else 2]
        for path in paths:
            self._close(path)
            commit(part_of(path), path)
        return paths

    def _file(self, path: Path) -> Any:  # noqa: ANN401 - soundfile ships no types
        if path not in self._files:
            how = {"subtype": _STEM_FORMAT, "format": "FLAC"}
            self._files[path] = soundfile.SoundFile(part_of(path), "w", self._rate_hz, 1, **how)
        return self._files[path]

    def _close(self, path: Path) -> None:
        self._files[path].close()


def _draw(
    job: Job, strips: Strips, report: Mapping[str, Any], events: list[tuple[float, float]]
) -> None:
    from edge.analysis.picture import draw  # matplotlib: 0.5 s, only who wants one

    part = part_of(job.picture)
    part.write_bytes(draw(strips, report, events))
    commit(part, job.picture)


def _sidecar(path: Path | None) -> dict[str, Any]:
    """Return what the recorder wrote; {} where it wrote nothing that can be read."""
    try:
        body = json.loads(path.read_bytes()) if path else {}
    except (OSError, ValueError):
        return {}
    known = isinstance(body, dict) and str(body.get("schema")).startswith("edge-clip/")
    return body if known else {}


def _events(sidecar: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return onset and offset of each event, in seconds from the clip's start."""
    start, rate_hz = sidecar.get("start_sample", 0), sidecar.get("rate_hz", 0)
    if not rate_hz:
        return []
    end = sidecar.get("end_sample", start)
    return [
        (
            (event["onset_sample"] - start) / rate_hz,
            ((end if event.get("offset_sample") is None else event["offset_sample"]) - start)
            / rate_hz,
        )
        for event in sidecar.get("events") or []
    ]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DeviceError(f"{path} went away while it was read: {error.strerror}") from error
