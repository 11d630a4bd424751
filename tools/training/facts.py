# SPDX-License-Identifier: MIT
"""What there is to tell of a trained model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.model.trial import onsets, try_out
from tools.training.choice import choose, rules, tally
from tools.training.recordings import ESC10, FOLDS, LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.model.registry import ModelInfo
    from edge.model.trial import Heard, Rates, Result
    from tools.training.choice import Choice, Counted, Tally
    from tools.training.listening import Kind, Unseen
    from tools.training.recordings import Clip


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was measured.

    temperature : what the logits are divided by.
    unseen : what networks that had not heard its fold made of it, scores of all `LABELS`.
    counted : clips and stream of each fold, with the events by each rule.
    rates : the rules of the shipped file, for those scores.
    precisions : average, of every label, of those too that stay out.
    scene : found and all sections of synthesised scenes, by the shipped file.
    """

    info: ModelInfo
    temperature: float
    made_by: str
    unseen: Sequence[Unseen]
    clips: Sequence[Clip]
    counted: Mapping[int, tuple[Sequence[Counted], Sequence[Counted]]]
    tallies: Mapping[str, Tally]
    rates: Rates
    precisions: Mapping[str, float]
    scene: Mapping[str, tuple[int, int]]

    @property
    def gathered(self) -> tuple[str, ...]:
        """The labels beside ESC-10's ten."""
        return tuple(label for label in self.tallies if label not in ESC10)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The labels that were tried and stay out."""
        return tuple(label for label in LABELS[:-1] if label not in self.tallies)

    def heard(self, *kinds: Kind, fold: int | None = None) -> list[Heard]:
        """Return what is of these kinds, and of this fold."""
        return [one.heard for one in self.unseen if one.kind in kinds and fold in {None, one.fold}]

    def result(self, *kinds: Kind, fold: int | None = None) -> Result:
        """Return the figures of these kinds by the rules of the shipped file."""
        return try_out(self.heard(*kinds, fold=fold), self.rates)

    def fair(self) -> tuple[float, float]:
        """Return share of clips detected and false events an hour by rules of the other folds.

        Each fold is judged by rules that were chosen without it.
        """
        detected = clips = events = 0
        samples = 0
        for fold in FOLDS:
            rates = dataclasses.replace(self.rates, rules=rules(self._choice_without(fold)))
            for one in self.heard("official", "field", fold=fold):
                if one.label:
                    clips += 1
                    detected += one.label in onsets(one.scores, rates, rates.rules)
            for one in self.heard("stream", fold=fold):
                names = onsets(one.scores, rates, rates.rules)
                events += sum(name not in one.fitting for name in names)
                samples += one.n_samples
        return detected / max(clips, 1), events / max(samples / self.rates.rate_hz / 3600, 1e-9)

    def _choice_without(self, fold: int) -> Choice:
        others = [pair for own, pair in self.counted.items() if own != fold]
        clips = [one for pair in others for one in pair[0]]
        stream = [one for pair in others for one in pair[1]]
        return choose(tally(clips, stream, list(self.tallies)))
