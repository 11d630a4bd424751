# SPDX-License-Identifier: MIT
"""A virtual ALSA microphone: builds the plugin of `pcm_edgemic.c` and configures it.

Real alsa-lib, real overruns, real unplugging, no sound card and no kernel module.
ALSA finds the microphone by `$ALSA_CONFIG_PATH`: give `environment()` to the process
that is to hear it, or set the variable in this one. A process that has used ALSA before
reads the configuration anew when the path is another one: so give each microphone of
one process its own `name` or directory.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.lab.plugin import build, configure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sound that a card delivered without a break; times are of CLOCK_MONOTONIC.

    `epoch_s` is when the card's clock, and so its file, began.
    """

    epoch_s: float
    began_s: float
    samples: int
    rate_hz: float

    @property
    def ended_s(self) -> float:
        """When the last sample of it was over."""
        return self.began_s + self.samples / self.rate_hz


class VirtualMicrophone:
    """An ALSA capture device called `name` that plays `raw` in real time.

    Parameters
    ----------
    directory : holds the plugin, the configuration and the flags; made if missing.
    raw : headerless interleaved samples in `sample_format`.
    loop : play `raw` for ever without a seam; else zeros follow its end.
    ppm : how fast the card's clock runs against CLOCK_MONOTONIC.
    """

    def __init__(
        self,
        directory: Path,
        raw: Path,
        *,
        rate_hz: int = 48000,
        channels: int = 1,
        sample_format: str = "S16_LE",
        loop: bool = False,
        ppm: int = 0,
        name: str = "edgemic",
    ) -> None:
        self.name = name
        directory = directory.resolve()
        library = build("edgemic", directory)
        self._config = directory / f"{name}.conf"
        self._gone = directory / f"{name}.gone"
        self._asleep = directory / f"{name}.asleep"
        self._log = directory / f"{name}.overruns"
        self._played = directory / f"{name}.played"
        self._rate_hz = rate_hz * (1.0 + 1e-6 * ppm)
        for left_over in (self._gone, self._asleep, self._log, self._played):
            left_over.unlink(missing_ok=True)
        device = {
            "file": raw.resolve(),
            "rate": rate_hz,
            "channels": channels,
            "format": sample_format,
            "loop": loop,
            "ppm": ppm,
            "gone": self._gone,
            "asleep": self._asleep,
            "log": self._log,
            "played": self._played,
        }
        configure(self._config, "edgemic", library, {name: device}, "Virtual microphone")

    def environment(self) -> dict[str, str]:
        """Return a copy of this process's environment in which ALSA finds the microphone."""
        return {**os.environ, "ALSA_CONFIG_PATH": str(self._config)}

    def unplug(self) -> None:
        """Pull the plug: whoever reads gets ENODEV, whoever opens ENOENT."""
        self._gone.touch()

    def plug(self) -> None:
        """Put the plug back; what was open stays lost, as with a card."""
        self._gone.unlink(missing_ok=True)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold it as another program does, once nobody else has it: who opens it gets EBUSY."""
        with self._log.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def suspend(self) -> None:
        """Send the machine to sleep, as far as the reader can tell."""
        self._asleep.touch()

    def wake(self) -> None:
        """Let the reader start the stream again."""
        self._asleep.unlink(missing_ok=True)

    def overruns(self) -> list[int]:
        """Return how many frames each interruption has lost, to the frame, oldest first."""
        if not self._log.exists():
            return []
        return [int(line) for line in self._log.read_text().split()]

    def played(self) -> list[Stretch]:
        """Return what was delivered so far, by the card's own count, oldest first."""
        if not self._played.exists():
            return []
        lines = [line.split() for line in self._played.read_text().splitlines()]
        return [
            Stretch(float(epoch), float(began), int(samples), self._rate_hz)
            for epoch, began, samples in lines
            if int(samples)
        ]
