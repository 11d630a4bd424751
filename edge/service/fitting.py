# SPDX-License-Identifier: MIT
"""Whether settings fit a model, and what is left of them for one that they do not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge.errors import ConfigError
from edge.model.classifier import OnnxClassifier
from edge.model.grouping import grouped
from edge.service.instrument import alarm_rules
from edge.service.recording import check_model
from edge.service.rules import build_rules

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config.schema import Settings
    from edge.model.registry import ModelInfo


def fitting_model(settings: Settings, path: Path) -> OnnxClassifier:
    """Open a model, try it, and see whether the settings can be kept with it.

    Raises `ModelError`, and `ConfigError` where the settings name what it lacks.
    """
    classifier = OnnxClassifier(path, settings.model.groups)
    info = classifier.info
    build_rules(settings, info)
    alarm_rules(settings, info.scored)
    if settings.record.enabled:
        check_model(settings, info)
    return classifier


def fitted(settings: Settings, model: ModelInfo) -> tuple[Settings, list[str]]:
    """Return settings without what names labels that a model lacks, and the keys that lost some.

    Clips are not recorded where nothing could tell speech that must not be kept.
    """
    fits = {
        name: members
        for name, members in settings.model.groups.items()
        if name not in model.labels and set(members) <= set(model.labels)
    }
    made = replace(settings, model=replace(settings.model, groups=fits))
    scored = grouped(model, fits).scored
    rules = settings.detector
    made = replace(
        made,
        detector=replace(
            rules,
            ignore=[one for one in rules.ignore if one in scored],
            labels={one: rule for one, rule in rules.labels.items() if one in scored},
        ),
        level=replace(
            made.level, alarms=[one for one in made.level.alarms if one.name not in scored]
        ),
    )
    alarms = {one.name for one in settings.level.alarms}
    heard = [one for one in settings.record.labels if one in scored or one in alarms]
    made = replace(made, record=replace(made.record, labels=heard))
    # No label at all means any: what named only strangers records nothing.
    lost = bool(settings.record.labels) and not heard
    if made.record.enabled and (lost or not _tells_speech(made, grouped(model, fits))):
        made = replace(made, record=replace(made.record, enabled=False))
    return made, _changed(settings, made)


def _tells_speech(settings: Settings, model: ModelInfo) -> bool:
    try:
        check_model(settings, model)
    except ConfigError:
        return False
    return True


def _changed(before: Settings, after: Settings) -> list[str]:
    pairs = {
        "model.groups": (before.model.groups, after.model.groups),
        "detector.ignore": (before.detector.ignore, after.detector.ignore),
        "detector.labels": (before.detector.labels, after.detector.labels),
        "level.alarms": (before.level.alarms, after.level.alarms),
        "record.labels": (before.record.labels, after.record.labels),
        "record.enabled": (before.record.enabled, after.record.enabled),
    }
    return [key for key, (one, other) in pairs.items() if one != other]
