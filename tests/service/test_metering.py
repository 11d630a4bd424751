# SPDX-License-Identifier: MIT
"""The meter in the terminal measures what the listener measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.config.load import load_settings
from edge.model.classifier import OnnxClassifier
from edge.service.build import build_pipeline, build_sound_meter, model_path
from edge.types import Bands, Gap, Level, Period, StreamFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

RESPONSE = ((20.0, -9.0), (100.0, -1.0), (1000.0, 0.0), (8000.0, 4.0), (20000.0, -6.0))


def hear(
    process: Callable[[Period | Gap], Sequence[object]], rate_hz: int, period_size: int
) -> tuple[list[Level], list[Bands]]:
    """Feed noise with an offset, two channels, a gap in it; return levels and bands."""
    rng = np.random.default_rng(5)
    samples = (rng.standard_normal((6 * rate_hz, 2)) * 900 + 700).astype(np.int16)
    out: list[object] = []
    lost = rate_hz + 1234
    for start in range(0, 3 * rate_hz, period_size):
        out += process(Period(start, samples[start : start + period_size][: 3 * rate_hz], 0.0))
    end = -(-3 * rate_hz // period_size) * period_size
    out += process(Gap(end, lost, "xrun", 0.0))
    for start in range(end, 6 * rate_hz - period_size, period_size):
        out += process(Period(start + lost, samples[start : start + period_size], 0.0))
    return [one for one in out if isinstance(one, Level)], [
        one for one in out if isinstance(one, Bands)
    ]


@pytest.mark.parametrize(
    ("rate_hz", "response", "highpass_hz"),
    [(8000, RESPONSE, 0.0), (48000, RESPONSE, 20.0), (48000, (), 20.0)],
)
def test_meter_and_listener_measure_the_same(
    rate_hz: int,
    response: tuple[tuple[float, float], ...],
    highpass_hz: float,
    tmp_path: Path,
) -> None:
    settings = load_settings(
        None,
        [f'state.directory="{tmp_path}"', f"core.highpass_hz={highpass_hz}", "core.gain_db=6.0"],
    )
    stream = StreamFormat(rate_hz, 2, 480, "S16_LE")
    model = OnnxClassifier(model_path(settings)).info
    pipeline = build_pipeline(settings, stream, model, "s", response)
    meter = build_sound_meter(settings, stream, response=response)
    expected_levels, expected_bands = hear(pipeline.process, rate_hz, 480)
    levels, bands = hear(meter.process, rate_hz, 480)
    assert len(levels) == len(expected_levels) >= 5
    assert len(bands) >= 4
    for one, other in zip(levels, expected_levels, strict=True):
        assert (one.sample_index, one.n_samples, one.gap) == (
            other.sample_index,
            other.n_samples,
            other.gap,
        )
        for name in ("laeq_dbfs", "lceq_dbfs", "lafmax_dbfs", "lasmax_dbfs", "lcpeak_dbfs"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=0.1), name
    for band, other_band in zip(bands, expected_bands, strict=False):
        if not band.gap and band.sample_index:  # steady: no start from rest in it
            np.testing.assert_allclose(band.levels_dbfs, other_band.levels_dbfs, atol=0.1)
    assert meter.weighting_class == pipeline.weighting_class
    assert meter.off_db < (0.2 if response else 0.001)


def test_a_period_of_any_length_is_taken(tmp_path: Path) -> None:
    """A source may give less than a period at its end, and none is longer than granted."""
    settings = load_settings(None, [f'state.directory="{tmp_path}"'])
    stream = StreamFormat(8000, 1, 16384, "S16_LE")
    meter = build_sound_meter(settings, stream)
    samples = np.full((16384, 1), 1000, np.int16)
    done = meter.process(Period(0, samples, 0.0))
    done += meter.process(Period(16384, samples[:7616], 0.0)) + meter.flush()
    assert [one.sample_index for one in done if isinstance(one, Level)] == [0, 8000, 16000]
