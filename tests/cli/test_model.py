# SPDX-License-Identifier: MIT
"""`edge model`: which models a box has, which it uses, and how others come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.errors import EXIT_CONFIG, EXIT_MODEL, EXIT_OK
from edge.model.registry import shipped_model
from edge.model.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Done

    Edge = Callable[..., Done]


@pytest.fixture
def box(edge: Edge, tmp_path: Path) -> Edge:
    """Return `edge model` over a state directory with a copy of the shipped model in it."""
    Shelf(tmp_path).room("copy").write_bytes(shipped_model().read_bytes())

    def run(*arguments: str | Path) -> Done:
        return edge("model", *arguments, "--set", f'state.directory="{tmp_path}"')

    return run


def test_the_list_says_what_each_model_is_and_which_is_in_use(box: Edge, tmp_path: Path) -> None:
    Shelf(tmp_path).room("broken").write_bytes(b"no model")
    lines = box("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["*", "broken", "copy"]
    assert lines[0].startswith("* shipped ")
    for word in ("labels", "16000 Hz", " MB", "sha256"):
        assert word in lines[0]
    assert "can't be used: " in lines[1]
    assert box("use", "copy").returncode == EXIT_OK
    assert [line[0] for line in box("list").stdout.splitlines()] == [" ", " ", "*"]


def test_a_model_in_use_is_shown_and_kept_and_the_others_may_go(box: Edge) -> None:
    assert "in use: copy" in box("use", "copy").stdout
    assert "models/copy.onnx" in box("show").stdout
    assert "shipped" in box("show", "shipped").stdout
    refused = box("remove", "copy")
    assert refused.returncode == EXIT_MODEL
    assert "in use" in refused.stderr
    assert box("use", "shipped").returncode == EXIT_OK
    assert box("remove", "copy").stdout == "removed: copy\n"
    assert len(box("list").stdout.splitlines()) == 1


@pytest.mark.parametrize("command", ["use", "remove", "show"])
@pytest.mark.parametrize("name", ["nothing", "../etc/passwd"])
def test_a_name_that_is_none_is_refused(box: Edge, command: str, name: str) -> None:
    done = box(command, name)
    assert done.returncode == EXIT_MODEL
    assert name in done.stderr


def test_a_model_that_can_not_be_used_is_not_put_in_use(box: Edge, tmp_path: Path) -> None:
    Shelf(tmp_path).room("broken").write_bytes(b"no model")
    done = box("use", "broken")
    assert done.returncode == EXIT_MODEL
    assert "not an ONNX model" in done.stderr
    assert Shelf(tmp_path).chosen() == "shipped"


def test_a_model_that_lacks_what_the_settings_name_is_not_put_in_use(
    edge: Edge, box: Edge, tmp_path: Path
) -> None:
    del box
    for setting in (
        'record.labels=["unicorn"]',
        'model.groups.pets=["unicorn"]',
        'detector.ignore=["unicorn"]',
    ):
        more = ("--set", f'state.directory="{tmp_path}"', "--set", setting)
        done = edge("model", "use", "copy", *more)
        assert done.returncode == EXIT_CONFIG
        assert "unicorn" in done.stderr
    assert Shelf(tmp_path).chosen() == "shipped"


def test_settings_that_name_a_model_are_not_overruled(edge: Edge, tmp_path: Path) -> None:
    settings = (
        *("--set", f'state.directory="{tmp_path}"'),
        *("--set", f'model.path="{shipped_model()}"'),
    )
    done = edge("model", "use", "shipped", *settings)
    assert done.returncode == EXIT_CONFIG
    assert "model.path" in done.stderr
    lines = edge("model", "list", *settings).stdout.splitlines()
    assert lines[0] == f"* {shipped_model()}"
    assert lines[1].startswith("  shipped")
