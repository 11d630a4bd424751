# SPDX-License-Identifier: MIT
"""What is done with one recording: the same function in the unit, by hand, and on a cluster."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from edge.analysis.recording import Recording
from edge.analysis.report import clip_facts, report_of
from edge.analysis.segment import Options as SegmentOptions
from edge.analysis.segment import analyse_segment
from edge.analysis.strip import Strips
from edge.analysis.summary import Summary
from edge.errors import DeviceError
from edge.service.analyze.job import N_COMPONENTS, settings_of, write_whole
from edge.service.analyze.stem import Stems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.analysis.onset import Onsets
    from edge.service.analyze.job import Job


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
    summary, strips = Summary(), Strips()
    before: Onsets | None = None
    with contextlib.closing(recording), contextlib.ExitStack() as stack:
        stems = stack.enter_context(Stems(job, recording.rate_hz)) if options.stems else None
        for samples in recording.stretches():
            segment = analyse_segment(
                samples,
                recording.rate_hz,
                SegmentOptions(n_components=N_COMPONENTS, stems=options.stems, before=before),
            )
            before = segment.onsets
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


def _draw(
    job: Job, strips: Strips, report: Mapping[str, Any], events: list[tuple[float, float]]
) -> None:
    from edge.analysis.picture import draw  # matplotlib: 0.5 s, only who wants one

    write_whole(job.picture, draw(strips, report, events))


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
