# SPDX-License-Identifier: MIT
"""Odd input is refused or taken; the fuzzer itself can tell a failure."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.errors import EdgeError
from tools.fuzzing.__main__ import fuzz
from tools.fuzzing.targets import TARGETS

if TYPE_CHECKING:
    from random import Random


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_a_refusal_comes_of_odd_input(name: str) -> None:
    inputs = {"settings": 60, "alsa": 40}.get(name, 200)
    fuzzed = subprocess.run(
        [sys.executable, "-m", "tools.fuzzing", name, "--inputs", str(inputs), "--seed", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert fuzzed.returncode == 0, fuzzed.stdout + fuzzed.stderr


def test_what_is_neither_taken_nor_refused_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Fragile:
        def __init__(self, _: object) -> None:
            self.fed = 0

        def feed(self, _: Random) -> None:
            self.fed += 1
            if self.fed % 2:
                raise EdgeError("refused")
            raise ZeroDivisionError("broken")

    monkeypatch.setitem(TARGETS, "fragile", Fragile)
    assert fuzz("fragile", 10, 1) == 5
    printed = capsys.readouterr().out
    assert "5 FAILED, 5 refused" in printed
    assert "ZeroDivisionError" in printed
