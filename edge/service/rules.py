# SPDX-License-Identifier: MIT
"""Which labels make events and by which rules: from the settings, else from the model."""

from __future__ import annotations

from dataclasses import asdict
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from edge.errors import ConfigError
from edge.model.detector import Rule
from edge.publish.payloads import topic_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.config.schema import Settings
    from edge.model.registry import ModelInfo

MOST_NAMED: Final = 40  # labels in an error message


def event_labels(settings: Settings, model: ModelInfo) -> list[str]:
    """Return what makes events unless it is ignored, in the order of the scores.

    That is every label that is not negative; or, where the model has groups, these and
    the labels that have settings of their own.

    Raises `ConfigError` where the settings name what the model lacks.
    """
    own, ignored = settings.detector.labels, settings.detector.ignore
    check_labels("detector.labels and detector.ignore", [*own, *ignored], model)
    makers = {*model.groups, *own} if model.groups else {*model.labels}
    return [one for one in model.scored if one in makers and one not in model.negative_labels]


def state_labels(settings: Settings, model: ModelInfo) -> Sequence[str]:
    """Return the labels that have a retained state.

    Of a model of some labels all have one: one that makes no events now may have an ON from
    other settings. Of hundreds behind groups it would be hundreds of topics for nobody.
    """
    return event_labels(settings, model) if model.groups else model.scored


def build_rules(
    settings: Settings, model: ModelInfo, told: Mapping[str, float] = MappingProxyType({})
) -> dict[str, Rule]:
    """Return the rule of each label or group that may make events.

    `told` are thresholds that go before those of the settings and the model.

    Raises `ConfigError` as `event_labels`, and for two that would share a topic.
    """
    labels = [one for one in event_labels(settings, model) if one not in settings.detector.ignore]
    by_topic: dict[str, str] = {}
    for label in labels:
        other = by_topic.setdefault(topic_word(label), label)
        if other != label:
            raise ConfigError(
                f"{other!r} and {label!r} can't both make events: their topic is the same",
                "put one of them into detector.ignore",
            )
    return {label: _rule(settings, model, label, told.get(label)) for label in labels}


def check_labels(key: str, labels: Sequence[str], model: ModelInfo) -> None:
    """Raise `ConfigError` where `labels`, of the settings' `key`, are none of the model."""
    unknown = sorted(set(labels) - set(model.scored))
    if not unknown:
        return
    known = list(model.scored)
    if len(known) > MOST_NAMED:  # then those that are meant, and the groups
        close = [one for name in unknown for one in get_close_matches(name, known, cutoff=0.5)]
        known = [*close, *model.groups, "others: `edge model show --all`"]
    raise ConfigError(
        f"the model {model.name} has no label {', '.join(map(repr, unknown))}",
        f"{key} may name: {', '.join(dict.fromkeys(known))}",
    )


def _rule(settings: Settings, model: ModelInfo, label: str, told: float | None) -> Rule:
    """Return a label's rule: its own setting, else the general one, else what the model learned."""
    own = settings.detector.labels.get(label)
    given = {key: value for key, value in asdict(own).items() if value is not None} if own else {}
    merged = asdict(settings.detector) | given
    threshold = told or merged["threshold"] or model.thresholds.get(label, 0.5)
    return Rule(
        threshold=threshold,
        release=threshold * merged["release_ratio"],
        min_hits=merged["min_hits"] or model.min_hits.get(label, 1),
        hold_s=merged["hold_s"],
        cooldown_s=merged["cooldown_s"],
        max_event_s=merged["max_event_s"],
    )
