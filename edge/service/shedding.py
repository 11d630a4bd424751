# SPDX-License-Identifier: MIT
"""What a box that is too hot or too busy leaves out, step by step: samples come last, never first.

========  ==========================================================
step      what is left out
========  ==========================================================
none      nothing
analysis  idle-time analysis pauses
patches   every second patch is not classified
levels    no patch is classified: levels, alarms and recording go on
========  ==========================================================

A weak supply alone goes no further than `analysis`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Step = Literal["none", "analysis", "patches", "levels"]

STEPS: Final[tuple[Step, ...]] = get_args(Step)
LOOK_S: Final = 5.0
UP_S: Final = 15.0
"""So long a trouble lasts, on each step, before more is left out."""

DOWN_S: Final = 60.0
"""So long all is well, on each step, before it is taken up again."""

COOLER_C: Final = 5.0  # under its limit the box is cool again
MANY_LATE: Final = 0.2  # of the patches since the last look
# Source: Raspberry Pi documentation, vcgencmd get_throttled: bits of now, not those since boot.
_WEAK_SUPPLY: Final = 0x1
_BITS: Final = {
    0x2: "the firmware lowers the clock",
    0x4: "the firmware throttles the processor",
    0x8: "the firmware's soft limit of temperature is reached",
}
# What the firmware does about a weak supply, too: what a box can't do then shows in its patches.
# Source: raspberrypi/firmware, issue 615.
_FOR_THE_SUPPLY: Final = 0x2 | 0x4


class Shedding:
    """Decides what is left out, from the figures of the box; pure, on the time it is given.

    Parameters
    ----------
    max_temperature_c : over it the box is too hot; 0: nobody minds.
    """

    def __init__(self, max_temperature_c: float) -> None:
        self._max_temperature_c = max_temperature_c
        self._hot = False
        self._counted = (0, 0, 0)
        self._since_s: float | None = None  # of the state that asks for a change
        self._asks = 0  # +1: for less, -1: for more, 0: for nothing
        self._place = 0
        self._patches = 0
        self.reason = ""
        """Why something is left out; empty: nothing is."""

    @property
    def step(self) -> Step:
        """What is left out now."""
        return STEPS[self._place]

    def classifies(self) -> bool:
        """Return whether the next patch is to be classified (inference thread)."""
        self._patches += 1
        match self.step:
            case "levels":
                return False
            case "patches":
                return self._patches % 2 == 0
        return True

    def look(self, figures: Mapping[str, Any], now_s: float) -> bool:
        """Take the figures of `health`, every `LOOK_S`; return whether the step has changed."""
        trouble, most = self._trouble(figures)
        asks = (self._place < most) - (self._place > most)
        if asks != self._asks:
            self._asks, self._since_s = asks, now_s
        patience_s = UP_S if asks > 0 else DOWN_S
        if self._since_s is None or now_s - self._since_s < patience_s or not asks:
            return False
        self._place, self._since_s = self._place + asks, now_s
        self.reason = (trouble or self.reason) if self._place else ""
        return True

    def _trouble(self, figures: Mapping[str, Any]) -> tuple[str, int]:
        """Return what is wrong now, "" for nothing, and the place of the last step for it."""
        busy = self._busy(figures)  # first: what came late while it was hot is not of later
        celsius = figures.get("temperature_c")
        if celsius is not None and self._max_temperature_c:
            limit_c = self._max_temperature_c - (COOLER_C if self._hot else 0.0)
            self._hot = celsius > limit_c
            if self._hot:
                return f"{celsius:g} °C, over {limit_c:g}", len(STEPS) - 1
        bits = int(figures.get("throttled") or "0", 16)
        weak = bits & _WEAK_SUPPLY
        if weak:
            bits &= ~_FOR_THE_SUPPLY
        firmware = [text for bit, text in _BITS.items() if bits & bit]
        if firmware or busy:
            return firmware[0] if firmware else busy, len(STEPS) - 1
        if weak:  # a box may have that for years, and hears well
            return "the supply gives too little voltage", STEPS.index("analysis")
        return "", 0

    def _busy(self, figures: Mapping[str, Any]) -> str:
        now = (figures["late_patches"], figures["inferences"], figures["xruns"])
        late, done, xruns = (new - old for new, old in zip(now, self._counted, strict=True))
        self._counted = now
        if xruns:
            return "samples are lost: the processor is too busy"
        if late > MANY_LATE * (late + done):
            return f"{late} of {late + done} patches come too late for the model"
        return ""
