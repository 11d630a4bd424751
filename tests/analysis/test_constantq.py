# SPDX-License-Identifier: MIT
"""Constant-Q and variable-Q spectra are librosa's, at every rate and length."""

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.analysis.constantq import Halvings, Kind, log_spectrum, plan

NOISE = np.random.default_rng(4).uniform(-0.5, 0.5, 200000).astype(np.float32)


def expected(
    samples: NDArray[np.float32], rate_hz: int, hop_length: int, kind: Kind, n_bins: int
) -> NDArray[np.complex64]:
    transform = librosa.cqt if kind == "constant" else librosa.vqt
    return transform(samples, sr=rate_hz, hop_length=hop_length, n_bins=n_bins).T


@pytest.mark.data
@pytest.mark.parametrize("kind", ["constant", "variable"])
def test_it_is_librosas_on_recordings(recordings: list[NDArray[np.float32]], kind: Kind) -> None:
    """Within 2e-6 of the loudest bin: the rounding of float32."""
    for samples in recordings:
        got = plan(22050, 512, kind).transform(Halvings(samples))
        wanted = expected(samples, 22050, 512, kind, 84)
        np.testing.assert_allclose(got, wanted, atol=2e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("kind", ["constant", "variable"])
@pytest.mark.parametrize(
    ("rate_hz", "hop_length", "n_bins"),
    [
        (8000, 256, 72),
        (16000, 512, 84),
        (44100, 1024, 84),
        (48000, 1024, 84),
        (96000, 2048, 84),
        (192000, 4096, 84),
        # A hop that allows one halving before the first octave, where the rate allows two.
        (48000, 128, 84),
        (96000, 128, 84),
        # A hop that can't be halved as often as there are octaves.
        (22050, 24, 84),
    ],
)
def test_it_is_librosas_at_any_rate(kind: Kind, rate_hz: int, hop_length: int, n_bins: int) -> None:
    samples = NOISE[: 22050 if hop_length == 24 else None]
    got = plan(rate_hz, hop_length, kind).transform(Halvings(samples))
    wanted = expected(samples, rate_hz, hop_length, kind, n_bins)
    np.testing.assert_allclose(got, wanted, atol=2e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("kind", ["constant", "variable"])
@pytest.mark.parametrize("rate_hz", [44100, 66000])
def test_one_recording_serves_both_kinds(kind: Kind, rate_hz: int) -> None:
    """What the other kind has halved is used again, but at 66 kHz librosa begins elsewhere."""
    alone = plan(rate_hz, 1024, kind).transform(Halvings(NOISE))
    shared = Halvings(NOISE)
    for other in ("constant", "variable"):
        plan(rate_hz, 1024, other).transform(shared)
    np.testing.assert_array_equal(plan(rate_hz, 1024, kind).transform(shared), alone)


@pytest.mark.parametrize("n_samples", [1, 2, 63, 511, 513, 5000])
def test_a_short_recording_has_a_frame_for_each_hop(n_samples: int) -> None:
    for kind in ("constant", "variable"):
        spectrum = log_spectrum(Halvings(NOISE[:n_samples]), 22050, 512, kind)
        assert spectrum.magnitude.shape == (1 + n_samples // 512, 84)
        assert np.isfinite(spectrum.decibels).all()


@pytest.mark.parametrize("kind", ["constant", "variable"])
@pytest.mark.parametrize("semitone", [0, 21, 45, 83])
def test_a_tone_is_loudest_in_its_bin(kind: Kind, semitone: int) -> None:
    frequency_hz = 440.0 * 2.0 ** ((semitone - 45) / 12)
    tone = np.sin(2.0 * np.pi * frequency_hz * np.arange(4 * 22050) / 22050)
    spectrum = log_spectrum(Halvings(tone.astype(np.float32)), 22050, 512, kind)
    assert spectrum.bins_hz[semitone] == pytest.approx(frequency_hz)
    middle = len(spectrum.magnitude) // 2
    assert spectrum.magnitude[middle].argmax() == semitone
    assert spectrum.hop_s == 512 / 22050


def test_a_plan_is_made_once() -> None:
    assert plan(22050, 512, "constant") is plan(22050, 512, "constant")
    assert plan(22050, 512, "constant") is not plan(22050, 512, "variable")
