# SPDX-License-Identifier: MIT
"""What the box says of itself: `info`, and its description for Home Assistant.

Both are told at the start and whenever something in them changes: another model (model
thread), a threshold (thresholds thread), a calibration (measure thread).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.publish import payloads
from edge.service import build
from edge.service.homeassistant import HomeAssistant, shown
from edge.service.rules import build_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.capture.source import Source
    from edge.config.schema import Settings
    from edge.publish.payloads import Topics
    from edge.service.calibrated import Calibrated
    from edge.service.models import Models
    from edge.service.thresholds import Thresholds
    from edge.types import Message


class Introduction:
    """Says what the box is.

    Parameters
    ----------
    alarms : labels of events that come from levels.
    weighting_class : of the levels, as in `info`.
    thermometer : whether the box has one.
    again : tells every retained state once more.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        topics: Topics,
        source: Source,
        models: Models,
        thresholds: Thresholds,
        calibrated: Calibrated,
        alarms: Sequence[str],
        weighting_class: int,
        thermometer: bool,
        send: Callable[[Message], None],
        again: Callable[[], None],
    ) -> None:
        self._topics = topics
        self._source = source
        self._models = models
        self._thresholds = thresholds
        self._calibrated = calibrated
        self._alarms = alarms
        self._weighting_class = weighting_class
        self._thermometer = thermometer
        self._send = send
        self.homeassistant = (
            HomeAssistant(settings, topics, send, again) if settings.publish.url else None
        )
        """None: there is nobody to tell."""

    def tell_all(self) -> None:
        """Tell `info` and the description."""
        self.tell_info()
        self.describe()

    def tell_info(self) -> None:
        """Tell `info`."""
        model = self._models.classifier.info
        facts = build.describe_box(
            self._models.settings,
            self._source,
            model,
            self._thresholds.of(model),
            weighting_class=self._weighting_class,
        )
        self._send(payloads.info(self._topics, facts))

    def describe(self) -> None:
        """Describe the box to Home Assistant, or take away what it was told before."""
        settings, model = self._models.settings, self._models.classifier.info
        if self.homeassistant is None:
            return
        if not settings.homeassistant.enabled:
            self.homeassistant.withdraw()
            return
        what = shown(
            settings,
            f"{model.name} {model.version}",
            build_rules(settings, model),
            self._alarms,
            calibrated=self._calibrated.offset_db() is not None,
            thermometer=self._thermometer,
        )
        self.homeassistant.tell(what)
