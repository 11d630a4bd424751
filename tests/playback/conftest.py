# SPDX-License-Identifier: MIT
"""Two virtual cards joined by a cable: the real alsa-lib, no sound card."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tools.lab.loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the plugin is compiled, once."""
    return tmp_path_factory.mktemp("loops")


@pytest.fixture
def join(lab: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., VirtualLoop]:
    """Return a function that joins two cards and lets this process see all of its test's."""
    configurations: list[str] = []

    def join(**settings: object) -> VirtualLoop:
        loop = VirtualLoop(lab, name=f"loop{next(NUMBERS)}", **settings)
        configurations.append(f"<{loop.environment()['ALSA_CONFIG_PATH']}>\n")
        both = lab / f"all{next(NUMBERS)}.conf"
        both.write_text("".join(configurations))
        monkeypatch.setenv("ALSA_CONFIG_PATH", str(both))
        return loop

    return join
