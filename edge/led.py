# SPDX-License-Identifier: MIT
"""A light on the box, through the files that the kernel has for each: it blinks by itself."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final, Literal

log = logging.getLogger(__name__)

Light = Literal["steady", "blinking", "off"]

# What is written to `trigger` and then to `brightness`, which the kernel caps at the light's most.
# A trigger that is set anew forgets the brightness, and "timer" lights up by itself.
# Source: the kernel's Documentation/leds/leds-class.rst.
_WRITTEN: Final[dict[Light, tuple[tuple[str, str], ...]]] = {
    "steady": (("trigger", "none"), ("brightness", "255")),
    "blinking": (("trigger", "none"), ("brightness", "255"), ("trigger", "timer")),
    "off": (("trigger", "none"), ("brightness", "0")),
}


class Led:
    """Shows one of three things; writes only what changes. One thread at a time.

    Parameters
    ----------
    directory : /sys/class/leds/NAME; "": there is none.

    What can't be written is said once, and it is tried again with the next change.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory) if directory else None
        self._shown: Light | None = None
        self._failed = False

    def show(self, light: Light) -> None:
        """Show it."""
        if self._directory is None or light == self._shown:
            return
        self._shown = light
        try:
            for name, text in _WRITTEN[light]:
                # Opened as it is: a light that is not there must not become a folder's file.
                with (self._directory / name).open("r+", encoding="ascii") as file:
                    file.write(f"{text}\n")
        except OSError as error:
            if not self._failed:
                log.warning("health.led shows nothing: %s", error)
            self._failed = True
