# SPDX-License-Identifier: MIT
"""Whether a model fits the box: found out before it is put in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.model.classifier import OnnxClassifier
from edge.service.build import build_rules
from edge.service.instrument import alarm_rules
from edge.service.recording import check_model

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config.schema import Settings


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
