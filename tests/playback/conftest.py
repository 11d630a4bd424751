# SPDX-License-Identifier: MIT
"""Two virtual cards joined by a cable: the real alsa-lib, no sound card."""

from __future__ import annotations

import itertools
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from edge.capture.alsa import AlsaSource
from edge.service.priority import hurry
from edge.types import Period
from tools.lab.loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the plugin is compiled, once."""
    return tmp_path_factory.mktemp("loops")


@pytest.fixture
def join(
    lab: Path,
    monkeypatch: pytest.MonkeyPatch,
    hurried: None,  # noqa: ARG001 - who gives and reads late hears less
) -> Callable[..., VirtualLoop]:
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


@contextmanager
def hearing(loop: VirtualLoop, **settings: int) -> Iterator[list[np.ndarray]]:
    """Capture what is on the cable, (n, channels), until the end."""
    asked = {"rate_hz": 48000, "channels": 1, "period_size": 480, "periods": 64, **settings}
    heard: list[np.ndarray] = []
    ended = threading.Event()
    with AlsaSource(loop.input, **asked) as source:

        def read() -> None:
            hurry()
            while not ended.is_set():
                item = source.read()
                if isinstance(item, Period):
                    heard.append(item.samples.copy())

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield heard
        finally:
            ended.set()
            reader.join()
