# SPDX-License-Identifier: MIT
"""A stream that outlives its microphone, on the virtual one of the real alsa-lib."""

from __future__ import annotations

import itertools
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from edge.capture.alsa import AlsaSource
from edge.capture.reopening import LONGEST_RETRY_S, Opener, ReopeningSource
from edge.errors import DeviceAwayError, DeviceError
from edge.types import Gap, Period, StreamFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.source import Source
    from tools.lab.microphone import VirtualMicrophone

    PlugIn = Callable[..., VirtualMicrophone]

RATE_HZ = 48000
TOLERANCE_SAMPLES = 480
"""10 ms: a period, and how late a thread is woken on a busy machine."""


def opener(microphone: VirtualMicrophone) -> Opener:
    asked = {"rate_hz": RATE_HZ, "channels": 1, "period_size": 480, "periods": 8}
    return partial(AlsaSource, microphone.name, **asked)


def read_for(source: Source, seconds: float) -> list[Period | Gap]:
    """Return what is read in some time; samples are copied."""
    items = []
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        item = source.read()
        assert item is not None
        if isinstance(item, Period):
            item = Period(item.sample_index, item.samples.copy(), item.mono_s)
        items.append(item)
    return items


def ends(items: list[Period | Gap]) -> Iterator[tuple[int, int]]:
    for item in items:
        length = item.lost_samples if isinstance(item, Gap) else len(item.samples)
        yield item.sample_index, item.sample_index + length


def test_an_unplugged_microphone_is_a_hole_as_long_as_it_was_away(
    plug_in: PlugIn, ramp: NDArray[np.int32]
) -> None:
    microphone = plug_in(ramp, sample_format="S32_LE")
    with ReopeningSource(opener(microphone)) as source:
        items = read_for(source, 1.0)
        microphone.unplug()
        items += read_for(source, 2.0)
        assert "lost" in source.trouble or "can't be opened" in source.trouble
        microphone.plug()
        items += read_for(source, 3.0)
        assert source.trouble == ""
    for (_, end), (start, _) in itertools.pairwise(ends(items)):
        assert start == end, "the index neither jumps nor stands still"
    gaps = [item for item in items if isinstance(item, Gap)]
    assert {gap.cause for gap in gaps} == {"unplugged"}
    # A thread that is woken late sees a period late: the earliest of some tells its true time.
    early_s, late_s = (
        min(
            one.mono_s - (one.sample_index + len(one.samples)) / RATE_HZ
            for one in some
            if isinstance(one, Period)
        )
        for some in (items[:50], items[-50:])
    )
    assert late_s == pytest.approx(early_s, abs=TOLERANCE_SAMPLES / RATE_HZ)
    behind = [
        one for one in items if isinstance(one, Period) and one.sample_index > gaps[-1].sample_index
    ]
    assert len(behind) > 50
    assert behind[0].samples[0, 0] < behind[-1].samples[0, 0]


def test_a_unit_that_needs_long_to_begin_does_not_make_the_first_hole_longer(
    plug_in: PlugIn, ramp: NDArray[np.int32]
) -> None:
    """A card counts from the first read, not from when it was opened."""
    microphone = plug_in(ramp, sample_format="S32_LE")
    with ReopeningSource(opener(microphone)) as source:
        time.sleep(2.0)
        items = read_for(source, 0.3)
        microphone.unplug()
        items += read_for(source, 0.5)
    lost = sum(item.lost_samples for item in items if isinstance(item, Gap))
    assert lost / RATE_HZ == pytest.approx(0.5, abs=0.4)


def test_what_is_lost_before_its_first_sample_is_a_hole_too(
    plug_in: PlugIn, ramp: NDArray[np.int32]
) -> None:
    microphone = plug_in(ramp, sample_format="S32_LE")
    with ReopeningSource(opener(microphone)) as source:
        microphone.unplug()
        items = read_for(source, 0.6)
    assert items
    assert all(isinstance(item, Gap) for item in items)


def test_while_it_is_away_nobody_waits_longer_than_a_moment(
    plug_in: PlugIn, ramp: NDArray[np.int32]
) -> None:
    microphone = plug_in(ramp, sample_format="S32_LE")
    with ReopeningSource(opener(microphone)) as source:
        source.read()
        microphone.unplug()
        read_for(source, 0.5)
        for _ in range(5):
            before_s = time.monotonic()
            assert isinstance(source.read(), Gap)
            assert time.monotonic() - before_s < 5.0


class Flaky:
    """Opens for the first time; then as often as told it refuses."""

    def __init__(self, open_device: Opener, refusals: list[str]) -> None:
        self._open = open_device
        self._refusals = refusals
        self.tries_s: list[float] = []

    def __call__(self, *, before: StreamFormat | None = None) -> Source:
        self.tries_s.append(time.monotonic())
        if len(self.tries_s) > 1 and self._refusals:
            raise DeviceAwayError(self._refusals.pop(0))
        return self._open(before=before)


def test_tries_become_rarer_and_each_reason_is_said_once(
    plug_in: PlugIn, ramp: NDArray[np.int32], caplog: pytest.LogCaptureFixture
) -> None:
    microphone = plug_in(ramp, sample_format="S32_LE")
    flaky = Flaky(opener(microphone), ["it is busy"] * 3)
    caplog.set_level("INFO")
    with ReopeningSource(flaky) as source:
        source.read()
        microphone.unplug()
        while not isinstance(source.read(), Gap):
            pass
        microphone.plug()
        while isinstance(source.read(), Gap):
            pass
    pauses = [later - earlier for earlier, later in itertools.pairwise(flaky.tries_s[1:])]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 1.5 * pauses[0]
    assert pauses[-1] < LONGEST_RETRY_S
    log = caplog.text
    assert log.count("it is busy; trying again") == 1
    assert log.count("is back after") == 1


class Stillborn:
    """Opens, and is gone at the first read: half a device, behind a weak hub."""

    xruns = 0
    notes = ()
    name = "stillborn"

    def __init__(self, source: Source) -> None:
        self.identity = source.identity
        self.measured_hz = source.measured_hz
        self.format = source.format
        source.close()

    def read(self) -> Period:
        raise DeviceAwayError("it was lost at once")

    def close(self) -> None:
        return


def test_a_device_that_opens_and_fails_at_once_is_a_hole_and_tried_ever_more_rarely(
    plug_in: PlugIn, ramp: NDArray[np.int32], caplog: pytest.LogCaptureFixture
) -> None:
    microphone = plug_in(ramp, sample_format="S32_LE")
    tries_s: list[float] = []

    def open_device(*, before: StreamFormat | None = None) -> Source:
        tries_s.append(time.monotonic())
        source = opener(microphone)(before=before)
        return source if len(tries_s) == 1 else Stillborn(source)  # type: ignore[return-value] # enough of one

    with ReopeningSource(open_device) as source:
        source.read()
        microphone.unplug()
        read_for(source, 0.3)
        microphone.plug()
        items = read_for(source, 5.0)
        assert all(isinstance(item, Gap) for item in items)
        lost = sum(item.lost_samples for item in items if isinstance(item, Gap))
        assert lost == pytest.approx(5.0 * RATE_HZ, rel=0.2)
    assert len(tries_s) < 8
    assert caplog.text.count("it was lost at once") == 1


def test_what_comes_back_with_another_format_ends_the_stream(
    plug_in: PlugIn, ramp: NDArray[np.int32]
) -> None:
    microphone = plug_in(ramp, sample_format="S32_LE")
    asked = {"rate_hz": RATE_HZ, "channels": 1, "period_size": 480, "periods": 8}

    def open_device(*, before: StreamFormat | None = None) -> Source:
        assert (before is None) == (asked["period_size"] == 480)
        source = AlsaSource(microphone.name, **asked, before=before)
        asked["period_size"] = 960
        return source

    source = ReopeningSource(open_device)
    source.read()
    microphone.unplug()
    while not isinstance(source.read(), Gap):
        pass
    microphone.plug()
    with pytest.raises(DeviceError, match="came back with"):
        read_for(source, 5.0)


def test_another_device_of_the_same_format_ends_the_stream(
    plug_in: PlugIn, ramp: NDArray[np.int32]
) -> None:
    """Behind `default`, say: the calibration is not its own. ALSA's null device offers all."""
    microphone = plug_in(ramp, sample_format="S32_LE")
    asked = {"rate_hz": RATE_HZ, "channels": 1, "period_size": 480, "periods": 8}

    def open_device(*, before: StreamFormat | None = None) -> Source:
        return AlsaSource("null" if before else microphone.name, **asked, before=before)

    source = ReopeningSource(open_device)
    source.read()
    microphone.unplug()
    with pytest.raises(DeviceError, match=f"null is there, .* {microphone.name}"):
        read_for(source, 5.0)


def test_what_is_not_there_at_first_is_refused(plug_in: PlugIn, ramp: NDArray[np.int32]) -> None:
    microphone = plug_in(ramp, sample_format="S32_LE")
    microphone.unplug()
    with pytest.raises(DeviceAwayError):
        ReopeningSource(opener(microphone))


def test_overruns_are_counted_through_a_loss(plug_in: PlugIn, ramp: NDArray[np.int32]) -> None:
    microphone = plug_in(ramp, sample_format="S32_LE")
    with ReopeningSource(opener(microphone)) as source:
        read_for(source, 0.2)
        time.sleep(0.3)
        read_for(source, 0.2)
        assert source.xruns == 1
        microphone.unplug()
        read_for(source, 0.5)
        assert source.xruns == 1
        microphone.plug()
        read_for(source, 1.5)
        assert source.xruns == 1
        assert source.format == StreamFormat(RATE_HZ, 1, 480, "S32_LE")


def test_it_can_be_closed_while_the_device_is_away(
    plug_in: PlugIn, ramp: NDArray[np.int32]
) -> None:
    microphone = plug_in(ramp, sample_format="S32_LE")
    source = ReopeningSource(opener(microphone))
    source.read()
    microphone.unplug()
    reader = threading.Thread(target=read_for, args=(source, 0.5))
    reader.start()
    reader.join(60.0)
    source.close()
    source.close()
    assert not reader.is_alive()
