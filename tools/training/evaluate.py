# SPDX-License-Identifier: MIT
"""What networks make of clips and noise that they have not heard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from tools.training.choice import HOP_SAMPLES
from tools.training.frontend import PATCH_SAMPLES, STUDENT, log_mel
from tools.training.noise import NOISES, steady
from tools.training.pool import GATE_DB, SILENCE_RMS
from tools.training.recordings import LABELS, OTHER, Clip, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tools.training.network import Network

NOISE_STRETCHES: Final = 10  # of one minute, per kind and fold


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard in a clip: `scores` (n_patches, n_labels), and which patches are no pause.

    `noise` is the kind of noise that was synthesised, or nothing.
    """

    clip: Clip
    scores: NDArray[np.float32]
    audible: NDArray[np.bool_]
    noise: str = ""


def listen(network: Network, clips: list[Clip]) -> list[Hearing]:
    """Return the scores of every patch of the clips, cut as the listening process cuts them."""
    return [_hear(network, clip, load(clip)) for clip in clips]


def listen_to_noise(network: Network, fold: int, seed: int) -> list[Hearing]:
    """Return the scores of minutes of each kind of noise.

    A quiet microphone gives nothing else, all day: what it is taken for matters.
    """
    rng = np.random.default_rng([seed, fold, 1])  # not the ones of the training
    nothing = Clip(Path("noise"), OTHER, fold, official=False, author="", licence="", url="")
    return [
        _hear(network, nothing, steady(kind, rng), kind)
        for kind in NOISES
        for _ in range(NOISE_STRETCHES)
    ]


def clip_accuracy(hearings: list[Hearing]) -> dict[str, tuple[int, int]]:
    """Return right and all clips per class: the highest mean score of the ten over a clip."""
    counts: dict[str, tuple[int, int]] = {}
    for hearing in hearings:
        if hearing.clip.label == OTHER:
            continue
        name = LABELS[hearing.clip.label]
        right, total = counts.get(name, (0, 0))
        counts[name] = (right + is_right(hearing), total + 1)
    return counts


def is_right(hearing: Hearing) -> bool:
    """Return whether the clip's own label has the highest mean score of the ten."""
    mean = hearing.scores[hearing.audible].mean(axis=0)[:OTHER]
    return bool(mean.argmax() == hearing.clip.label)


def _hear(network: Network, clip: Clip, samples: NDArray[np.float32], noise: str = "") -> Hearing:
    samples = np.pad(samples, (0, max(PATCH_SAMPLES - samples.size, 0)))
    frames = log_mel(samples, STUDENT.front_end)
    starts = range(0, len(frames) - STUDENT.patch_frames + 1, STUDENT.patch_hop)
    patches = np.stack([frames[s : s + STUDENT.patch_frames] for s in starts])
    with torch.no_grad():
        logits = network.head(network.embed(torch.from_numpy(patches)))
    power = np.array(
        [
            np.square(samples[k * HOP_SAMPLES : k * HOP_SAMPLES + PATCH_SAMPLES]).mean()
            for k in range(len(patches))
        ]
    )
    gate = min(max(SILENCE_RMS**2, power.max() * 10.0 ** (-GATE_DB / 10.0)), power.max())
    return Hearing(clip, torch.sigmoid(logits).numpy(), power >= gate, noise)
