# SPDX-License-Identifier: MIT
"""Clips for the tests of this room."""

from __future__ import annotations

import io
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_TIME = "2026-11-22T22:17:36.545Z"


def sidecar(label: str = "rain", **others: object) -> dict[str, Any]:
    """Return what a recorder would say of a clip."""
    return {
        "schema": "edge-clip/1",
        "clip_id": "edge-1-clip",
        "labels": [label],
        "start_time": START_TIME,
        "clock_synchronised": True,
        **others,
    }


def flac(seed: int = 0, n_samples: int = 2000) -> bytes:
    """Return noise as a FLAC file."""
    samples = np.random.default_rng(seed).integers(-8000, 8000, n_samples, dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, format="FLAC")
    return file.getvalue()


def shelve(
    directory: Path,
    number: int,
    time: str = "untimed",
    label: str = "rain",
    *,
    size_bytes: int = 1000,
    kept: bool = False,
) -> None:
    """Put a clip of a size into a store by hand."""
    bucket = directory / f"{number // 1000:04}"
    bucket.mkdir(parents=True, exist_ok=True)
    stem = f"{number:07}_{time}_{label}"
    (bucket / f"{stem}.json").write_bytes(b"{}")
    (bucket / f"{stem}.flac").write_bytes(bytes(size_bytes - 2))
    if kept:
        (bucket / f"{stem}.keep").touch()


@contextmanager
def freeze(path: Path) -> Iterator[None]:
    """Make a folder one in which nothing may be changed meanwhile.

    Root is not kept by modes, and needs a file system that knows of immutable files.
    """
    mode = path.stat().st_mode
    path.chmod(0o500)
    try:
        if os.geteuid() == 0 and not _run("chattr", "+i", str(path)):
            pytest.skip("root may change everything here")
        yield
    finally:
        _run("chattr", "-i", str(path))
        path.chmod(mode)


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def names(directory: Path) -> set[str]:
    """Return the names of all files below, but those of the store itself."""
    return {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and path.name not in {".writer", ".number"}
    }
