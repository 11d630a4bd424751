# SPDX-License-Identifier: MIT
"""A calibrator is found by itself, and what is none is told why."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.dsp.bands import BandMeter, bands_of
from edge.dsp.levels import LevelMeter
from edge.dsp.standard import band_bank, halving_taps, weighting_sos
from edge.measure.calibrator import CalibratorFinder, KnownLevel
from tests.seconds import a_level

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.measure.calibrator import Heard

RATE_HZ = 48000
BATCH = 4000


@functools.cache
def filters() -> tuple[NDArray[np.float64], ...]:
    weightings = weighting_sos("A", RATE_HZ), weighting_sos("C", RATE_HZ)
    return (*weightings, band_bank(RATE_HZ), halving_taps())


def hear(
    finder: CalibratorFinder | KnownLevel, samples: NDArray[np.float64], gap_at: int = -1
) -> list[Heard]:
    """Return what each second of the samples tells; 10 ms are lost at a sample."""
    a, c, bands, taps = filters()
    level_meter = LevelMeter(RATE_HZ, a, c, BATCH)
    band_meter = BandMeter(RATE_HZ, bands, taps, BATCH)
    heard = []
    for start in range(0, samples.size, BATCH):
        if start == gap_at:
            heard += [finder.level(one) for one in level_meter.gap(480)]
            heard += [finder.bands(one) for one in band_meter.gap(480)]
        piece = np.clip(samples[start : start + BATCH], -1.0, 1.0).astype(np.float32)
        n_clipped = int((np.abs(piece) >= 1.0).sum())
        heard += [finder.level(one) for one in level_meter.process(piece, n_clipped)]
        heard += [finder.bands(one) for one in band_meter.process(piece)]
    heard += [finder.bands(one) for one in band_meter.flush()]
    return [one for one in heard if one]


def tone(dbfs: float, seconds: float = 8.0, freq_hz: float = 1000.0) -> NDArray[np.float64]:
    """Return a tone of that RMS level."""
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return 10 ** (dbfs / 20) * np.sqrt(2) * np.sin(2 * np.pi * freq_hz * time_s)


def noise(dbfs: float, seconds: float = 8.0) -> NDArray[np.float64]:
    return 10 ** (dbfs / 20) * np.random.default_rng(1).standard_normal(int(seconds * RATE_HZ))


def found(heard: list[Heard]) -> float | None:
    return next((h.sensitivity_dbfs for h in heard if h.sensitivity_dbfs is not None), None)


def finder(level_db: float = 94.0, freq_hz: float = 1000.0) -> CalibratorFinder:
    return CalibratorFinder(bands_of(RATE_HZ), level_db, freq_hz)


@pytest.mark.parametrize(("level_db", "dbfs"), [(94.0, -41.1), (114.0, -21.1)])
def test_a_calibrator_is_found_after_five_seconds(level_db: float, dbfs: float) -> None:
    heard = hear(finder(level_db), tone(dbfs))
    assert found(heard) == pytest.approx(-41.1, abs=0.02)
    assert [h.text for h in heard[:5]] == [
        *(f"steady for {n} of 5 s" for n in (1, 2, 3, 4)),
        "found",
    ]


@pytest.mark.parametrize("freq_hz", [980.0, 1020.0])
def test_a_calibrator_may_be_off_by_two_percent(freq_hz: float) -> None:
    assert found(hear(finder(), tone(-30.0, freq_hz=freq_hz))) == pytest.approx(-30.0, abs=0.02)


def test_a_pistonphone_is_found_where_it_is() -> None:
    assert found(hear(finder(freq_hz=250.0), tone(-30.0, freq_hz=250.0))) == pytest.approx(
        -30.0, abs=0.02
    )
    assert found(hear(finder(), tone(-30.0, freq_hz=250.0))) is None


def test_noise_beside_the_tone_does_not_count() -> None:
    """12 dB under it leave 94 % of the power to the tone."""
    assert found(hear(finder(), tone(-30.0) + noise(-42.0))) == pytest.approx(-30.0, abs=0.03)


def test_noise_alone_is_no_calibrator_and_the_share_is_told() -> None:
    heard = hear(finder(), noise(-30.0))
    assert found(heard) is None
    assert heard[-1].text == "0 % of the power is at 1 kHz: is the calibrator on?"


def test_a_tone_in_too_much_noise_is_told_its_share() -> None:
    heard = hear(finder(), tone(-30.0) + noise(-32.0))
    assert found(heard) is None
    assert heard[-1].text.startswith(("61 %", "62 %"))


def test_a_square_wave_is_no_calibrator() -> None:
    """Its fundamental holds 81 % of the power; a full-scale one is clipped, too."""
    assert found(hear(finder(), 0.1 * np.sign(tone(0.0)))) is None
    assert "clipped" in hear(finder(), np.sign(tone(0.0)))[-1].text


def test_a_tone_that_moves_is_told_by_how_much() -> None:
    """A phone that is held by hand."""
    slow = 10 ** (0.5 * np.sin(2 * np.pi * np.arange(8 * RATE_HZ) / RATE_HZ / 4) / 20)
    heard = hear(finder(), tone(-30.0) * slow)
    assert found(heard) is None
    assert any(h.text.startswith("moves by") for h in heard)


def test_a_tone_that_settles_is_found_as_soon_as_it_has() -> None:
    step = np.concatenate([tone(-33.0, 2.0), tone(-30.0, 6.0)])
    heard = hear(finder(), step)
    assert found(heard) == pytest.approx(-30.0, abs=0.02)
    assert [h.sensitivity_dbfs is not None for h in heard].index(True) == 6


def test_a_clipped_calibrator_is_refused_with_what_to_do() -> None:
    heard = hear(finder(), tone(-1.0))
    assert found(heard) is None
    assert heard[-1].text == "clipped: lower the gain of the card"


@pytest.mark.parametrize("sound", [tone(-100.0), np.zeros(8 * RATE_HZ)])
def test_a_dead_microphone_is_no_calibrator(sound: NDArray[np.float64]) -> None:
    heard = hear(finder(), sound)
    assert found(heard) is None
    assert heard[-1].text


def test_a_gap_begins_anew() -> None:
    heard = hear(finder(), tone(-30.0, 7.9), gap_at=12 * BATCH * 4)
    assert found(heard) is None
    assert any("lost" in h.text for h in heard)


def test_a_wholly_lost_second_begins_anew() -> None:
    known = KnownLevel(70.0)
    heard = [known.level(a_level(n)) for n in (*range(9), 10)]
    assert heard[-1] is not None
    assert "lost" in heard[-1].text


def test_a_known_level_is_taken_from_steady_noise() -> None:
    """The LAeq of white noise; another meter reads 70 dB."""
    heard = hear(KnownLevel(70.0), noise(-30.0, 12.0))
    laeq_dbfs = np.mean([h.level_dbfs for h in heard])
    assert found(heard) == pytest.approx(laeq_dbfs + 24.0, abs=0.05)


def test_speech_is_no_steady_sound(data: Path) -> None:
    raw = np.fromfile(data / "reference/spl/speak_32000Hz_16bitsPCM_10s.raw", "<i2")
    assert found(hear(KnownLevel(70.0), raw / 32768)) is None


def reference(data: Path, name: str) -> NDArray[np.float64]:
    """Return a calibrated microphone's own recording, 2 s: the left of two channels."""
    raw = np.fromfile(data / f"reference/spl/{name}_48000Hz_32bitsPCM.raw", "<i4")
    return raw[::2] / 2**31


def test_a_recorded_calibrator_makes_its_recording_read_94_db(data: Path) -> None:
    """Two seconds, played four times."""
    samples = np.tile(reference(data, "ref94dB"), 4)
    sensitivity_dbfs = found(hear(finder(), samples))
    assert sensitivity_dbfs == pytest.approx(-38.10, abs=0.05)
    known = hear(KnownLevel(94.0), samples)
    for second in known:
        assert second.level_dbfs + 94.0 - sensitivity_dbfs == pytest.approx(94.0, abs=0.1)


def test_a_rate_without_that_band_is_refused() -> None:
    with pytest.raises(ValueError, match="no third octave"):
        CalibratorFinder(bands_of(8000), 94.0, 8000.0)
