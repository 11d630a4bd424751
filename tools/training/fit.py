# SPDX-License-Identifier: MIT
"""Training: labels, and what the teacher heard, into the weights of the network."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tools.training.network import Network, new_network
from tools.training.recordings import LABELS, OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.training.pool import Pool

BATCH: Final = 128
LEARNING_RATE: Final = 4e-3
WEIGHT_DECAY: Final = 0.02
AVERAGING: Final = 0.995  # of the weights, per step
OTHER_SHARE: Final = 0.35
SOFT_SHARE: Final = 0.5
IMITATION_WEIGHT: Final = 1.0
TEACHER_STEPS: Final = 600


@dataclass(frozen=True, slots=True)
class Lessons:
    """The pool as tensors; `soft` is what a linear reader of the teacher says of each patch."""

    patches: torch.Tensor
    hard: torch.Tensor
    soft: torch.Tensor
    embeddings: torch.Tensor
    weights: torch.Tensor


def make_lessons(pool: Pool, folds: Iterable[int], seed: int) -> Lessons:
    """Return the part of the pool that belongs to these folds."""
    chosen = np.flatnonzero(np.isin(pool.folds, list(folds)))
    labels = torch.from_numpy(pool.labels[chosen])
    embeddings = torch.from_numpy(pool.embeddings[chosen]).float()
    # Dimensions of like size and centre: otherwise a few loud ones are all that is imitated.
    embeddings = (embeddings - embeddings.mean(0)) / (embeddings.std(0) + 0.05)
    hard = functional.one_hot(labels, len(LABELS)).float()
    weights = _weights(labels)
    certain = torch.from_numpy(pool.certain[chosen])[:, None]
    return Lessons(
        patches=torch.from_numpy(pool.patches[chosen]),
        hard=hard,
        soft=torch.where(certain, hard, _read_teacher(embeddings, hard, weights, seed)),
        embeddings=embeddings,
        weights=weights,
    )


def fit(lessons: Lessons, *, epochs: int, seed: int) -> Network:
    """Return the trained network, its weights averaged over the last steps."""
    torch.manual_seed(seed)
    network = new_network(len(LABELS))
    average = copy.deepcopy(network)
    parts = network.parts
    optimiser = torch.optim.AdamW(parts.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * (len(lessons.patches) // BATCH)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * _schedule(step / steps)
        loss = _loss(network, lessons)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        _average(average.parts, parts, min(AVERAGING, step / (step + 10)))
        if step % 100 == 99:
            print(f"\rstep {step + 1}/{steps} loss {float(loss):.3f}", end="", flush=True)
    print()
    average.parts.eval()
    return average


def _weights(labels: torch.Tensor) -> torch.Tensor:
    """Return how often to draw each patch: classes alike, and a fixed share of "other"."""
    count = torch.bincount(labels, minlength=len(LABELS)).clamp(min=1).double()
    share = torch.full((len(LABELS),), (1.0 - OTHER_SHARE) / (len(LABELS) - 1)).double()
    share[OTHER] = OTHER_SHARE
    return (share / count)[labels]


def _read_teacher(
    embeddings: torch.Tensor, hard: torch.Tensor, weights: torch.Tensor, seed: int
) -> torch.Tensor:
    """Return the scores of a linear classifier on the teacher's embedding.

    They say of a patch that holds a pause, or something else beside its label, what the
    label of the whole clip can't.
    """
    torch.manual_seed(seed)
    reader = nn.Linear(embeddings.shape[1], hard.shape[1])
    optimiser = torch.optim.AdamW(reader.parameters(), lr=2e-3, weight_decay=0.3)
    for _ in range(TEACHER_STEPS):
        drawn = torch.multinomial(weights, 512, replacement=True)
        logits = reader(functional.dropout(embeddings[drawn], 0.3))
        loss = functional.binary_cross_entropy_with_logits(logits, hard[drawn])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return torch.sigmoid(reader(embeddings))


def _schedule(progress: float) -> float:
    warm_up = 0.05
    if progress < warm_up:
        return progress / warm_up + 1e-3
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warm_up) / (1.0 - warm_up)))


def _loss(network: Network, lessons: Lessons) -> torch.Tensor:
    drawn = torch.multinomial(lessons.weights, BATCH, replacement=True)
    patches = colour(lessons.patches[drawn].float())
    target = SOFT_SHARE * lessons.soft[drawn] + (1.0 - SOFT_SHARE) * lessons.hard[drawn]
    teacher = lessons.embeddings[drawn]
    # Mixup (Zhang et al., 2018): in between two sounds, be in between sure.
    share = float(np.random.default_rng(int(drawn[0])).beta(0.3, 0.3))
    share = max(share, 1.0 - share)
    partner = torch.roll(torch.arange(BATCH), 1)
    patches = share * patches + (1.0 - share) * patches[partner]
    embedding = network.embed(mask(patches))
    logits = network.head(functional.dropout(embedding, 0.2))
    target = share * target + (1.0 - share) * target[partner]
    teacher = share * teacher + (1.0 - share) * teacher[partner]
    heard = functional.binary_cross_entropy_with_logits(logits, target)
    imitated = functional.mse_loss(network.imitation(embedding), teacher)
    return 10.0 * heard + IMITATION_WEIGHT * imitated


def colour(patches: torch.Tensor) -> torch.Tensor:
    """Return the patches as other microphones would hear them: a smooth response over the bands."""
    n, _, n_mels = patches.shape
    # A few random gains (nepers; 0.5 is 4.3 dB) over the range, straight lines between.
    knots = 0.5 * torch.randn(n, 1, 6)
    response = functional.interpolate(knots, size=n_mels, mode="linear", align_corners=True)
    tilt = torch.linspace(-1.0, 1.0, n_mels) * 0.6 * torch.randn(n, 1, 1)
    return patches + response + tilt


def mask(patches: torch.Tensor) -> torch.Tensor:
    """Return the patches with a stretch of time and of bands blanked (SpecAugment, Park 2019)."""
    n, n_frames, n_mels = patches.shape
    mean = patches.mean(dim=(1, 2), keepdim=True)
    hidden = _stretch(n, n_frames, 16)[:, :, None] | _stretch(n, n_mels, 8)[:, None, :]
    return torch.where(hidden, mean, patches)


def _stretch(n: int, size: int, longest: int) -> torch.Tensor:
    length = torch.randint(0, longest + 1, (n, 1))
    start = (torch.rand(n, 1) * (size - length)).long()
    place = torch.arange(size)[None]
    return (place >= start) & (place < start + length)


def _average(average: nn.ModuleList, current: nn.ModuleList, keep: float) -> None:
    with torch.no_grad():
        for old, new in zip(
            average.state_dict().values(), current.state_dict().values(), strict=True
        ):
            if old.is_floating_point():
                old.lerp_(new, 1.0 - keep)
            else:
                old.copy_(new)
