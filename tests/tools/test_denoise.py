# SPDX-License-Identifier: MIT
"""The figures of the noise reduction bench measure what they are named for."""

import numpy as np
import pytest

from tools.benchmark.denoise import si_sdr_db
from tools.benchmark.scenes import LEAD_S, RATE_HZ, Scene, scene

RANDOM = np.random.default_rng(4)
SOUND = RANDOM.standard_normal(4 * RATE_HZ)
NOISE = RANDOM.standard_normal(16 * RATE_HZ)


def test_the_ratio_of_signal_to_distortion_is_that_of_the_powers_whatever_the_scale() -> None:
    noise = 0.1 * NOISE[: SOUND.size]
    assert si_sdr_db(SOUND, SOUND + noise) == pytest.approx(20.0, abs=0.1)
    assert si_sdr_db(SOUND, 0.3 * (SOUND + noise) + 5.0) == pytest.approx(20.0, abs=0.1)


def mixture(snr_db: float) -> Scene:
    return scene(SOUND.astype(np.float32), NOISE, snr_db)


@pytest.mark.parametrize("snr_db", [-5.0, 20.0])
def test_a_scene_holds_sound_and_noise_at_their_ratio(snr_db: float) -> None:
    mixed = mixture(snr_db)
    powers = [np.mean(part[mixed.sounding] ** 2) for part in (mixed.sound, mixed.noise)]
    assert 10 * np.log10(powers[0] / powers[1]) == pytest.approx(snr_db)
    at = mixed.sounding
    heard = mixed.mixed()[at].astype(np.float64)
    assert si_sdr_db(mixed.sound[at], heard) == pytest.approx(snr_db, abs=0.3)


def test_in_the_pauses_of_a_scene_nothing_but_noise_sounds() -> None:
    mixed = mixture(0.0)
    assert not mixed.sound[mixed.pauses()].any()
    assert mixed.pauses().sum() > LEAD_S / 2 * RATE_HZ
