# SPDX-License-Identifier: MIT
"""Noise reduction goes where the settings send it, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from edge.config.load import load_settings
from edge.dsp.clean_spec import LINE, AdaptiveSpec
from edge.dsp.spec import CoreSpec
from edge.errors import ConfigError
from edge.record.history import Hole, Stretch
from edge.service.cleaning import (
    HIGHPASS,
    NOTHING,
    ClipCleaner,
    build_branches,
    reference_channel,
    specs_for,
)
from edge.service.designs import design
from edge.service.replay import Replay
from edge.types import StreamFormat

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config.schema import Settings

RATE_HZ = 16000
MONO = StreamFormat(RATE_HZ, 1, 1024, "S16_LE")
STEREO = StreamFormat(RATE_HZ, 2, 1024, "S16_LE")
ON = 'denoise.method="logmmse"'


def settings(*overrides: str) -> Settings:
    return load_settings(None, list(overrides))


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.05 * rng.standard_normal(round(seconds * RATE_HZ))


def power_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean((samples / 32768.0) ** 2)))


def test_by_default_nothing_is_cleaned() -> None:
    for where in ("levels", "classifier", "clips", "playback"):
        assert specs_for(settings(), where) == NOTHING  # type: ignore[arg-type]


def test_what_is_on_goes_to_clips_and_playback_but_not_to_levels_and_classifier() -> None:
    asked = settings(ON)
    assert specs_for(asked, "clips")[1] is not None
    assert specs_for(asked, "playback")[1] is not None
    assert specs_for(asked, "levels") == specs_for(asked, "classifier") == NOTHING


def levels_of(file: Path, *overrides: str) -> list[dict[str, Any]]:
    asked = settings(f'state.directory="{file.parent}"', *overrides)
    return [one for one in Replay(asked, [file]).records() if one["type"] == "level"]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "fan.wav"
    soundfile.write(file, noise(20.0), RATE_HZ, subtype="PCM_16")
    return file


def test_levels_are_cleaned_only_when_asked_and_lose_no_second(recording: Path) -> None:
    plain = levels_of(recording)
    other = levels_of(recording, ON, 'denoise.apply_to=["classifier"]')
    cleaned = levels_of(recording, ON, 'denoise.apply_to=["levels"]')
    assert [one["laeq_dbfs"] for one in other] == [one["laeq_dbfs"] for one in plain]
    assert [one["time_s"] for one in cleaned] == [one["time_s"] for one in plain]
    assert len(cleaned) == 20
    assert cleaned[-2]["laeq_dbfs"] < plain[-2]["laeq_dbfs"] - 10


def clip_cleaner(stream: StreamFormat, *overrides: str) -> ClipCleaner:
    asked = settings(f"capture.channels={stream.channels}", *overrides)
    sos = design(CoreSpec(stream.rate_hz, stream.rate_hz, (HIGHPASS,))).chain_sos
    return ClipCleaner(specs_for(asked, "clips"), stream, sos, reference_channel(asked, stream))


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_a_clip_keeps_its_length_type_and_channels(dtype: type) -> None:
    scale = 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
    samples = (np.stack([noise(12.3, 1), noise(12.3, 2)], axis=1) * scale).astype(dtype)
    cleaned = clip_cleaner(STEREO, ON)(Stretch(0, samples, ()))
    assert (cleaned.shape, cleaned.dtype) == (samples.shape, samples.dtype)
    tail = slice(-3 * RATE_HZ, None)
    for channel in (0, 1):
        before, after = (
            power_db(one[tail, channel] * 32768.0 / scale) for one in (samples, cleaned)
        )
        assert after < before - 10


def test_behind_a_gap_a_clip_is_as_clean_as_before_it() -> None:
    """The silence of the hole is nobody's noise."""
    samples = np.round(noise(10.0, 5) * 32767).astype(np.int16)[:, None]
    hole = slice(4 * RATE_HZ, 5 * RATE_HZ)
    samples[hole] = 0
    stretch = Stretch(1000, samples, (Hole(1000 + hole.start, 1000 + hole.stop, "xrun"),))
    cleaned = clip_cleaner(MONO, ON)(stretch)
    assert not cleaned[hole].any()
    for second in (3, 6, 7, 9):
        at = slice(second * RATE_HZ, (second + 1) * RATE_HZ)
        assert power_db(cleaned[at]) < power_db(samples[at]) - 10, second


def test_a_fan_that_a_second_microphone_hears_is_taken_out_of_the_clip() -> None:
    fan, voice = noise(10.0, 3), np.zeros(10 * RATE_HZ)
    voice[5 * RATE_HZ : 6 * RATE_HZ] = 0.2 * np.sin(np.arange(RATE_HZ) * 2 * np.pi * 700 / RATE_HZ)
    heard = np.convolve(fan, [0.0, 0.5, 0.3, -0.2])[: fan.size] + voice
    samples = np.round(np.stack([heard, fan], axis=1) * 32767).astype(np.int16)
    cleaner = clip_cleaner(STEREO, 'adaptive.method="frequency"', "capture.channel=0")
    cleaned = cleaner(Stretch(0, samples, ()))
    pause = slice(8 * RATE_HZ, None)
    assert power_db(cleaned[pause, 0]) < power_db(samples[pause, 0]) - 20
    assert (cleaned[:, 1] == samples[:, 1]).all(), "the reference stays as it is"
    assert cleaner.facts() == {"adaptive": "frequency", "denoise": None}


def test_an_offset_of_both_channels_keeps_nothing_from_being_learnt() -> None:
    """A clip is as captured: no high-pass has taken the converter's offset away."""
    fan = noise(10.0, 3)
    heard = np.convolve(fan, [0.0, 0.5, 0.3, -0.2])[: fan.size]
    both = np.stack([heard + 0.2, fan - 0.3], axis=1)
    samples = np.round(both * 32767).astype(np.int16)
    cleaned = clip_cleaner(STEREO, 'adaptive.method="frequency"', "capture.channel=0")(
        Stretch(0, samples, ())
    )
    tail = cleaned[8 * RATE_HZ :, 0]
    assert power_db(tail - tail.mean()) < power_db(heard * 32767) - 20
    assert tail.mean() == pytest.approx(0.2 * 32767, abs=10), "the clip keeps its offset"


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_a_microphone_that_is_muted_for_a_while_is_no_quieter_noise(offset: float) -> None:
    samples = np.round((noise(12.0, 7) * 0.1 + offset) * 32767).astype(np.int16)[:, None]
    samples[4 * RATE_HZ : 8 * RATE_HZ] = 0
    cleaned = clip_cleaner(MONO, ON)(Stretch(0, samples, ()))
    for second in (9, 10, 11):
        at = slice(second * RATE_HZ, (second + 1) * RATE_HZ)
        before, after = (power_db(one[at] - one[at].mean()) for one in (samples, cleaned))
        assert after < before - 10, second


def test_rumble_that_both_microphones_hear_apart_does_not_hide_the_fan() -> None:
    fan = noise(10.0, 3)
    heard = np.convolve(fan, [0.0, 0.5, 0.3, -0.2])[: fan.size]
    slow = [np.convolve(noise(10.0, seed), np.ones(8000) / 800, "same") for seed in (11, 12)]
    both = np.stack([heard + slow[0], fan + slow[1]], axis=1)
    samples = np.round(np.clip(both, -1, 1) * 32767).astype(np.int16)
    cleaned = clip_cleaner(STEREO, 'adaptive.method="frequency"', "capture.channel=0")(
        Stretch(0, samples, ())
    )
    spectra = [
        np.abs(np.fft.rfft(one[5 * RATE_HZ :, 0].astype(float)))[500:] for one in (samples, cleaned)
    ]
    before, after = (10 * np.log10(np.mean(one**2)) for one in spectra)
    assert after < before - 15


@pytest.mark.parametrize(
    ("stream", "channel", "overrides"),
    [
        (MONO, "0", ()),
        (STEREO, '"mean"', ()),
        (STEREO, "1", ()),
        (STEREO, "0", ("adaptive.reference_channel=2",)),
    ],
)
def test_a_reference_that_is_not_there_is_refused(
    stream: StreamFormat, channel: str, overrides: tuple[str, ...]
) -> None:
    asked = settings('adaptive.method="nlms"', f"capture.channel={channel}", *overrides)
    with pytest.raises(ConfigError, match="reference_channel"):
        reference_channel(asked, stream)


def test_a_line_enhancer_needs_no_second_channel() -> None:
    assert reference_channel(settings('adaptive.method="line"'), MONO) is None


def test_auto_is_what_suits_the_method_and_another_figure_is_taken() -> None:
    line = specs_for(settings('adaptive.method="line"'), "clips")[0]
    assert line == LINE
    frequency = specs_for(settings('adaptive.method="frequency"', "adaptive.step=0.2"), "clips")[0]
    assert frequency == AdaptiveSpec(method="frequency", step=0.2)


def test_subtraction_takes_more_by_itself() -> None:
    for method, over in (("subtract", 3.0), ("logmmse", 1.2)):
        noise_spec = specs_for(settings(f'denoise.method="{method}"'), "clips")[1]
        assert noise_spec
        assert noise_spec.over_subtraction == over
    given = specs_for(settings(ON, "denoise.over_subtraction=2.0"), "clips")[1]
    assert given
    assert given.over_subtraction == 2.0


def test_a_line_enhancer_of_long_blocks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"adaptive\.block_s = 0\.05"):
        specs_for(settings('adaptive.method="line"', "adaptive.block_s=0.05"), "clips")
    assert specs_for(settings('adaptive.method="line"', "adaptive.block_s=0.02"), "clips")[0]


def test_zero_is_a_figure_too() -> None:
    never = settings('adaptive.method="frequency"', "adaptive.leakage_per_s=0.0")
    assert specs_for(never, "clips")[0] == AdaptiveSpec(method="frequency", leakage_per_s=0.0)


@pytest.mark.parametrize("figure", ["guard=0.5", "step=0.0", "length_s=0.0", 'block_s="long"'])
def test_a_figure_that_can_not_be_is_refused_with_its_key(figure: str) -> None:
    key = figure.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"adaptive\.{key} = ") as caught:
        settings('adaptive.method="frequency"', f"adaptive.{figure}")
    assert "literal" not in caught.value.message
    assert "'auto' or " in caught.value.message


def test_nlms_of_more_taps_than_there_is_time_for_is_refused() -> None:
    asked = settings('adaptive.method="nlms"', 'adaptive.apply_to=["levels"]', "capture.channel=0")
    dear = StreamFormat(192000, 2, 4096, "S16_LE")
    with pytest.raises(ConfigError, match=r"adaptive\.length_s") as caught:
        build_branches(asked, dear, 16000)
    assert '"frequency"' in caught.value.help
    with pytest.raises(ConfigError, match=r"adaptive\.length_s"):
        clip_cleaner(dear, 'adaptive.method="nlms"', "capture.channel=0")
    build_branches(asked, STEREO, 1600)


def test_a_replayed_clip_says_that_it_was_cleaned(recording: Path, tmp_path: Path) -> None:
    loud = '{name="loud",kind="level",limit_db=-60.0,unit="dbfs",average_s=1}'
    asked = settings(
        f'state.directory="{tmp_path}"',
        f'record.directory="{tmp_path / "clips"}"',
        f"level.alarms=[{loud}]",
        ON,
    )
    clips = [
        one for one in Replay(asked, [recording], record=True).records() if one["type"] == "clip"
    ]
    assert clips
    (sidecar, *_) = (tmp_path / "clips").rglob("*.json")
    assert '"denoise": "logmmse"' in sidecar.read_text()
