# SPDX-License-Identifier: MIT
"""What the box says of itself: its figures, and what it leaves out because of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from edge.health import BoxHealth
from edge.service.notify import Every
from edge.service.shedding import LOOK_S, Shedding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.config.schema import Settings
    from edge.service.figures import FiguresFile

log = logging.getLogger(__name__)

FIRST_HEALTH_S: Final = 3.0


class Vitals:
    """Figures of the box and of the unit, renewed every `LOOK_S` (main thread).

    Parameters
    ----------
    now_s : monotonic seconds at the start.
    file : where others of the box read them.
    figures : gives those of the unit.
    tell : takes all of them, for `health`.
    """

    def __init__(
        self,
        settings: Settings,
        now_s: float,
        *,
        file: FiguresFile,
        figures: Callable[[], dict[str, Any]],
        tell: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._box = BoxHealth(settings.state.path)
        self._file = file
        self._figures = figures
        self._tell = tell
        self._health = Every(settings.health.interval_s, now_s + FIRST_HEALTH_S)
        self._look = Every(LOOK_S, now_s + LOOK_S)
        self._newest: dict[str, Any] = {}
        self.shedding = Shedding(settings.health.max_temperature_c)
        if where := settings.health.prometheus:
            from edge.service.exposition import expose  # 4 MB that few boxes need

            expose(where, lambda: self._newest)

    @property
    def thermometer(self) -> bool:
        """Whether the box can tell its temperature."""
        return self._box.has_thermometer

    def watch(self, now_s: float, *, changed: bool) -> None:
        """Renew, leave out and report what is due; `changed`: something wants to be told now."""
        looks, due = self._look.due(now_s), self._health.due(now_s) or changed
        if not looks and not due:
            return
        figures = self._box.read() | self._figures()
        due |= looks and self._shed(figures, now_s)
        self._renew(figures, tell=due)

    def report(self) -> None:
        """Tell all figures as they are now."""
        self._renew(self._box.read() | self._figures(), tell=True)

    def _shed(self, figures: Mapping[str, Any], now_s: float) -> bool:
        """Leave out more, or less, as the box can bear it; return whether that has changed."""
        changed = self.shedding.look(figures, now_s)
        if changed:
            why = f": {self.shedding.reason}" if self.shedding.reason else ""
            log.warning("left out now: %s%s", self.shedding.step, why)
        return changed

    def _renew(self, figures: dict[str, Any], *, tell: bool) -> None:
        figures |= {"shedding": self.shedding.step, "shedding_reason": self.shedding.reason}
        self._newest = figures
        self._file.write(figures)
        if tell:
            self._tell(figures)
            log.info("stats %s", " ".join(f"{key}={value}" for key, value in figures.items()))
