# SPDX-License-Identifier: MIT
"""The real-time path as a function of its samples."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dsp.bands import bands_of
from edge.dsp.branch import Branches
from edge.dsp.clean import Cleaner
from edge.dsp.clean_spec import NoiseSpec
from edge.dsp.filters import filter_samples
from edge.dsp.logmel import log_mel
from edge.dsp.spec import CoreSpec, LogMelSpec
from edge.model.detector import Detector, Rule
from edge.patches import patch_cutter
from edge.pipeline import BATCHES_PER_S, Pipeline
from edge.service.designs import design
from edge.types import Bands, FilterSpec, Gap, Level, Patch, Period, StreamFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.dsp.spec import CoreDesign

RATE_HZ = 48000
HIGHPASS = FilterSpec("highpass", 10.0)
DESIGNS: dict[tuple[int, tuple[FilterSpec, ...]], CoreDesign] = {}


def pipeline(
    rate_hz: int = RATE_HZ,
    filters: tuple[FilterSpec, ...] = (HIGHPASS,),
    *,
    period_size: int = 1024,
    channel: int | None = None,
    cleaned: str = "",
    design_of: CoreSpec | None = None,
    patch: tuple[int, int] = (96, 48),
) -> Pipeline:
    key = (rate_hz, filters)
    if key not in DESIGNS:
        DESIGNS[key] = design(CoreSpec(rate_hz, 16000, filters))
    rule = Rule(0.5, 0.3, 1, 0.5, 0.5, 60.0)
    return Pipeline(
        stream=StreamFormat(rate_hz, 1, period_size, "S16_LE"),
        design=design(design_of) if design_of else DESIGNS[key],
        front_end=LogMelSpec(),
        patch_frames=patch[0],
        patch_hop=patch[1],
        detector=Detector(("a",), {"a": rule}, rate_hz, "t"),
        channel=channel,
        branches=Branches(
            *(
                Cleaner(None, NoiseSpec(), rate_hz, rate_hz // BATCHES_PER_S) if one else None
                for one in ("levels" in cleaned, "patches" in cleaned)
            )
        ),
    )


def noise(n_samples: int, seed: int = 1) -> NDArray[np.int16]:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n_samples, 1)) * 3000 + 400).astype(np.int16)


def run(
    path: Pipeline, samples: NDArray[np.int16], cuts: Sequence[int], start: int = 0
) -> tuple[list[Level], list[Patch]]:
    """Feed `samples` in periods of the sizes `cuts`, over and over; return all that comes out."""
    out: list[Level | Patch] = []
    at, k = 0, 0
    while at < len(samples):
        n = cuts[k % len(cuts)]
        out += path.process(Period(start + at, samples[at : at + n], 0.0))
        at, k = at + n, k + 1
    out += path.flush()
    return [o for o in out if isinstance(o, Level)], [o for o in out if isinstance(o, Patch)]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 16384), min_size=1, max_size=8))
def test_any_cut_into_periods_gives_the_same_levels_and_patches(cuts: list[int]) -> None:
    samples = noise(3 * RATE_HZ)
    cuts = [*cuts, 1024]  # a run of one-sample periods alone would take minutes
    levels, patches = run(pipeline(period_size=max(cuts)), samples, cuts)
    whole_levels, whole_patches = run(pipeline(), samples, [1024])
    assert len(levels) == 3
    assert len(patches) == len(whole_patches) == 5
    for mine, theirs in zip(patches, whole_patches, strict=True):
        assert (mine.sample_index, mine.n_samples) == (theirs.sample_index, theirs.n_samples)
        np.testing.assert_allclose(mine.frames, theirs.frames, atol=1e-3)
    for one, other in zip(levels, whole_levels, strict=True):
        assert one.laeq_dbfs == pytest.approx(other.laeq_dbfs, abs=1e-3)
        assert one.lafmax_dbfs == pytest.approx(other.lafmax_dbfs, abs=1e-3)


def test_at_the_model_s_own_rate_a_patch_is_the_plain_log_mel() -> None:
    samples = noise(3 * 16000)
    _, patches = run(pipeline(16000, filters=()), samples, [1024])
    whole = log_mel(samples[:, 0].astype(np.float32) / 32768, LogMelSpec())
    for k, patch in enumerate(patches):
        np.testing.assert_allclose(patch.frames, whole[48 * k : 48 * k + 96], atol=1e-4)
        assert (patch.sample_index, patch.n_samples) == (48 * 160 * k, 95 * 160 + 400)


def test_a_microphone_s_offset_is_no_click_behind_its_correction() -> None:
    """Without a high-pass the correction meets the offset, at the start and behind a gap."""
    bass_shy = ((20.0, -12.0), (200.0, 0.0), (1000.0, 0.0))
    spec = CoreSpec(RATE_HZ, 16000, (), bass_shy)
    path = pipeline(filters=(), design_of=spec)
    tone = 100.0 * np.sin(2 * np.pi * 1000.0 * np.arange(RATE_HZ) / RATE_HZ)
    samples = (tone + 8000.0).round().astype(np.int16)[:, None]
    levels, _ = run(path, samples, [1024])
    gap = path.process(Gap(RATE_HZ, RATE_HZ, "xrun", 0.0))
    behind, _ = run(path, samples, [1024], start=2 * RATE_HZ)
    peak_dbfs = 20 * np.log10(100.0 / 32768)
    assert not any(isinstance(one, Level) for one in gap)
    for level in (*levels, *behind):
        assert level.lcpeak_dbfs == pytest.approx(peak_dbfs, abs=0.5)
        assert level.laeq_dbfs == pytest.approx(peak_dbfs - 3.01, abs=0.5)


@pytest.mark.parametrize("lost_samples", [RATE_HZ // 3, RATE_HZ, 5 * RATE_HZ + 77])
def test_bands_keep_to_the_seconds_of_the_levels_across_a_gap(lost_samples: int) -> None:
    path = pipeline(period_size=10_000)
    samples = noise(10_000)
    out = [one for k in range(7) for one in path.process(Period(k * 10_000, samples, 0.0))]
    out += path.process(Gap(70_000, lost_samples, "xrun", 0.0))
    for start in range(70_000 + lost_samples, 270_000 + lost_samples, 10_000):
        out += path.process(Period(start, samples, 0.0))
    out += path.flush()
    levels, bands = (
        [(one.sample_index, one.end_index, one.n_samples, one.gap) for one in out if type(one) is k]
        for k in (Level, Bands)
    )
    assert levels == bands
    assert any(gap for *_, gap in levels)


def test_levels_are_those_of_the_filtered_signal() -> None:
    samples = noise(2 * RATE_HZ)
    levels, _ = run(pipeline(), samples, [1024])
    heard = filter_samples(
        DESIGNS[RATE_HZ, (HIGHPASS,)].chain_sos, samples[:, 0] / np.float32(32768)
    )
    for k, level in enumerate(levels):
        second = heard[k * RATE_HZ : (k + 1) * RATE_HZ].astype(np.float64)
        assert level.lzeq_dbfs == pytest.approx(10 * np.log10(np.mean(second**2)), abs=0.01)


def test_clicks_are_found_where_they_were_captured() -> None:
    """The resampler's delay is taken back: times are true to 0.5 ms, not just to a hop.

    A click is in the windows around it, each as loud as the window is there: their centroid,
    over clicks at all places of a hop, is where it was.
    """
    clicks = np.arange(30_000, 20 * RATE_HZ, 24_030)
    samples = np.zeros((21 * RATE_HZ, 1), np.int16)
    samples[clicks] = 30000
    _, patches = run(pipeline(filters=()), samples, [1024])
    starts = np.concatenate([p.sample_index + 480 * np.arange(48) for p in patches])
    loud = np.concatenate([(np.exp(p.frames[:48]) - 1e-3).sum(axis=1) for p in patches])
    errors = []
    for click in clicks:
        near = np.abs(starts + 600 - click) < 1200
        errors.append(np.average(starts[near] + 600, weights=loud[near]) - click)
    assert np.mean(errors) == pytest.approx(0.0, abs=24)


def test_a_patch_is_cut_one_period_after_the_batch_that_completed_it() -> None:
    """Batch and log-Mel never meet in one period of the default size."""
    path = pipeline()
    samples = noise(4 * RATE_HZ)
    patches_at, levels_at = [], []
    for k, at in enumerate(range(0, len(samples), 1024)):
        for output in path.process(Period(at, samples[at : at + 1024], 0.0)):
            (patches_at if isinstance(output, Patch) else levels_at).append(k)
    assert len(patches_at) >= 6
    assert not set(patches_at) & set(levels_at)


def test_behind_a_gap_everything_begins_anew_and_the_index_goes_on() -> None:
    before, after, lost = noise(100_000), noise(120_000, seed=2), 50_001
    path = pipeline()
    levels, patches = run(path, before, [1024])
    out = path.process(Gap(100_000, lost, "xrun", 0.0))
    start = 100_000 + lost
    more_levels, more_patches = run(path, after, [1024], start=start)
    levels += [one for one in out if isinstance(one, Level)] + more_levels
    fresh_levels, fresh_patches = run(pipeline(), after, [1024])
    assert len(more_patches) == len(fresh_patches)
    for mine, fresh in zip(more_patches, fresh_patches, strict=True):
        assert mine.sample_index == fresh.sample_index + start
        np.testing.assert_allclose(mine.frames, fresh.frames, atol=1e-3)
    assert [level.gap for level in levels] == [False, False, True, True, False]
    assert not any(p.sample_index < start < p.sample_index + p.n_samples for p in patches)
    assert fresh_levels


@pytest.mark.parametrize("filters", [(HIGHPASS,), ()], ids=["high-pass", "none"])
def test_an_offset_of_the_microphone_spoils_no_level(filters: tuple[FilterSpec, ...]) -> None:
    """-6 dBFS of it under a quiet sound: true from the first sample on, and behind a gap."""

    def levels_of(samples: NDArray[np.int16]) -> list[Level]:
        path = pipeline(filters=filters)
        before, _ = run(path, samples, [1024])
        path.process(Gap(2 * RATE_HZ, RATE_HZ, "xrun", 0.0))
        return before + run(path, samples, [1024], start=3 * RATE_HZ)[0]

    quiet = noise(2 * RATE_HZ) // 100
    levels, expected = levels_of(quiet + np.int16(16000)), levels_of(quiet)
    assert len(levels) == len(expected) == 4
    for with_offset, without in zip(levels, expected, strict=True):
        assert with_offset.laeq_dbfs == pytest.approx(without.laeq_dbfs, abs=0.05)
        assert with_offset.lafmax_dbfs == pytest.approx(without.lafmax_dbfs, abs=0.1)
        assert with_offset.lcpeak_dbfs == pytest.approx(without.lcpeak_dbfs, abs=0.5)


@pytest.mark.parametrize("start", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
@pytest.mark.parametrize("freq_hz", [31.5, 1000.0, 8000.0])
def test_a_tone_that_the_stream_cuts_into_has_the_peak_of_a_tone(
    freq_hz: float, start: float
) -> None:
    """A calibrator that was on before the stream began must read as one."""
    phase = 2 * np.pi * freq_hz * np.arange(6 * RATE_HZ) / RATE_HZ + start
    tone = np.round(8000 * np.sin(phase)).astype(np.int16)[:, None]
    path = pipeline()
    before, _ = run(path, tone[: 2 * RATE_HZ], [1024])
    path.process(Gap(2 * RATE_HZ, RATE_HZ, "xrun", 0.0))
    behind, _ = run(path, tone[3 * RATE_HZ :], [1024], start=3 * RATE_HZ)
    expected = behind[-1].lcpeak_dbfs
    for one in (*before, *behind):
        assert one.lcpeak_dbfs == pytest.approx(expected, abs=0.1)


def test_a_second_of_which_little_was_heard_has_a_peak_all_the_same() -> None:
    """One sample in front of the first: the tone's peak, or a click's over it, but no silence."""
    tone = np.round(8000 * np.sin(np.arange(RATE_HZ) * 0.3)).astype(np.int16)[:, None]
    path = pipeline()
    run(path, tone, [1024])
    path.process(Gap(RATE_HZ, RATE_HZ - 1000, "xrun", 0.0))
    out = path.process(Period(2 * RATE_HZ - 1000, tone[:1000], 0.0))
    out += path.process(Gap(2 * RATE_HZ, RATE_HZ, "xrun", 0.0))
    (level,) = [one for one in out if isinstance(one, Level)]
    assert level.n_samples == 1000
    assert level.lcpeak_dbfs > level.laeq_dbfs


def test_an_item_out_of_order_is_refused() -> None:
    path = pipeline()
    path.process(Period(0, noise(100), 0.0))
    with pytest.raises(ValueError, match="expected sample 100, got 200"):
        path.process(Period(200, noise(100), 0.0))


@pytest.mark.parametrize("wild", [np.nan, 1e20, -1e20, 3e38])
def test_a_wild_sample_in_the_source_costs_its_own_sample_only(wild: float) -> None:
    samples = (0.1 * noise(2 * RATE_HZ) / 3000).astype(np.float32)
    muted = samples.copy()
    samples[5000], muted[5000] = wild, 0.0
    levels, patches = run(pipeline(), samples, [1024])  # type: ignore[arg-type] # a float source
    expected, _ = run(pipeline(), muted, [1024])  # type: ignore[arg-type]
    assert all(np.isfinite(patch.frames).all() for patch in patches)
    assert [level.clipped_samples for level in levels] == [1, 0]
    assert [replace(level, clipped_samples=0) for level in levels] == expected


def test_the_chosen_channel_is_the_one_that_is_heard() -> None:
    loud, quiet = noise(RATE_HZ), noise(RATE_HZ, seed=3) // 100
    both = np.hstack([loud, quiet])
    for channel, expected in ((0, loud), (1, quiet)):
        levels, _ = run(pipeline(channel=channel), both, [1024])
        alone, _ = run(pipeline(), expected, [1024])
        assert levels[0].laeq_dbfs == pytest.approx(alone[0].laeq_dbfs, abs=1e-4)


def test_what_is_cleaned_loses_no_sample_and_what_is_not_stays_as_it_was() -> None:
    """Also across a gap: what a cleaner still holds belongs before it."""
    samples = noise(4 * RATE_HZ)
    for cleaned in ("levels", "patches", "levels and patches"):
        path, plain = pipeline(cleaned=cleaned), pipeline()
        results = []
        for one in (path, plain):
            levels, patches = run(one, samples[: 5 * RATE_HZ // 2], [1024])
            skipped = one.process(Gap(5 * RATE_HZ // 2, RATE_HZ // 2, "xrun", 0.0))
            more, later = run(one, samples[3 * RATE_HZ :], [1024], start=3 * RATE_HZ)
            levels += [o for o in skipped if isinstance(o, Level)] + more
            results.append((levels, patches + later))
        (levels, patches), (plain_levels, plain_patches) = results
        spans = [(one.sample_index, one.n_samples, one.gap) for one in levels]
        assert spans == [(one.sample_index, one.n_samples, one.gap) for one in plain_levels]
        assert [one.sample_index for one in patches] == [one.sample_index for one in plain_patches]
        quieter = levels[1].laeq_dbfs < plain_levels[1].laeq_dbfs - 3
        assert quieter == ("levels" in cleaned)
        same = np.array_equal(patches[-1].frames, plain_patches[-1].frames)
        assert same == ("patches" not in cleaned)


def test_the_bands_of_every_second_come_too() -> None:
    path, samples = pipeline(), noise(3 * RATE_HZ)
    starts = range(0, len(samples), 1000)
    out = [o for k in starts for o in path.process(Period(k, samples[k : k + 1000], 0.0))]
    out += path.flush()
    bands = [one for one in out if isinstance(one, Bands)]
    levels = [one for one in out if isinstance(one, Level)]
    assert [one.sample_index for one in bands] == [0, RATE_HZ, 2 * RATE_HZ]
    thirds = [n for n, band in enumerate(bands_of(RATE_HZ)) if band.per_octave == 3]
    energy = np.sum(10 ** (bands[1].levels_dbfs[thirds] / 10))
    # White noise: the third octaves hold all from 22 Hz to 22.4 kHz, and leak 5 %.
    share = 10 ** (levels[1].lzeq_dbfs / 10) * 22.4 / 24
    assert 10 * np.log10(energy / share) == pytest.approx(0.2, abs=0.2)


def change(path: Pipeline, at: int, samples: NDArray[np.int16], spec: LogMelSpec) -> list[object]:
    """Feed `samples`; from the period that begins at `at` on, another model is coming."""
    out: list[object] = []
    taps = design(CoreSpec(RATE_HZ, spec.rate_hz, ())).decimation_taps
    stream = StreamFormat(RATE_HZ, 1, 1024, "S16_LE")
    for start in range(0, len(samples), 1024):
        if start == at:
            cutter = patch_cutter(stream, taps, spec, 96, 48, path.most_samples, model=1)
            path.change_patches(cutter)
        out += path.process(Period(start, samples[start : start + 1024], 0.0))
    return out + path.flush()


@pytest.mark.parametrize("rate_hz", [16000, 32000, 24000])
@pytest.mark.parametrize("cleaned", ["", "patches"])
def test_another_model_leaves_nothing_unheard_and_no_level_changed(
    rate_hz: int, cleaned: str
) -> None:
    """The one before it is served until the other's first patch is whole."""
    samples = noise(6 * RATE_HZ)
    spec = LogMelSpec(
        rate_hz=rate_hz, win_length=rate_hz // 40, n_fft=1024, hop_length=rate_hz // 100
    )
    at = 1024 * 100
    out = change(pipeline(cleaned=cleaned), at, samples, spec)
    patches = [one for one in out if isinstance(one, Patch)]
    numbers = [patch.model for patch in patches]
    assert numbers == sorted(numbers)
    assert set(numbers) == {0, 1}
    for one, two in itertools.pairwise(patches):
        assert two.sample_index <= one.sample_index + one.n_samples, "they overlap or touch"
    first = next(patch for patch in patches if patch.model == 1)
    assert abs(first.sample_index - at) <= 2 * RATE_HZ // BATCHES_PER_S
    assert first.n_samples == pytest.approx(0.975 * RATE_HZ, abs=200), "less the low-pass's delay"
    whole, _ = run(pipeline(cleaned=cleaned), samples, [1024])
    levels = [one for one in out if isinstance(one, Level)]
    assert [one.laeq_dbfs for one in levels] == [one.laeq_dbfs for one in whole]


@pytest.mark.parametrize("second", [3, 4, 5])
def test_behind_a_model_of_long_patches_nothing_is_unheard_either(second: int) -> None:
    """Its last patch may have ended long before the other one was there."""
    at = second * RATE_HZ // 1024 * 1024
    out = change(pipeline(patch=(300, 300)), at, noise(12 * RATE_HZ), LogMelSpec())
    patches = [one for one in out if isinstance(one, Patch)]
    assert {patch.model for patch in patches} == {0, 1}
    for one, two in itertools.pairwise(patches):
        assert two.sample_index <= one.sample_index + one.n_samples, "they overlap or touch"


def test_another_model_hears_what_it_would_have_heard_alone() -> None:
    """Its patches are those of a stream that begins where it took over, cut at the same places."""
    samples = noise(5 * RATE_HZ)
    at = 1024 * 125  # 128000 samples: a whole number of batches and of decimated samples
    out = change(pipeline(filters=()), at, samples, LogMelSpec())
    after = [one for one in out if isinstance(one, Patch) and one.model == 1]
    _, alone = run(pipeline(filters=()), samples[at:], [1024])
    assert [one.sample_index for one in after][: len(alone)] == [
        at + one.sample_index for one in alone
    ]
    for one, two in zip(after, alone, strict=False):
        np.testing.assert_allclose(one.frames, two.frames, atol=1e-3)


def test_a_gap_while_another_model_is_coming_begins_anew_for_both() -> None:
    samples = noise(4 * RATE_HZ)
    path = pipeline()
    out: list[object] = []
    for start in range(0, 1024 * 50, 1024):
        out += path.process(Period(start, samples[start : start + 1024], 0.0))
    taps = design(CoreSpec(RATE_HZ, 16000, ())).decimation_taps
    stream = StreamFormat(RATE_HZ, 1, 1024, "S16_LE")
    args = (stream, taps, LogMelSpec(), 96, 48, path.most_samples)
    path.change_patches(patch_cutter(*args, model=1))
    for start in range(1024 * 50, 1024 * 60, 1024):
        out += path.process(Period(start, samples[start : start + 1024], 0.0))
    out += path.process(Gap(1024 * 60, 5000, "xrun", 0.0))
    behind = 1024 * 60 + 5000
    for start in range(0, 2 * RATE_HZ, 1024):
        out += path.process(Period(behind + start, samples[start : start + 1024], 0.0))
    first = next(one for one in out if isinstance(one, Patch) and one.model == 1)
    assert first.sample_index == behind
    assert not [
        o for o in out if isinstance(o, Patch) and o.model == 0 and o.sample_index >= behind
    ]
