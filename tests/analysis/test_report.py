# SPDX-License-Identifier: MIT
"""The report: every figure with its unit, never NaN, and right over many stretches."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from edge.analysis.inbox import SCHEMA
from edge.analysis.recording import Recording
from edge.analysis.report import clip_facts, report_of
from edge.analysis.segment import Options, analyse_segment
from edge.analysis.summary import MOST_TIMES, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

RATE_HZ = 8000
UNITS = ("_hz", "_s", "_db", "_dbfs", "_bytes", "_share", "_per_s", "_samples", "_octave")
UNITLESS = {  # ratios of 0 to 1, counts, and full scale, as the schema says
    *("tonality", "regularity", "count", "onsets", "channels", "offset"),
    *("mean", "p10", "p90"),  # of what is named one level up
}


def time_s(seconds: float) -> NDArray[np.float64]:
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def tone(seconds: float, freq_hz: float, level: float = 0.5) -> Float32:
    return (level * np.sin(2 * np.pi * freq_hz * time_s(seconds))).astype("f4")


def clicks(seconds: float, period_s: float) -> Float32:
    rng = np.random.default_rng(0)
    out = rng.normal(0.0, 1e-4, round(seconds * RATE_HZ))
    for start in np.arange(0.2, seconds - 0.1, period_s):
        at = round(start * RATE_HZ)
        out[at : at + 80] += rng.normal(0.0, 0.3, 80)
    return out.astype("f4")


def summed(*parts: Float32) -> dict[str, Any]:
    summary = Summary()
    for part in parts:
        summary.add(analyse_segment(part, RATE_HZ, Options()))
    return summary.figures()


def reported(path: Path) -> dict[str, Any]:
    with closing(Recording(path, max_rate_hz=22050)) as recording:
        summary = Summary()
        for samples in recording.stretches():
            summary.add(analyse_segment(samples, recording.rate_hz, Options()))
        return report_of(recording, summary, digest="0" * 64, settings={"max_rate_hz": 22050})


def leaves(body: Any, name: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(body, dict):
        for key, value in body.items():
            yield from leaves(value, key)
    elif isinstance(body, list):
        for value in body:
            yield from leaves(value, name)
    else:
        yield name, body


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(RATE_HZ, "f4"),
        np.full(1, 0.5, "f4"),
        np.full(RATE_HZ, 0.25, "f4"),
        np.sign(tone(1.0, 100.0)).astype("f4"),
        tone(0.05, 440.0),
        clicks(3.0, 0.5),
    ],
    ids=["silence", "one sample", "constant", "clipped", "50 ms", "clicks"],
)
def test_every_figure_is_a_number_or_null_and_names_its_unit(
    tmp_path: Path, samples: Float32
) -> None:
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    report = reported(tmp_path / "a.wav")
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    for name, value in leaves(report):
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert name.endswith(UNITS) or name in UNITLESS | {"flatness"}, name


def test_a_tone_reads_as_a_tone(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(3.0, 440.0), RATE_HZ, subtype="FLOAT")
    report = reported(tmp_path / "a.wav")
    assert report["schema"] == SCHEMA
    assert report["levels"]["rms_dbfs"] == pytest.approx(-9.03, abs=0.01)
    strongest = report["tones"]["strongest"][0]
    assert strongest["frequency_hz"] == pytest.approx(440.0, abs=0.5)
    assert strongest["note"].startswith("A4")
    assert report["separation"]["harmonic_share"] > 0.9
    assert np.argmax(report["constant_q"]["mean_db"]) == 45  # A4 is 45 semitones over C1
    assert report["stretches"] == []
    assert report["clip_id"] is None


def test_two_stretches_have_the_energy_of_both_and_the_peak_of_the_louder() -> None:
    loud, quiet = tone(2.0, 440.0, 0.5), tone(6.0, 1000.0, 0.05)
    whole = summed(loud, quiet)
    mean_square = (0.125 * 2 + 0.00125 * 6) / 8
    assert whole["levels"]["rms_dbfs"] == pytest.approx(10 * np.log10(mean_square), abs=0.02)
    assert whole["levels"]["peak_dbfs"] == pytest.approx(-6.02, abs=0.02)
    assert [one["start_s"] for one in whole["stretches"]] == [0.0, 2.0]
    assert [round(one["strongest_hz"]) for one in whole["stretches"]] == [440, 1000]
    tones = whole["tones"]["strongest"]
    assert [round(one["frequency_hz"]) for one in tones[:2]] == [440, 1000]
    assert tones[0]["time_share"] == pytest.approx(0.25, abs=0.03)
    assert tones[1]["time_share"] == pytest.approx(0.75, abs=0.05)


def test_shares_of_several_stretches_are_those_of_the_energy() -> None:
    loud = tone(2.0, 440.0, 0.5)
    quiet = np.random.default_rng(0).normal(0.0, 0.005, 6 * RATE_HZ).astype("f4")
    whole, alone = summed(loud, quiet), summed(loud)
    hiss = summed(quiet)
    assert hiss["separation"]["harmonic_share"] < 0.5 < alone["separation"]["harmonic_share"]
    assert whole["separation"] == pytest.approx(alone["separation"], abs=0.01)
    assert hiss["tones"]["tonality"] < 0.8 * alone["tones"]["tonality"]
    assert whole["tones"]["tonality"] == pytest.approx(alone["tones"]["tonality"], abs=0.02)


def test_one_tone_through_all_stretches_is_one_tone_all_the_time() -> None:
    tones = summed(*[tone(2.0, 700.0)] * 3)["tones"]["strongest"]
    near = [one for one in tones if abs(one["frequency_hz"] - 700.0) < 10]
    assert len(near) == 1
    assert near[0]["time_share"] == pytest.approx(1.0, abs=0.05)


def test_two_tones_of_one_semitone_are_two_and_neither_sounds_for_more_than_all_the_time() -> None:
    # 3520 Hz is A7; 45 cents under and over it both round to it.
    pair = tone(3.0, 3520.0 * 2 ** (-45 / 1200), 0.2) + tone(3.0, 3520.0 * 2 ** (45 / 1200), 0.2)
    tones = summed(pair)["tones"]["strongest"]
    assert sorted(round(one["frequency_hz"]) for one in tones[:2]) == [3430, 3613]
    assert all(one["time_share"] <= 1.0 for one in tones)


def test_one_tone_between_two_semitones_is_one_tone_all_the_time() -> None:
    edge_hz = 440.0 * 2 ** (0.5 / 12)
    tones = summed(tone(2.0, edge_hz - 1.0), tone(2.0, edge_hz + 1.0))["tones"]["strongest"]
    near = [one for one in tones if abs(one["frequency_hz"] - edge_hz) < 10]
    assert len(near) == 1
    assert near[0]["time_share"] == pytest.approx(1.0, abs=0.05)


def test_what_was_clipped_before_the_rate_was_converted_is_clipped(tmp_path: Path) -> None:
    """A converted rate rounds off single samples at full scale and rings beyond long ones."""
    samples = np.zeros(48000, "f4")
    samples[100::100] = 1.0
    soundfile.write(tmp_path / "a.wav", samples, 48000, subtype="PCM_16")
    report = reported(tmp_path / "a.wav")
    assert report["source"]["clipped_samples"] == 479
    assert report["levels"]["clipped_share"] == pytest.approx(479 / 48000, abs=1e-6)


def test_onsets_go_on_over_stretches_and_their_list_is_bounded() -> None:
    part = clicks(20.0, 0.25)
    one = analyse_segment(part, RATE_HZ, Options())
    summary = Summary()
    for _ in range(30):
        summary.add(one)
    onsets = summary.figures()["onsets"]
    assert onsets["count"] == 30 * len(one.onsets.times_s) > MOST_TIMES
    assert len(onsets["times_s"]) == MOST_TIMES
    assert onsets["times_s"] == sorted(onsets["times_s"])
    assert onsets["rate_per_s"] == pytest.approx(one.onsets.rate_per_s, abs=1e-3)
    assert onsets["period_s"] == pytest.approx(0.25, abs=0.02)


def test_silence_beside_sound_changes_no_share() -> None:
    alone, beside = summed(tone(3.0, 440.0)), summed(np.zeros(RATE_HZ, "f4"), tone(3.0, 440.0))
    assert beside["separation"] == alone["separation"]
    assert beside["stretches"][0]["rms_dbfs"] is None


def test_components_say_when_they_are_loudest() -> None:
    first, second = tone(1.5, 300.0), tone(1.5, 2000.0)
    components = summed(np.concatenate([first, second]))["components"][:2]
    when = {round(one["peak_hz"], -2): one["loudest_s"] for one in components}
    assert 0.0 <= when[300.0] <= 1.6 <= when[2000.0] + 0.1 <= 3.1
    assert all(one["active_share"] == pytest.approx(0.5, abs=0.1) for one in components)


def test_what_the_recorder_wrote_of_a_clip_is_repeated() -> None:
    sidecar = {
        "clip_id": "edge-1-7",
        "labels": ["rain", "other"],
        "events": [{"event_id": "e1"}, {"event_id": "e2"}],
        "start_time": "2026-11-22T22:17:36.545Z",
        "clock_synchronised": True,
    }
    facts = clip_facts(sidecar)
    assert (facts["clip_id"], facts["label"], facts["event_ids"]) == (
        "edge-1-7",
        "rain",
        ["e1", "e2"],
    )
    assert clip_facts({})["event_ids"] == []


def test_a_summary_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no segments"):
        Summary().figures()
