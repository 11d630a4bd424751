# SPDX-License-Identifier: MIT
"""How sure the scores are: as sure as a network is right about clips that it has not heard.

Source: C. Guo et al., "On calibration of modern neural networks", 2017: logits are divided by
one temperature for all labels, the one of the least loss on what was not trained on.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import numpy as np

from tools.training.recordings import ESC10

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.model.trial import Heard
    from tools.training.listening import Unseen

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

TEMPERATURES: Final = np.round(np.arange(0.5, 3.05, 0.1), 1)
_LEAST: Final = 1e-7  # what float32 tells from 0, and from 1


def temperature(unseen: Sequence[Unseen]) -> float:
    """Return what logits are best divided by: of ESC-10's clips, clean and in noise."""
    clips = [one.heard for one in unseen if one.kind in {"official", "noisy"}]
    logits = np.concatenate([_logits(one.scores[:, : len(ESC10)]) for one in clips])
    truth = np.concatenate([_truth(one) for one in clips])
    losses = [_loss(logits / one, truth) for one in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def at_temperature(one: Unseen, temperature: float) -> Unseen:
    """Return what the network would have made of it with its logits divided."""
    scores = 1.0 / (1.0 + np.exp(-_logits(one.heard.scores) / temperature))
    heard = dataclasses.replace(one.heard, scores=scores.astype(np.float32))
    return dataclasses.replace(one, heard=heard)


def _truth(heard: Heard) -> Float64:
    truth = np.zeros((len(heard.scores), len(ESC10)))
    truth[:, ESC10.index(str(heard.label))] = 1.0
    return truth


def _logits(scores: Float32) -> Float64:
    known = np.clip(scores.astype(np.float64), _LEAST, 1.0 - _LEAST)
    return np.asarray(np.log(known / (1.0 - known)))


def _loss(logits: Float64, truth: Float64) -> float:
    """Return the mean binary cross-entropy."""
    return float((np.logaddexp(0.0, logits) - truth * logits).mean())
