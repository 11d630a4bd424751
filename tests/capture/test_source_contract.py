# SPDX-License-Identifier: MIT
"""What every source promises, on each of them: the card through the real alsa-lib."""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from edge.capture.alsa import AlsaSource
from edge.capture.reopening import ReopeningSource
from edge.capture.replay import ReplaySource
from edge.capture.synth import SynthSource
from edge.types import Gap, Period

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.capture.source import Source

RATE_HZ = 48000
PERIOD = 480
DTYPES = {"S16_LE": np.int16, "S32_LE": np.int32, "FLOAT_LE": np.float32}


def stereo(seconds: float) -> np.ndarray:
    ramp = np.arange(round(seconds * RATE_HZ), dtype="<i2") % 1000
    return np.stack([ramp, -ramp], axis=1)


@pytest.fixture(params=["synth", "synth real", "replay", "replay real", "alsa", "reopening"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    kind, _, pace = request.param.partition(" ")
    pace = pace or "fast"
    opened: Source
    if kind == "synth":
        opened = SynthSource(
            "pink",
            rate_hz=RATE_HZ,
            channels=2,
            period_size=PERIOD,
            pace=pace,
            seconds=0.5,
            gaps=[(1000, 700)],
        )
    elif kind == "replay":
        soundfile.write(tmp_path / "a.wav", stereo(0.5), RATE_HZ, "PCM_16")
        opened = ReplaySource([tmp_path / "a.wav"], period_size=PERIOD, pace=pace)
    else:
        microphone = request.getfixturevalue("plug_in")(stereo(0.5), channels=2, loop=True)
        asked = {"rate_hz": RATE_HZ, "channels": 2, "period_size": PERIOD, "periods": 8}
        card = partial(AlsaSource, microphone.name, **asked)
        opened = card() if kind == "alsa" else ReopeningSource(card)
    yield opened
    opened.close()


class TestSource:
    """The protocol of `edge.capture.source`."""

    def test_overruns_of_a_driver_are_counted_and_no_other_gap_is(self, source: Source) -> None:
        assert source.xruns == 0
        gaps = [item for item in self.items(source) if isinstance(item, Gap)]
        assert source.xruns == sum(gap.cause == "xrun" for gap in gaps)
        assert gaps or not source.name.startswith("synthetic")

    def items(self, source: Source, count: int = 30) -> list[Period | Gap]:
        """Return the first items, late to the third: a card has lost samples then."""
        items: list[Period | Gap] = []
        for number, item in enumerate(iter(source.read, None)):
            samples = (item.samples.copy(),) if isinstance(item, Period) else ()
            items.append(Period(item.sample_index, *samples, item.mono_s) if samples else item)
            if number == 2:
                time.sleep(0.15)
            if number == count:
                break
        return items

    def test_each_item_begins_where_the_one_before_ended(self, source: Source) -> None:
        items = self.items(source)
        assert items[0].sample_index == 0
        for before, after in itertools.pairwise(items):
            length = before.lost_samples if isinstance(before, Gap) else len(before.samples)
            assert length > 0
            assert after.sample_index == before.sample_index + length

    def test_periods_have_the_shape_and_type_of_the_format(self, source: Source) -> None:
        periods = [item for item in self.items(source) if isinstance(item, Period)]
        for period in periods:
            assert period.samples.dtype == DTYPES[source.format.sample_format]
            assert period.samples.shape[1] == source.format.channels == 2
            assert 0 < len(period.samples) <= source.format.period_size

    def test_time_never_goes_back(self, source: Source) -> None:
        times = [item.mono_s for item in self.items(source)]
        assert times == sorted(times)

    def test_rate_and_name_are_told(self, source: Source) -> None:
        assert source.format.rate_hz == RATE_HZ
        assert source.name
        assert source.identity
        assert source.measured_hz is None, "not so soon"

    def test_it_is_a_context_and_closes_twice(self, source: Source) -> None:
        with source as entered:
            assert entered is source
            assert source.read() is not None
        source.close()
