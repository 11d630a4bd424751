# SPDX-License-Identifier: MIT
"""How well it does on clips it has not seen: per clip, and event by event."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from edge.model.detector import Detector, Rule
from edge.types import Scores
from tools.training.frontend import PATCH_SAMPLES, STUDENT, log_mel
from tools.training.pool import GATE_DB, SILENCE_RMS
from tools.training.recordings import LABELS, OTHER, RATE_HZ, Clip, load
from tools.training.synthetic import counter_example

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge.types import Event
    from tools.training.network import Network

HOP_SAMPLES: Final = STUDENT.patch_hop * STUDENT.front_end.hop_length
MIN_HITS: Final = 1  # as in default.toml
CANDIDATES: Final = np.round(np.arange(0.2, 0.96, 0.02), 2)
SYNTHESISED: Final = 60
FALSE_ALARM_COST: Final = 1.0
USUAL_THRESHOLD: Final = 0.6
PULL: Final = 40.0  # clips that a threshold of 1 off would have to be worth


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard in a clip: `scores` (n_patches, n_labels), and which patches are no pause."""

    clip: Clip
    scores: NDArray[np.float32]
    audible: NDArray[np.bool_]


def listen(network: Network, clips: list[Clip]) -> list[Hearing]:
    """Return the scores of every patch of the clips, cut as the listening process cuts them."""
    return [_hear(network, clip, load(clip)) for clip in clips]


def listen_to_nothing(network: Network, fold: int, seed: int) -> list[Hearing]:
    """Return the scores of synthesised noise, hum, tones and silence, 5 s each.

    A quiet microphone gives nothing but noise, all day: what it is taken for matters.
    """
    rng = np.random.default_rng([seed, fold, 1])  # not the ones of the training
    nothing = Clip(Path("synthesised"), OTHER, fold, official=False, author="", licence="", url="")
    return [_hear(network, nothing, counter_example(5 * RATE_HZ, rng)) for _ in range(SYNTHESISED)]


def clip_accuracy(hearings: list[Hearing]) -> dict[str, tuple[int, int]]:
    """Return right and all clips per class: the highest mean score of the ten over a clip."""
    counts: dict[str, tuple[int, int]] = {}
    for hearing in hearings:
        if hearing.clip.label == OTHER:
            continue
        name = LABELS[hearing.clip.label]
        mean = hearing.scores[hearing.audible].mean(axis=0)[:OTHER]
        right, total = counts.get(name, (0, 0))
        counts[name] = (right + int(mean.argmax() == hearing.clip.label), total + 1)
    return counts


def choose_thresholds(hearings: list[Hearing]) -> dict[str, float]:
    """Return per label the score that trades missed clips for false alarms best.

    From clips that the scoring network had not seen: scores of its own training clips would
    give thresholds that nothing in the field reaches.
    """
    return {label: _threshold(hearings, k) for k, label in enumerate(LABELS) if k != OTHER}


def rules(thresholds: Mapping[str, float]) -> dict[str, Rule]:
    """Return the rules of `default.toml` with these thresholds."""
    return {
        label: Rule(
            threshold=threshold,
            release=0.7 * threshold,
            min_hits=MIN_HITS,
            hold_s=1.0,
            cooldown_s=2.0,
            max_event_s=60.0,
        )
        for label, threshold in thresholds.items()
    }


def events(hearing: Hearing, thresholds: Mapping[str, float]) -> list[Event]:
    """Return the onsets that the detector makes of a clip."""
    detector = Detector(LABELS, rules(thresholds), RATE_HZ, "evaluation")
    found = []
    for k, values in enumerate(hearing.scores):
        found += detector.update(Scores(k * HOP_SAMPLES, PATCH_SAMPLES, values))
    return [event for event in found if event.edge == "onset"]


def _hear(network: Network, clip: Clip, samples: NDArray[np.float32]) -> Hearing:
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
    return Hearing(clip, torch.sigmoid(logits).numpy(), power >= gate)


def _reached(hearing: Hearing, label: int) -> float:
    """Return the highest score that MIN_HITS patches in a row reach."""
    scores = hearing.scores[:, label]
    if scores.size < MIN_HITS:
        return 0.0
    in_a_row = np.lib.stride_tricks.sliding_window_view(scores, MIN_HITS)
    return float(in_a_row.min(axis=1).max())


def _threshold(hearings: list[Hearing], label: int) -> float:
    reached = np.array([_reached(hearing, label) for hearing in hearings])
    own = np.array([hearing.clip.label == label for hearing in hearings])
    missed = (reached[own][:, None] < CANDIDATES).sum(axis=0)
    wrong = (reached[~own][:, None] >= CANDIDATES).sum(axis=0)
    # Some 24 clips a label: without a pull to the usual, single ones would decide.
    unusual = PULL * np.square(CANDIDATES - USUAL_THRESHOLD)
    return float(CANDIDATES[np.argmin(missed + FALSE_ALARM_COST * wrong + unusual)])
