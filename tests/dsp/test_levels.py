# SPDX-License-Identifier: MIT
"""Levels are the standard's, on the grid of the sample index, whatever the cut."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from edge.dsp.levels import FLOOR_DBFS, LevelMeter, levels
from edge.dsp.standard import weighting_sos
from edge.types import Level

RATE_HZ = 48000
A, C = weighting_sos("A", RATE_HZ), weighting_sos("C", RATE_HZ)
FIGURES = ("laeq_dbfs", "lceq_dbfs", "lzeq_dbfs", "lafmax_dbfs", "lasmax_dbfs", "lcpeak_dbfs")


def meter(max_samples: int = 6000) -> LevelMeter:
    return LevelMeter(RATE_HZ, A, C, max_samples)


def tone(freq_hz: float, seconds: float, amplitude: float = 0.5) -> NDArray[np.float32]:
    phase = 2 * np.pi * freq_hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (amplitude * np.sin(phase)).astype(np.float32)


def figures(level: Level) -> list[float]:
    return [getattr(level, name) for name in FIGURES]


def independent(samples: NDArray[np.float32]) -> list[list[float]]:
    """Measure second by second with SciPy in float64."""
    x = samples.astype(np.float64)
    a, c = signal.sosfilt(A, x), signal.sosfilt(C, x)
    fast, slow = (
        signal.lfilter([1 - pole], [1, -pole], a**2)
        for pole in (np.exp(-1 / (constant_s * RATE_HZ)) for constant_s in (0.125, 1.0))
    )
    seconds = [slice(k, k + RATE_HZ) for k in range(0, len(x), RATE_HZ)]
    return [
        [
            10 * np.log10(np.mean(a[s] ** 2)),
            10 * np.log10(np.mean(c[s] ** 2)),
            10 * np.log10(np.mean(x[s] ** 2)),
            10 * np.log10(np.max(fast[s])),
            10 * np.log10(np.max(slow[s])),
            20 * np.log10(np.max(np.abs(c[s]))),
        ]
        for s in seconds
    ]


def test_every_figure_agrees_with_float64_sections(noise: NDArray[np.float32]) -> None:
    got = [figures(level) for level in meter().process(noise)]
    np.testing.assert_allclose(got, independent(noise), atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 20000), max_size=12), max_samples=st.integers(100, 9000))
def test_any_cut_gives_the_same_levels(sizes: list[int], max_samples: int) -> None:
    x = (0.1 * np.random.default_rng(3).standard_normal(100000)).astype(np.float32)
    stream = meter(max_samples)
    parts: list[Level] = []
    for piece in np.split(x, np.minimum(np.cumsum(sizes, dtype=int), x.size)):
        parts += stream.process(piece)
    assert [(p.sample_index, p.n_samples) for p in parts] == [(0, 48000), (48000, 48000)]
    np.testing.assert_allclose(
        [figures(p) for p in parts], [figures(p) for p in meter().process(x)], atol=1e-4
    )
    assert stream.sample_index == x.size


def test_a_full_scale_sine_at_1_khz_reads_minus_3_db_in_all_weightings() -> None:
    level = meter().process(tone(1000.0, 3.0, amplitude=1.0))[-1]
    assert level.laeq_dbfs == pytest.approx(-3.01, abs=0.01)
    assert level.lafmax_dbfs == pytest.approx(-3.01, abs=0.02)
    assert level.lzeq_dbfs == pytest.approx(-3.01, abs=0.001)
    # Of 48 samples a cycle the highest may be 0.019 dB under the peak.
    assert level.lcpeak_dbfs == pytest.approx(0.0, abs=0.019)


# IEC 61672-1:2013, Table 4: toneburst of 4 kHz, its Fast level and LAE under the steady level,
# and the class 1 limits above and below.
BURSTS = [
    (1.0, 0.0, 0.0, 0.5, 0.5),
    (0.5, -0.1, -3.0, 0.5, 0.5),
    (0.2, -1.0, -7.0, 0.5, 0.5),
    (0.1, -2.6, -10.0, 1.0, 1.0),
    (0.05, -4.8, -13.0, 1.0, 1.0),
    (0.02, -8.3, -17.0, 1.0, 1.0),
    (0.01, -11.1, -20.0, 1.0, 1.0),
    (0.005, -14.1, -23.0, 1.0, 1.0),
    (0.002, -18.0, -27.0, 1.0, 1.5),
    (0.001, -21.0, -30.0, 1.0, 2.0),
    (0.0005, -24.0, -33.0, 1.0, 2.5),
    (0.00025, -27.0, -36.0, 1.0, 3.0),
]


@pytest.mark.parametrize(("burst_s", "fast_db", "exposure_db", "above_db", "below_db"), BURSTS)
def test_a_toneburst_reads_what_the_standard_says(
    burst_s: float, fast_db: float, exposure_db: float, above_db: float, below_db: float
) -> None:
    steady = meter().process(tone(4000.0, 2.0))[-1]
    burst = np.concatenate([tone(4000.0, 1.0), np.zeros(RATE_HZ, np.float32)])
    burst[round(burst_s * RATE_HZ) :] = 0.0
    heard = meter().process(burst)
    energy = sum(10.0 ** (second.laeq_dbfs / 10.0) for second in heard)
    off = {
        "fast": max(second.lafmax_dbfs for second in heard) - steady.lafmax_dbfs - fast_db,
        "exposure": 10.0 * np.log10(energy) - steady.laeq_dbfs - exposure_db,
    }
    assert all(-below_db <= one <= above_db for one in off.values()), off
    if burst_s >= 0.001:  # of shorter ones the goals are the filter's rise, and rounded
        assert off["fast"] == pytest.approx(0.0, abs=0.15)


@pytest.mark.parametrize(("burst_s", "below_db"), [(1.0, -2.0), (0.5, -4.1), (0.2, -7.4)])
def test_slow_reads_a_toneburst_as_far_below_as_the_standard_says(
    burst_s: float, below_db: float
) -> None:
    steady = meter().process(tone(4000.0, 9.0))[-1].lasmax_dbfs
    burst = tone(4000.0, 1.0)
    burst[round(burst_s * RATE_HZ) :] = 0.0
    assert meter().process(burst)[0].lasmax_dbfs - steady == pytest.approx(below_db, abs=0.15)


def test_slow_decays_by_4_3_db_per_second() -> None:
    sound = np.concatenate([tone(1000.0, 6.0), np.zeros(3 * RATE_HZ, np.float32)])
    heard = [level.lasmax_dbfs for level in meter().process(sound)]
    assert heard[-2] - heard[-1] == pytest.approx(4.34, abs=0.02)


def test_levels_are_linear_over_100_db() -> None:
    """From full scale down to 100 dB under it every figure falls as the sound does."""
    loud = meter().process(tone(1000.0, 2.0, 1.0))[-1]
    for step_db in range(10, 101, 10):
        quiet = meter().process(tone(1000.0, 2.0, 10.0 ** (-step_db / 20.0)))[-1]
        fallen = np.array(figures(loud)) - figures(quiet)
        np.testing.assert_allclose(fallen, step_db, atol=0.02)


def test_fast_is_sampled_each_10_ms_of_the_stream_whatever_the_cut(
    noise: NDArray[np.float32],
) -> None:
    whole = meter().process(noise)
    stream = meter(1000)
    parts = [level for k in range(0, noise.size, 777) for level in stream.process(noise[k:][:777])]
    assert [level.laf_dbfs.size for level in whole] == [40, 100, 100]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one.laf_dbfs, other.laf_dbfs, atol=1e-4)
        assert one.lafmin_dbfs == pytest.approx(other.lafmin_dbfs, abs=1e-4)
    a = signal.sosfilt(A, noise.astype(np.float64))
    pole = np.exp(-1 / (0.125 * RATE_HZ))
    fast = 10 * np.log10(signal.lfilter([1 - pole], [1, -pole], a**2)[RATE_HZ : 2 * RATE_HZ])
    np.testing.assert_allclose(whole[1].laf_dbfs, fast[::480], atol=1e-3)
    assert whole[1].lafmin_dbfs == pytest.approx(fast.min(), abs=1e-3)


def test_what_fast_needs_to_rise_is_no_minimum() -> None:
    stream = meter()
    first, second = stream.process(tone(1000.0, 2.0))
    assert first.lafmin_dbfs == pytest.approx(second.lafmin_dbfs, abs=0.05)
    stream.gap(RATE_HZ // 2)
    (after,) = stream.process(tone(1000.0, 0.5))
    assert (after.lafmin_dbfs, after.laf_dbfs.size) == (None, 0)
    (settled,) = stream.process(tone(1000.0, 1.0))
    assert settled.lafmin_dbfs == pytest.approx(second.lafmin_dbfs, abs=0.05)


def test_an_interval_can_be_shorter_than_a_second() -> None:
    short = LevelMeter(RATE_HZ, A, C, 6000, interval_samples=RATE_HZ // 8)
    heard = short.process(tone(1000.0, 1.0))
    assert [level.sample_index for level in heard] == list(range(0, RATE_HZ, RATE_HZ // 8))
    assert heard[-1].laeq_dbfs == pytest.approx(-9.03, abs=0.01)


def test_fast_decays_by_34_7_db_per_second() -> None:
    sound = np.concatenate([tone(1000.0, 1.0), np.zeros(2 * RATE_HZ, np.float32)])
    first, second, third = (level.lafmax_dbfs for level in meter().process(sound))
    assert second == pytest.approx(first, abs=0.1)
    assert second - third == pytest.approx(34.7, abs=0.2)


def test_digital_silence_reads_the_floor() -> None:
    silence = meter().process(np.zeros(RATE_HZ, np.float32))[0]
    assert figures(silence) == [FLOOR_DBFS] * len(FIGURES)


def test_pure_twin_covers_the_whole_recording(noise: NDArray[np.float32]) -> None:
    whole = levels(noise[:RATE_HZ], RATE_HZ, A, C)
    np.testing.assert_allclose(
        figures(whole), figures(meter().process(noise[:RATE_HZ])[0]), atol=1e-4
    )
    part = levels(noise[:1000], RATE_HZ, A, C)
    assert (part.n_samples, part.end_index) == (1000, 1000)
    with pytest.raises(ValueError, match="one sample"):
        levels(noise[:0], RATE_HZ, A, C)


def test_gap_inside_a_second_leaves_its_other_samples_to_be_read() -> None:
    stream = meter()
    stream.process(tone(1000.0, 0.4))
    assert stream.gap(9600) == []
    (level,) = stream.process(tone(1000.0, 0.4))
    assert (level.sample_index, level.n_samples, level.gap) == (0, 38400, True)
    assert level.lzeq_dbfs == pytest.approx(-9.03, abs=0.01)
    (after,) = stream.process(tone(1000.0, 1.0))
    assert (after.sample_index, after.gap) == (48000, False)


def test_gap_over_seconds_ends_one_interval_and_begins_a_later_one() -> None:
    """Seconds that were lost wholly aren't reported."""
    stream = meter()
    stream.process(tone(1000.0, 0.5))
    (ended,) = stream.gap(2 * RATE_HZ)
    assert (ended.sample_index, ended.n_samples, ended.gap) == (0, 24000, True)
    assert ended.end_index == 48000
    assert stream.sample_index == 120000
    (level,) = stream.process(tone(1000.0, 0.5))
    assert (level.sample_index, level.n_samples, level.gap) == (96000, 24000, True)
    assert level.end_index == 144000


def test_gap_that_ends_on_the_grid_leaves_the_next_second_whole() -> None:
    stream = meter()
    stream.process(tone(1000.0, 0.5))
    assert [level.gap for level in stream.gap(24000)] == [True]
    assert [level.gap for level in stream.process(tone(1000.0, 1.0))] == [False]
    assert stream.gap(RATE_HZ) == []


def test_gap_that_begins_on_the_grid_marks_only_the_second_it_cuts() -> None:
    stream = meter()
    assert [level.gap for level in stream.process(tone(1000.0, 1.0))] == [False]
    assert stream.gap(100) == []
    (level,) = stream.process(tone(1000.0, 1.0)[100:])
    assert (level.gap, level.n_samples) == (True, 47900)


def test_filters_restart_after_a_gap() -> None:
    """What rang before the hole isn't heard behind it."""
    stream = meter()
    stream.process(tone(1000.0, 0.5))
    stream.gap(24000)
    (level,) = stream.process(np.zeros(RATE_HZ, np.float32))
    assert figures(level) == [FLOOR_DBFS] * len(FIGURES)


def test_gap_of_nothing_changes_nothing_and_a_negative_one_is_refused() -> None:
    stream = meter()
    assert stream.gap(0) == []
    assert not stream.process(tone(1000.0, 1.0))[0].gap
    with pytest.raises(ValueError, match="-1"):
        stream.gap(-1)


def test_clipped_samples_count_to_the_second_in_which_they_came() -> None:
    stream = meter()
    stream.process(tone(1000.0, 0.5), clipped=3)
    first, second = stream.process(tone(1000.0, 1.5), clipped=4)
    assert (first.clipped_samples, second.clipped_samples) == (7, 0)


@pytest.mark.data
@pytest.mark.parametrize(("name", "rms_dbfs"), [("94dB", -41.10), ("38dB", -79.22)])
def test_calibrated_microphone_reads_its_reference(
    reference: Path, name: str, rms_dbfs: float
) -> None:
    raw = np.fromfile(reference / "spl" / f"ref{name}_48000Hz_32bitsPCM.raw", "<i4")
    level = levels((raw / 2.0**31).astype(np.float32), RATE_HZ, A, C)
    assert level.lzeq_dbfs == pytest.approx(rms_dbfs, abs=0.005)
