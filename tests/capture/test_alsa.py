# SPDX-License-Identifier: MIT
"""The card through the real alsa-lib and pyalsaaudio, on the virtual microphone."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.capture.alsa import AlsaSource, probe
from edge.capture.devices import list_devices
from edge.errors import DeviceError
from edge.types import Gap, Period

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.types import Samples
    from tools.lab.microphone import VirtualMicrophone

    PlugIn = Callable[..., VirtualMicrophone]

TOLERANCE_SAMPLES = 96
"""2 ms at 48 kHz."""


def open_source(microphone: VirtualMicrophone, **settings: object) -> AlsaSource:
    asked = {"rate_hz": 48000, "channels": 1, "period_size": 480, "periods": 4, **settings}
    return AlsaSource(microphone.name, **asked)


def packed_24(values: NDArray[np.int32]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3])


def padded_24(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """With dirt in the byte that the format leaves undefined."""
    return ((values & 0xFFFFFF) | 0x5A000000).astype("<i4")


VALUES = np.array([0, 1, -1, 8388607, -8388608, 300000, -300000, 77], dtype=np.int32)


@pytest.mark.parametrize(
    ("sample_format", "stored", "heard"),
    [
        ("S16_LE", VALUES.astype("<i2"), VALUES.astype(np.int16)),
        ("S24_3LE", packed_24(VALUES), VALUES << 8),
        ("S24_LE", padded_24(VALUES), VALUES << 8),
        ("S32_LE", VALUES.astype("<i4"), VALUES),
        ("FLOAT_LE", (VALUES / 8388608).astype("<f4"), (VALUES / 8388608).astype(np.float32)),
    ],
)
@pytest.mark.parametrize("asked", ["auto", "named"])
def test_every_format_arrives_to_the_bit(
    plug_in: PlugIn, sample_format: str, stored: Samples, heard: Samples, asked: str
) -> None:
    microphone = plug_in(stored, sample_format=sample_format, channels=2)
    wanted = "auto" if asked == "auto" else sample_format
    with open_source(microphone, channels=2, sample_format=wanted) as source:
        samples = source.read().samples
    assert source.format.sample_format == sample_format
    assert samples.dtype == heard.dtype
    np.testing.assert_array_equal(samples[:4], heard.reshape(4, 2))
    assert not samples[4:].any()


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_a_gap_is_as_long_as_what_the_card_lost(
    plug_in: PlugIn, ramp: NDArray[np.int32], ppm: int
) -> None:
    """Against the plugin's own count, and against the numbers in the samples."""
    microphone = plug_in(ramp, sample_format="S32_LE", ppm=ppm)
    gaps, jumps, last = [], [], 0
    with open_source(microphone) as source:
        for number in range(120):
            item = source.read()
            if isinstance(item, Gap):
                gaps.append(item.lost_samples)
                continue
            first = int(item.samples[0, 0])
            if first != last + 1:
                jumps.append(first - last - 1)
            last = int(item.samples[-1, 0])
            if number % 40 == 39:
                time.sleep(0.12)
        assert source.xruns == len(gaps)
    assert jumps == microphone.overruns()
    np.testing.assert_allclose(gaps, jumps, atol=TOLERANCE_SAMPLES)
    assert len(gaps) == 2
    assert min(gaps) >= 4 * 480


def test_the_gap_says_its_cause_and_the_period_after_it_follows(
    plug_in: PlugIn, ramp: NDArray[np.int32]
) -> None:
    with open_source(plug_in(ramp, sample_format="S32_LE")) as source:
        before = source.read()
        time.sleep(0.1)
        items = [source.read() for _ in range(6)]
    place = next(n for n, item in enumerate(items) if isinstance(item, Gap))
    gap, after = items[place], items[place + 1]
    assert gap.cause == "xrun"
    assert isinstance(after, Period)
    assert after.sample_index == gap.sample_index + gap.lost_samples
    # The samples number themselves from one, so the index is right when it agrees.
    assert abs(int(after.samples[0, 0]) - 1 - after.sample_index) <= TOLERANCE_SAMPLES
    assert before.sample_index == 0


def test_a_sleep_of_the_machine_becomes_a_gap(plug_in: PlugIn, ramp: NDArray[np.int32]) -> None:
    microphone = plug_in(ramp, sample_format="S32_LE")
    with open_source(microphone) as source:
        source.read()
        microphone.suspend()
        morning = threading.Timer(0.1, microphone.wake)
        morning.start()
        items = [source.read() for _ in range(8)]
        morning.join()
    (gap,) = [item for item in items if isinstance(item, Gap)]
    assert gap.cause == "suspended"
    assert gap.lost_samples >= 4800
    assert gap.lost_samples == pytest.approx(sum(microphone.overruns()), abs=TOLERANCE_SAMPLES)


def test_an_unplugged_device_is_an_error_that_says_so(plug_in: PlugIn) -> None:
    microphone = plug_in(np.zeros(480, dtype="<i2"), loop=True)
    with open_source(microphone) as source:
        source.read()
        microphone.unplug()
        with pytest.raises(DeviceError, match="was lost: No such device") as raised:
            list(iter(source.read, None))
    assert "plug it in again" in raised.value.help
    with pytest.raises(DeviceError, match="can't be opened"):
        open_source(microphone)
    microphone.plug()
    with open_source(microphone) as source:
        assert isinstance(source.read(), Period)


def test_a_missing_device_is_an_error_that_lists_what_there_is(plug_in: PlugIn) -> None:
    plug_in(np.zeros(480, dtype="<i2"))
    with pytest.raises(DeviceError, match="nosuchmic can't be opened") as raised:
        AlsaSource("nosuchmic", rate_hz=48000, channels=1, period_size=480, periods=4)
    assert "edge devices" in raised.value.help


def test_a_busy_device_is_an_error_that_says_how_to_find_who_holds_it(plug_in: PlugIn) -> None:
    microphone = plug_in(np.zeros(480, dtype="<i2"))
    with open_source(microphone), pytest.raises(DeviceError, match="busy") as raised:
        open_source(microphone)
    assert "fuser -v /dev/snd/*" in raised.value.help


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rate_hz": 44100}, "44100 Hz"),
        ({"channels": 2}, "2 channels"),
        ({"sample_format": "S32_LE"}, "S32_LE"),
        ({"rate_hz": 16000, "channels": 3}, "16000 Hz and 3 channels"),
    ],
)
def test_what_the_device_cannot_do_is_refused_with_what_it_offers(
    plug_in: PlugIn, wrong: dict[str, object], named: str
) -> None:
    microphone = plug_in(np.zeros(480, dtype="<i2"))
    with pytest.raises(DeviceError, match=named) as raised:
        open_source(microphone, **wrong)
    assert raised.value.help == "it offers rates 48000 Hz; channels 1; formats S16_LE"
    with open_source(microphone):  # the refused one has let go of the device
        pass


def test_another_period_size_is_adapted_to_and_said(plug_in: PlugIn) -> None:
    microphone = plug_in(np.zeros(480, dtype="<i2"), loop=True)
    with open_source(microphone, period_size=5, periods=100) as source:
        assert source.format.period_size == 16
        assert "period_size is 16 where 5 was asked for" in source.notes
        assert "periods is 64 where 100 was asked for" in source.notes
        assert len(source.read().samples) == 16


def test_what_is_granted_as_asked_is_not_noted(plug_in: PlugIn) -> None:
    with open_source(plug_in(np.zeros(480, dtype="<i2"))) as source:
        assert source.notes == ()


def test_zeros_are_samples_like_others(plug_in: PlugIn) -> None:
    with open_source(plug_in(np.zeros(480, dtype="<i2"))) as source:
        assert not source.read().samples.any()


def test_a_recording_in_a_loop_has_no_seam(plug_in: PlugIn) -> None:
    with open_source(plug_in(np.arange(1, 701, dtype="<i2"), loop=True)) as source:
        heard = np.concatenate([source.read().samples[:, 0] for _ in range(5)])
    np.testing.assert_array_equal(heard, np.arange(2400) % 700 + 1)


def test_the_list_of_devices_has_the_microphone_with_its_offer(plug_in: PlugIn) -> None:
    microphone = plug_in(np.zeros(960, dtype="<i2"), channels=2, rate_hz=16000)
    (device,) = [device for device in list_devices() if device.pcm == microphone.name]
    assert device.setting == microphone.name
    assert (device.rates_hz, device.formats, device.channels) == ((16000,), ("S16_LE",), (2,))
    assert device.offer == "rates 16000 Hz; channels 2; formats S16_LE"


def test_a_busy_device_is_listed_with_the_reason(plug_in: PlugIn) -> None:
    microphone = plug_in(np.zeros(480, dtype="<i2"))
    with open_source(microphone):
        (device,) = [device for device in list_devices() if device.pcm == microphone.name]
    assert "busy" in device.offer
    assert device.formats == ()


def test_a_probe_lets_go_of_the_device(plug_in: PlugIn) -> None:
    microphone = plug_in(np.zeros(480, dtype="<i2"))
    assert probe(microphone.name) == probe(microphone.name)


def test_a_device_without_an_end_of_channels_is_described_at_once() -> None:
    asked = 'from edge.capture.alsa import probe; print(probe("null"))'
    done = subprocess.run(
        [sys.executable, "-c", asked], check=True, timeout=20, capture_output=True, text=True
    )
    assert "rates 1 to" in done.stdout
