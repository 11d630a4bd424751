# SPDX-License-Identifier: MIT
"""The report of a recording: JSON, schema "edge-analysis/1".

Every quantity has its unit in its name; shares and other ratios are 0 to 1. A figure that has
no meaning (the crest of silence) is null; nothing is ever NaN.

=================  =====================================================================
key                holds
=================  =====================================================================
schema             "edge-analysis/1"; a change that a reader must know of counts up
clip_id            of the recorder, null for other recordings
label, event_ids   what the listener heard: of the clip, and of its events
start_time         ISO 8601 UTC of the first sample, null where nobody knows it
clock_synchronised whether that is to be trusted, null as above
source             file, sha256, size_bytes, format, rate_hz, channels, duration_s,
                   offset (DC, of full scale; removed), clipped_samples, bad_samples (no
                   numbers: taken as 0), notes [text]
settings           max_rate_hz, channel ("mean" or a number)
rate_hz            what was analysed, after conversion
software           versions of what computed
levels             rms_dbfs, peak_dbfs, crest_db, clipped_share
separation         harmonic_share, percussive_share, residual_share of the energy
tones              tonality; strongest [frequency_hz, note, level_dbfs, time_share,
                   drift_cents_per_s], strongest first
constant_q         lowest_hz, bins_per_octave, mean_db [one for each bin], a full-scale sine
variable_q         reading as `librosa.cqt`, `librosa.vqt` do
onsets             count, rate_per_s, regularity, period_s, times_s [at most 500]
components         [energy_share, peak_hz, centroid_hz, loudest_s, active_share], of the
                   loudest stretch, strongest first
spectrum           centroid_hz, bandwidth_hz, rolloff_hz, flatness: each mean, p10, p90
stretches          of a recording over 35 s, one for each 30 s: start_s, duration_s, rms_dbfs,
                   peak_dbfs, harmonic_share, percussive_share, residual_share, tonality,
                   onsets, regularity, period_s, centroid_hz, strongest_hz
picture, stems     file names beside the report, null and [] if none was asked for
error              instead of all figures: why there are none
=================  =====================================================================

Of several stretches, levels are energy means (the highest peak), shares and tonality are
weighted with energy, spectral figures with time; tones within half a semitone are one;
an onset is measured by the highest strength so far; regularity and period are those of the
most regular stretch.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.analysis.inbox import SCHEMA
from edge.analysis.summary import rounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.analysis.recording import Recording
    from edge.analysis.summary import Summary

Body = dict[str, Any]


def report_of(
    recording: Recording, summary: Summary, *, digest: str, settings: Mapping[str, Any]
) -> Body:
    """Return the report of a recording that has been read to its end, without a clip's facts.

    Parameters
    ----------
    digest : hex SHA-256 of the file.
    settings : what it was analysed with, as it shall stand in the report.
    """
    figures = summary.figures()
    # Of the file: a conversion of the rate moves what was at full scale.
    figures["levels"]["clipped_share"] = rounded(
        recording.clipped_samples / recording.source_samples, 6
    )
    source = {
        "file": recording.path.name,
        "sha256": digest,
        "size_bytes": recording.size_bytes,
        "format": recording.format,
        "rate_hz": recording.source_rate_hz,
        "channels": recording.channels,
        "duration_s": round(recording.duration_s, 6),
        "offset": rounded(recording.offset, 6),
        "clipped_samples": recording.clipped_samples,
        "bad_samples": recording.bad_samples,
        "notes": list(recording.notes),
    }
    return {
        "schema": SCHEMA,
        **clip_facts({}),
        "source": source,
        "settings": dict(settings),
        "software": _software(),
        **figures,
        "picture": None,
        "stems": [],
    }


def clip_facts(sidecar: Mapping[str, Any]) -> Body:
    """Return what a report repeats of the recorder's sidecar; {}: of no clip."""
    labels = sidecar.get("labels") or []
    return {
        "clip_id": sidecar.get("clip_id"),
        "label": labels[0] if labels else None,
        "event_ids": [event.get("event_id") for event in sidecar.get("events") or []],
        "start_time": sidecar.get("start_time"),
        "clock_synchronised": sidecar.get("clock_synchronised"),
    }


@cache
def _software() -> dict[str, str]:
    names = ("numpy", "soundfile", "soxr")
    return {"edge": __version__, **{name: version(name) for name in names}}
