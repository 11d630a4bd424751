# SPDX-License-Identifier: MIT
"""The command line as a user has it: its output and its exit code."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NamedTuple

import pytest

from edge.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Done(NamedTuple):
    """What a command left: also what C libraries wrote."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def edge(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Done]]:
    """Run `edge` in an empty folder; an exception that it lets through fails the test."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Done:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        code = ended.value.code
        assert isinstance(code, int)
        return Done(code, *capfd.readouterr())

    yield run
    for number, handler in kept.items():
        signal.signal(number, handler)
