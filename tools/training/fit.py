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
from tools.training.recordings import ESC10, LABELS, OTHER
from tools.training.teacher import CLASSES, EMBEDDING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.training.pool import Pool

BATCH: Final = 128
LEARNING_RATE: Final = 4e-3
WEIGHT_DECAY: Final = 0.02
AVERAGING: Final = 0.998  # of the weights, per step
OTHER_SHARE: Final = 0.35
GATHERED_SHARE: Final = 0.7  # how often a label beside ESC-10's ten is drawn, to one of them
NAMELESS_SHARE: Final = 0.25
SOFT_SHARE: Final = 0.5
IMITATION_WEIGHT: Final = 1.0
READER_STEPS: Final = 1500
READER_RATE: Final = 5e-3
READ: Final = EMBEDDING + CLASSES  # features that the reader of the teachers sees


@dataclass(frozen=True, slots=True)
class Lessons:
    """The pools as tensors.

    `targets` is in between what is known of each patch and what a linear reader of the teachers
    says. `weights` is how often each patch is drawn.
    """

    patches: torch.Tensor
    targets: torch.Tensor
    features: torch.Tensor
    weights: torch.Tensor


def make_lessons(pools: Sequence[Pool], seed: int) -> Lessons:
    """Return what is learned from these folds' pools."""
    hard = torch.from_numpy(np.concatenate([one.labels for one in pools])).float()
    features = torch.from_numpy(np.concatenate([one.features for one in pools])).float()
    # Dimensions of like size and centre: otherwise a few loud ones are all that is imitated.
    features = (features - features.mean(0)) / (features.std(0) + 0.05)
    weights = draw_weights(hard)
    certain = torch.from_numpy(np.concatenate([one.certain for one in pools]))[:, None]
    soft = torch.where(certain, hard, _read_teachers(features[:, :READ], hard, weights, seed))
    return Lessons(
        patches=torch.from_numpy(np.concatenate([one.patches for one in pools])),
        targets=torch.where(hard.isnan(), soft, SOFT_SHARE * soft + (1.0 - SOFT_SHARE) * hard),
        features=features.half(),
        weights=weights,
    )


def fit(lessons: Lessons, *, epochs: float, seed: int, name: str) -> Network:
    """Return the trained network, its weights averaged over the last steps."""
    torch.manual_seed(seed)
    network = new_network(len(LABELS))
    average = copy.deepcopy(network)
    parts = network.parts
    optimiser = torch.optim.AdamW(parts.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = round(epochs * len(lessons.patches) / BATCH)
    for step in range(steps):
        set_rate(optimiser, LEARNING_RATE * schedule(step / steps))
        loss = _loss(network, lessons)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average_weights(average.parts, parts, min(AVERAGING, step / (step + 10)))
        if step % 100 == 99:
            print(f"{name}: step {step + 1}/{steps} loss {float(loss.detach()):.3f}", flush=True)
    average.parts.eval()
    return average


def draw_weights(hard: torch.Tensor) -> torch.Tensor:
    """Return how often to draw each patch.

    ESC-10's labels alike, fixed shares of the others, and of what nobody knows.
    """
    heard = (hard == 1.0).double()
    share = torch.full((len(LABELS),), GATHERED_SHARE).double()
    share[: len(ESC10)] = 1.0
    share[OTHER] = 0.0
    share *= (1.0 - OTHER_SHARE) / share.sum()
    share[OTHER] = OTHER_SHARE
    each = share / heard.sum(0).clamp(min=1.0)
    named = (heard * each).sum(1) / heard.sum(1).clamp(min=1.0)
    nameless = (heard.sum(1) == 0.0).double()
    weight = NAMELESS_SHARE / (1.0 - NAMELESS_SHARE) * named.sum() / nameless.sum().clamp(min=1.0)
    return named + weight * nameless


def _read_teachers(
    features: torch.Tensor, hard: torch.Tensor, weights: torch.Tensor, seed: int
) -> torch.Tensor:
    """Return the scores of a linear classifier on the teachers' features.

    They say of a patch that holds a pause, or something else beside its label, what the
    label of the whole clip can't.
    """
    torch.manual_seed(seed)
    reader = nn.Linear(features.shape[1], hard.shape[1])
    nn.init.constant_(reader.bias, -3.0)  # most labels are not in most patches
    optimiser = torch.optim.AdamW(reader.parameters(), lr=READER_RATE, weight_decay=0.02)
    known = (~hard.isnan()).float()
    hard = hard.nan_to_num(0.0)
    for step in range(READER_STEPS):
        set_rate(optimiser, READER_RATE * schedule(step / READER_STEPS))
        drawn = torch.multinomial(weights, 512, replacement=True)
        logits = reader(functional.dropout(features[drawn], 0.3))
        loss = functional.binary_cross_entropy_with_logits(logits, hard[drawn], weight=known[drawn])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return torch.sigmoid(reader(features))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def schedule(progress: float) -> float:
    warm_up = 0.05
    if progress < warm_up:
        return progress / warm_up + 1e-3
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warm_up) / (1.0 - warm_up)))


def _loss(network: Network, lessons: Lessons) -> torch.Tensor:
    drawn = torch.multinomial(lessons.weights, BATCH, replacement=True)
    patches = colour(lessons.patches[drawn].float())
    target = lessons.targets[drawn]
    teacher = lessons.features[drawn].float()
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
    # A few random gains (nepers; 0.2 is 1.7 dB) over the range, straight lines between: most
    # of what microphones do is in the pool, where the teachers do not hear it.
    knots = 0.2 * torch.randn(n, 1, 6)
    response = functional.interpolate(knots, size=n_mels, mode="linear", align_corners=True)
    tilt = torch.linspace(-1.0, 1.0, n_mels) * 0.25 * torch.randn(n, 1, 1)
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


def average_weights(average: nn.ModuleList, current: nn.ModuleList, keep: float) -> None:
    with torch.no_grad():
        for old, new in zip(
            average.state_dict().values(), current.state_dict().values(), strict=True
        ):
            if old.is_floating_point():
                old.lerp_(new, 1.0 - keep)
            else:
                old.copy_(new)
