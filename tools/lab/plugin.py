# SPDX-License-Identifier: MIT
"""Compiles the C of this folder, and writes the ALSA configuration of its virtual cards."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE: Final = Path(__file__).parent
SYSTEM_CONFIG: Final = Path("/usr/share/alsa/alsa.conf")
MENDING: Final = "apt-get install gcc libc6-dev libasound2-dev"


def build(kind: str, directory: Path) -> Path:
    """Compile `pcm_<kind>.c` into `directory`, unless this very source is there already.

    Raises RuntimeError with what the compiler said, and what to install where something is
    missing.
    """
    source = HERE / f"pcm_{kind}.c"
    digest = hashlib.sha256(source.read_bytes() + (HERE / "card.h").read_bytes()).hexdigest()[:12]
    return _built(source, directory / f"libasound_module_pcm_{kind}-{digest}.so", "-lasound", "-lm")


def build_preload(name: str, directory: Path) -> Path:
    """Compile `<name>.c`, to be preloaded, into `directory`; raises as `build` does."""
    source = HERE / f"{name}.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    return _built(source, directory / f"{name}-{digest}.so")


def _built(source: Path, library: Path, *libraries: str) -> Path:
    if library.exists():
        return library
    directory = library.parent
    directory.mkdir(parents=True, exist_ok=True)
    # Two builders at once each finish their own file; the rename picks one.
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        unfinished = Path(scratch) / "plugin.so"
        _compile(source, unfinished, *libraries)
        unfinished.replace(library)
    return library


def _compile(source: Path, output: Path, *libraries: str) -> None:
    command = ["cc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-DPIC", "-o", str(output)]
    try:
        subprocess.run(
            [*command, str(source), *libraries],
            env={**os.environ, "LC_ALL": "C"},
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as error:
        message = f"a virtual sound card needs a C compiler: {MENDING}"
        raise RuntimeError(message) from error
    except subprocess.CalledProcessError as error:
        # A header or library that is not there, not a full disk or too little memory.
        missing = any(words in error.stderr for words in ("No such file", "cannot find"))
        why = MENDING if missing else f"{command[0]} ended with {error.returncode}"
        message = f"{source.name} can't be compiled: {why}\n{error.stderr}"
        raise RuntimeError(message) from error


def configure(
    file: Path,
    kind: str,
    library: Path,
    devices: Mapping[str, Mapping[str, object]],
    description: str,
) -> None:
    """Write an ALSA configuration that has `devices` beside the system's own."""
    lines = [f"<{SYSTEM_CONFIG}>"] if SYSTEM_CONFIG.exists() else []
    lines.append(f"pcm_type.{kind} {{ lib {_value(library)} }}")
    for name, settings in devices.items():
        lines.append(f"pcm.{_value(name)} {{")
        lines.append(f"  type {kind}")
        lines += [f"  {key} {_value(value)}" for key, value in settings.items()]
        lines.append(f"  hint {{ show on description {_value(description)} }}")
        lines.append("}")
    file.write_text("\n".join(lines) + "\n")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
