# SPDX-License-Identifier: MIT
"""The last steps: what is known, as it was heard, without mixing and without the teachers' doubts.

Mixup and soft labels teach a network to be unsure in between; at the end it may be sure.
On folds that it had not heard this was worth three clips in a hundred.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tools.training.fit import (
    BATCH,
    average_weights,
    colour,
    draw_weights,
    mask,
    schedule,
    set_rate,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.training.network import Network
    from tools.training.pool import Pool

STEPS: Final = 300
LEARNING_RATE: Final = 8e-4
WEIGHT_DECAY: Final = 0.02
AVERAGING: Final = 0.98
IMITATION_WEIGHT: Final = 0.5


def polish(network: Network, pools: Sequence[Pool], *, seed: int, name: str) -> Network:
    """Return the network after some hundred steps more; `network` itself is changed too."""
    torch.manual_seed(seed)
    labels = torch.from_numpy(np.concatenate([one.labels for one in pools])).float()
    patches = torch.from_numpy(np.concatenate([one.patches for one in pools]))
    features = torch.from_numpy(np.concatenate([one.features for one in pools]))
    mean, spread = features.float().mean(0), features.float().std(0) + 0.05
    weights = draw_weights(labels)
    known, hard = (~labels.isnan()).float(), labels.nan_to_num(0.0)
    average = copy.deepcopy(network)
    _freeze_norms(network)
    parts = network.parts
    optimiser = torch.optim.AdamW(parts.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for step in range(STEPS):
        set_rate(optimiser, LEARNING_RATE * schedule(step / STEPS))
        drawn = torch.multinomial(weights, BATCH, replacement=True)
        embedding = network.embed(mask(colour(patches[drawn].float())))
        logits = network.head(functional.dropout(embedding, 0.1))
        heard = functional.binary_cross_entropy_with_logits(
            logits, hard[drawn], weight=known[drawn]
        )
        teacher = (features[drawn].float() - mean) / spread
        imitated = functional.mse_loss(network.imitation(embedding), teacher)
        optimiser.zero_grad()
        (10.0 * heard + IMITATION_WEIGHT * imitated).backward()
        optimiser.step()
        average_weights(average.parts, parts, min(AVERAGING, step / (step + 10)))
    print(f"{name}: polished, loss {float(heard.detach()):.3f}", flush=True)
    average.parts.eval()
    return average


def _freeze_norms(network: Network) -> None:
    """Keep the statistics of the batch norms as they were averaged over the training."""
    network.parts.train()
    for layer in network.body:
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
