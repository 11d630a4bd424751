# SPDX-License-Identifier: MIT
"""Two virtual ALSA cards joined by a cable: what the one plays, the other captures.

The real alsa-lib, true underruns and overruns, two clocks that differ, a plug to pull and
a card that hangs; see `pcm_edgeloop.c`. How ALSA finds them: see `microphone.py`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tools.lab.plugin import build, configure

if TYPE_CHECKING:
    from pathlib import Path


class VirtualLoop:
    """A card that plays, `output`, and a card that captures, `input`.

    Parameters
    ----------
    directory : holds plugin, configuration, cable and flags; made if missing.
    output_rate_hz, output_channels, output_format, output_ppm : of the card that plays.
    output_most_frames : the longest buffer that it grants; 0: 65536 frames of the cable's rate.
    input_rate_hz, input_channels, input_format, input_ppm : of the card that captures.
        The formats are S16_LE or S32_LE; channels are joined by number, a missing one is
        silent. ppm: how fast a card's clock runs against CLOCK_MONOTONIC.
    """

    def __init__(
        self,
        directory: Path,
        *,
        output_rate_hz: int = 48000,
        output_channels: int = 1,
        output_format: str = "S16_LE",
        output_ppm: int = 0,
        output_most_frames: int = 0,
        input_rate_hz: int = 48000,
        input_channels: int = 1,
        input_format: str = "S16_LE",
        input_ppm: int = 0,
        name: str = "edgeloop",
    ) -> None:
        self.output, self.input = f"{name}_out", f"{name}_in"
        directory = directory.resolve()
        library = build("edgeloop", directory)
        self._config = directory / f"{name}.conf"
        self._directory = directory
        for device in (self.output, self.input):
            for kind in ("gone", "stuck", "xruns"):
                self._file(device, kind).unlink(missing_ok=True)
        cable = directory / f"{name}.cable"
        cable.unlink(missing_ok=True)
        shared = {"cable": cable, "cable_rate": output_rate_hz}
        ends = {
            self.output: (output_rate_hz, output_channels, output_format, output_ppm),
            self.input: (input_rate_hz, input_channels, input_format, input_ppm),
        }
        devices = {
            device: shared
            | dict(zip(("rate", "channels", "format", "ppm"), end, strict=True))
            | {
                "most_frames": output_most_frames if device == self.output else 0,
                "gone": self._file(device, "gone"),
                "stuck": self._file(device, "stuck"),
                "log": self._file(device, "xruns"),
            }
            for device, end in ends.items()
        }
        configure(self._config, "edgeloop", library, devices, "Virtual loop")

    def _file(self, device: str, kind: str) -> Path:
        return self._directory / f"{device}.{kind}"

    def environment(self) -> dict[str, str]:
        """Return a copy of this process's environment in which ALSA finds the two cards."""
        return {**os.environ, "ALSA_CONFIG_PATH": str(self._config)}

    def unplug(self, device: str) -> None:
        """Pull the plug: who plays or reads gets ENODEV, who opens ENOENT."""
        self._file(device, "gone").touch()

    def plug(self, device: str) -> None:
        """Put the plug back; what was open stays lost, as with a card."""
        self._file(device, "gone").unlink(missing_ok=True)

    def hang(self, device: str) -> None:
        """Stop a card's clock: nothing moves any more, and no error says so."""
        self._file(device, "stuck").touch()

    def wake(self, device: str) -> None:
        """Let it go on; the time that has passed is an xrun."""
        self._file(device, "stuck").unlink(missing_ok=True)

    def xruns(self, device: str) -> list[int]:
        """Return how many frames each interruption lasted, oldest first."""
        log = self._file(device, "xruns")
        return [int(line) for line in log.read_text().split()] if log.exists() else []
