# SPDX-License-Identifier: MIT
from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
import soxr

from edge.capture.scene import SOUNDS, synthesise_scene

if TYPE_CHECKING:
    from pathlib import Path

RATE_HZ = 48000

SIBLINGS = {
    "rain": {"Rain", "Rain on surface", "Raindrop", "Water"},
    "clock_tick": {"Clock", "Tick-tock", "Tick"},
    "helicopter": {"Helicopter"},
    "fire_crackling": {"Fire", "Crackle", "Crumpling, crinkling"},
    "sea_waves": {"Ocean", "Waves, surf"},
    "dog_bark": {"Dog", "Bark", "Domestic animals, pets"},
    "baby_cry": {"Baby cry, infant cry", "Crying, sobbing"},
}
"""What AudioSet calls them, for those that a machine must know by ear."""


def test_the_same_seed_gives_the_same_scene_and_another_another() -> None:
    scene, sounds = synthesise_scene(8, RATE_HZ, seed=3)
    again, sounds_again = synthesise_scene(8, RATE_HZ, seed=3)
    other, _ = synthesise_scene(8, RATE_HZ, seed=4)
    np.testing.assert_array_equal(scene, again)
    assert sounds == sounds_again
    assert (scene != other).any()


@pytest.mark.parametrize("seconds", [0, 0.01, 1.0, 2.5, 13.37])
def test_any_length_is_exact_finite_and_within_full_scale(seconds: float) -> None:
    scene, sounds = synthesise_scene(seconds, 16000)
    assert scene.dtype == np.float32
    assert scene.shape == (round(seconds * 16000),)
    assert np.isfinite(scene).all()
    assert np.abs(scene).max(initial=0) <= 1.0
    assert all(0 <= sound.onset_s < sound.offset_s <= seconds for sound in sounds)


def test_sounds_come_in_order_with_a_quiet_room_between() -> None:
    scene, sounds = synthesise_scene(65, 16000)
    assert [sound.label for sound in sounds[:10]] == list(SOUNDS)
    for before, after in itertools.pairwise(sounds):
        assert 0.5 <= after.onset_s - before.offset_s <= 1.5
        pause = scene[round(before.offset_s * 16000) : round(after.onset_s * 16000)]
        assert 20 * np.log10(pause.std()) == pytest.approx(-56.5, abs=1.5)


def test_every_sound_stands_above_the_room_and_is_hardly_ever_clipped() -> None:
    scene, sounds = synthesise_scene(60, RATE_HZ)
    for sound in sounds:
        part = scene[round(sound.onset_s * RATE_HZ) : round(sound.offset_s * RATE_HZ)]
        assert -45 < 20 * np.log10(part.std()) < -15, sound.label
        assert np.mean(np.abs(part) >= 1.0) < 1e-4, sound.label


def test_a_lower_rate_gives_the_same_scene_without_what_it_cannot_hold() -> None:
    """Nothing folds back: each sound keeps to below half of the rate."""
    for rate_hz in (8000, 16000, 44100):
        scene, _ = synthesise_scene(6, rate_hz)
        assert np.isfinite(scene).all()


@pytest.fixture(scope="module")
def yamnet_scores(data: Path) -> dict[str, list[str]]:
    """Return the best three in each section, to YAMNet, which knows field recordings only."""
    model = data / "models/yamnet_tfhub_w8.onnx"
    with (data / "models/yamnet_class_map.csv").open(encoding="utf-8") as file:
        names = [row["display_name"] for row in csv.DictReader(file)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    scene, sounds = synthesise_scene(41, RATE_HZ)
    heard = soxr.resample(scene, RATE_HZ, 16000)
    best = {}
    for sound in sounds:
        part = heard[round(sound.onset_s * 16000) : round(sound.offset_s * 16000)]
        mean = np.mean([scores(session, patch) for patch in patches(part)], axis=0)
        best[sound.label] = [names[index] for index in np.argsort(-mean)[:3]]
    return best


def patches(samples: np.ndarray) -> np.ndarray:
    """YAMNet's front end, in the plainest form: (n_patches, 96, 64)."""

    def mel(freq_hz: np.ndarray | float) -> np.ndarray:
        return 1127 * np.log1p(np.asarray(freq_hz) / 700)

    edges = np.linspace(mel(125), mel(7500), 66)
    bins = mel(np.arange(257) * 16000 / 512)[:, np.newaxis]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    weights = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160] * window
    mels = np.abs(np.fft.rfft(frames, 512)) @ np.maximum(weights, 0)
    log_mel = np.log(mels + 1e-3).astype(np.float32)
    return np.lib.stride_tricks.sliding_window_view(log_mel, 96, axis=0)[::48].swapaxes(1, 2)


def scores(session: object, patch: np.ndarray) -> np.ndarray:
    name = session.get_inputs()[0].name
    outputs = session.run(None, {name: patch[np.newaxis]})
    return next(output[0] for output in outputs if output.shape[-1] == 521)


@pytest.mark.data
@pytest.mark.parametrize("label", SIBLINGS)
def test_an_independent_ear_knows_the_sound(
    yamnet_scores: dict[str, list[str]], label: str
) -> None:
    assert set(yamnet_scores[label]) & SIBLINGS[label], yamnet_scores[label]
