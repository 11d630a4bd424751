# SPDX-License-Identifier: MIT
"""A virtual ALSA microphone: builds the plugin of `pcm_edgemic.c` and configures it.

Real alsa-lib, real overruns, real unplugging, no sound card and no kernel module.
ALSA finds the microphone by `$ALSA_CONFIG_PATH`: give `environment()` to the process
that is to hear it, or set the variable in this one. A process that has used ALSA before
reads the configuration anew when the path is another one: so give each microphone of
one process its own `name` or directory.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("pcm_edgemic.c")
SYSTEM_CONFIG = Path("/usr/share/alsa/alsa.conf")
MENDING = "apt-get install gcc libc6-dev libasound2-dev"


def build(directory: Path) -> Path:
    """Compile the plugin into `directory`, unless this very source is there already.

    Raises RuntimeError, with what the compiler said and the packages to install.
    """
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    library = directory / f"libasound_module_pcm_edgemic-{digest}.so"
    if library.exists():
        return library
    directory.mkdir(parents=True, exist_ok=True)
    # Two builders at once each finish their own file; the rename picks one.
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        unfinished = Path(scratch) / "plugin.so"
        _compile(unfinished)
        unfinished.replace(library)
    return library


def _compile(output: Path) -> None:
    command = ["cc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-DPIC", "-o", str(output)]
    try:
        subprocess.run(
            [*command, str(SOURCE), "-lasound", "-lm"], check=True, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        message = f"the virtual microphone needs a C compiler: {MENDING}"
        raise RuntimeError(message) from error
    except subprocess.CalledProcessError as error:
        message = f"the virtual microphone can't be compiled: {MENDING}\n{error.stderr}"
        raise RuntimeError(message) from error


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
        library = build(directory)
        self._config = directory / f"{name}.conf"
        self._gone = directory / f"{name}.gone"
        self._asleep = directory / f"{name}.asleep"
        self._log = directory / f"{name}.overruns"
        for left_over in (self._gone, self._asleep, self._log):
            left_over.unlink(missing_ok=True)
        self._config.write_text(
            _include(SYSTEM_CONFIG)
            + f"pcm_type.edgemic {{ lib {_quoted(library)} }}\n"
            + f"pcm.{_quoted(name)} {{\n"
            + "  type edgemic\n"
            + f"  file {_quoted(raw.resolve())}\n"
            + f"  rate {rate_hz}\n  channels {channels}\n  format {_quoted(sample_format)}\n"
            + f"  loop {str(loop).lower()}\n  ppm {ppm}\n"
            + f"  gone {_quoted(self._gone)}\n  asleep {_quoted(self._asleep)}\n"
            + f"  log {_quoted(self._log)}\n"
            + '  hint { show on description "Virtual microphone" }\n'
            + "}\n"
        )

    def environment(self) -> dict[str, str]:
        """Return a copy of this process's environment in which ALSA finds the microphone."""
        return {**os.environ, "ALSA_CONFIG_PATH": str(self._config)}

    def unplug(self) -> None:
        """Pull the plug: whoever reads gets ENODEV, whoever opens ENOENT."""
        self._gone.touch()

    def plug(self) -> None:
        """Put the plug back; what was open stays lost, as with a card."""
        self._gone.unlink(missing_ok=True)

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


def _include(path: Path) -> str:
    return f"<{path}>\n" if path.exists() else ""


def _quoted(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
