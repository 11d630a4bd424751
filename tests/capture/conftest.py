# SPDX-License-Identifier: MIT
"""Virtual microphones for the tests of this room: the real alsa-lib, no sound card."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tools.lab.microphone import VirtualMicrophone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the plugin is compiled, once."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture
def plug_in(
    lab: Path,
    monkeypatch: pytest.MonkeyPatch,
    hurried: None,  # noqa: ARG001 - a reader that is held up loses samples
) -> Callable[..., VirtualMicrophone]:
    """Return a function that makes a microphone of an array and lets this process see it."""

    def plug_in(samples: NDArray[np.generic], **settings: object) -> VirtualMicrophone:
        name = f"mic{next(NUMBERS)}"
        raw = lab / f"{name}.raw"
        raw.write_bytes(samples.tobytes())
        microphone = VirtualMicrophone(lab, raw, name=name, **settings)
        monkeypatch.setenv("ALSA_CONFIG_PATH", microphone.environment()["ALSA_CONFIG_PATH"])
        return microphone

    return plug_in


@pytest.fixture
def ramp() -> NDArray[np.int32]:
    """Return int32 samples that number themselves: what was lost can be read off them."""
    return np.arange(1, 48000 * 60 + 1, dtype="<i4")
