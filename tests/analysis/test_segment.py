# SPDX-License-Identifier: MIT
"""A segment holds figures or None, never NaN, whatever was recorded; no compiler is loaded."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.analysis.segment import Options, Segment, analyse_segment

RATES_HZ = (8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000)

FRESH = """
import json, sys
import numpy as np
from edge.analysis.segment import Options, analyse_segment
analyse_segment(np.random.default_rng(0).random(22050, np.float32), 22050, Options(stems=True))
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def figures(value: Any) -> Iterator[Any]:  # noqa: ANN401 - a record of anything
    """Walk through every number and array of a record."""
    if is_dataclass(value):
        for field in fields(value):
            yield from figures(getattr(value, field.name))
    elif isinstance(value, tuple):
        for part in value:
            yield from figures(part)
    else:
        yield value


def check(segment: Segment, n_samples: int) -> None:
    """Nothing is NaN or infinite, shares are shares, and all spectra have the same frames."""
    for figure in figures(segment):
        if isinstance(figure, np.ndarray):
            assert np.isfinite(figure).all()
        elif isinstance(figure, float):
            assert math.isfinite(figure)
        else:
            assert figure is None or isinstance(figure, int | str)
    n_frames = 1 + n_samples // round(segment.hop_s * segment.rate_hz)
    assert segment.log_mel.shape == (n_frames, segment.mel_hz.size)
    assert len(segment.onsets.strength) == len(segment.separation.harmonic_dbfs) == n_frames
    # At odd lengths the lowest octaves may end a frame earlier, as librosa's do.
    for spectrum in (segment.constant_q, segment.variable_q):
        assert n_frames - 1 <= len(spectrum.magnitude) <= n_frames
        assert spectrum.magnitude.shape[1] == spectrum.bins_hz.size
    parts = segment.separation
    if parts.harmonic_share is not None:
        total = parts.harmonic_share + parts.percussive_share + parts.residual_share  # type: ignore[operator] # all or none
        assert total == pytest.approx(1.0, abs=1e-6)
    if segment.components:
        assert sum(part.share for part in segment.components) == pytest.approx(1.0)
    assert segment.tones.tonality is None or 0.0 <= segment.tones.tonality <= 1.0


def sound(kind: str, n_samples: int, seed: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).uniform(-1.0, 1.0, n_samples)
    index = np.arange(n_samples)
    made = {
        "silence": np.zeros(n_samples),
        "constant": np.ones(n_samples),
        "noise": noise,
        "faint": 1e-30 * noise,
        "denormal": 1e-42 * noise,
        "huge": 1e12 * noise,
        "square": np.sign(np.sin(0.05 * index)),
        "impulse": (index == n_samples // 2).astype(np.float64),
        "tone": np.sin(0.2 * index),
    }
    return made[kind].astype(np.float32)


KINDS = [
    *("silence", "constant", "noise", "faint", "denormal", "huge", "square", "impulse", "tone")
]


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    n_samples=st.integers(1, 20000),
    rate_hz=st.sampled_from(RATES_HZ),
    seed=st.integers(0, 2**32 - 1),
)
@example(kind="silence", n_samples=1023, rate_hz=44100, seed=0)
@example(kind="huge", n_samples=319, rate_hz=8000, seed=2)
@example(kind="huge", n_samples=324, rate_hz=8000, seed=2)
def test_any_sound_at_any_rate_gives_figures_or_none(
    kind: str, n_samples: int, rate_hz: int, seed: int
) -> None:
    samples = sound(kind, n_samples, seed)
    before = samples.copy()
    segment = analyse_segment(samples, rate_hz, Options(stems=True))
    check(segment, n_samples)
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_samples", [1, 2, 511, 512, 2047, 2048, 2049])
def test_very_short_sounds_give_figures_or_none(kind: str, n_samples: int) -> None:
    samples = sound(kind, n_samples, 1)
    check(analyse_segment(samples, 22050, Options(stems=True)), n_samples)


@pytest.mark.data
def test_real_recordings_give_figures(recordings: list[NDArray[np.float32]]) -> None:
    for samples in recordings:
        segment = analyse_segment(samples, 22050, Options())
        check(segment, samples.size)
        assert segment.figures is not None
        assert len(segment.components) == 4
        assert segment.duration_s == samples.size / 22050


@pytest.mark.data
def test_log_mel_is_librosas_within_2e_3_db(recordings: list[NDArray[np.float32]]) -> None:
    for samples in recordings:
        got = analyse_segment(samples, 22050, Options()).log_mel
        mel = librosa.feature.melspectrogram(y=samples, sr=22050)
        np.testing.assert_allclose(got, librosa.power_to_db(mel).T, atol=2e-3)


def test_mel_bands_stand_in_their_middles() -> None:
    segment = analyse_segment(np.zeros(100, np.float32), 22050, Options())
    edges_hz = librosa.mel_frequencies(130, fmax=11025.0)
    # The triangles of the lowest bands are hardly wider than a bin.
    np.testing.assert_allclose(segment.mel_hz[20:], edges_hz[21:-1], rtol=0.02)
    assert (np.diff(segment.mel_hz) > 0.0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e20])
def test_what_no_recorder_gives_is_refused_with_its_place(value: float) -> None:
    samples = np.zeros(1000, np.float32)
    samples[123] = value
    with pytest.raises(ValueError, match=rf"not {samples[123]} at 123".replace("+", r"\+")):
        analyse_segment(samples, 22050, Options())


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0, np.float32), np.zeros((100, 2), np.float32), np.zeros(100, np.float64)],
)
def test_what_is_no_row_of_samples_is_refused(samples: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"one row of float32, not \("):
        analyse_segment(samples, 22050, Options())


@pytest.mark.parametrize("rate_hz", [0, -1, 7999, 192001])
def test_a_rate_out_of_range_is_refused(rate_hz: int) -> None:
    with pytest.raises(ValueError, match=f"8000 to 192000, not {rate_hz}"):
        analyse_segment(np.zeros(1000, np.float32), rate_hz, Options())


def test_fewer_components_and_tones_are_found_when_fewer_are_asked_for() -> None:
    samples = sound("tone", 22050, 1) + 0.1 * sound("noise", 22050, 1)
    segment = analyse_segment(samples, 22050, Options(n_components=2, n_tones=0))
    assert len(segment.components) == 2
    assert segment.tones.tones == ()


def test_a_first_report_loads_no_compiler_and_no_library_that_brings_one() -> None:
    """In a fresh process: no numba, so none of its compiles, which cost seconds."""
    run = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True)
    loaded = set(json.loads(run.stdout))
    assert "numpy" in loaded
    assert not loaded & {"numba", "llvmlite", "librosa", "sklearn", "scipy", "matplotlib"}
