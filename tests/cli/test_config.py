# SPDX-License-Identifier: MIT
from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cli.config import config
from edge.config.load import load_settings
from edge.errors import EXIT_CONFIG, EXIT_OK, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Done

    Edge = Callable[..., Done]

KEYS = ("node.name", "core.gain_db", "capture.seed", "capture.files", "detector.ignore")
TEXT = st.text(st.characters(codec="utf-8"))

MISTAKES = """
[capture]
sorce = "alsa"
rate_hz = 12
[core]
gain_db = 99.0
[publish]
url = "http://x"
[nodee]
id = 3
"""


def test_what_is_printed_is_a_settings_file_that_says_the_same(edge: Edge, tmp_path: Path) -> None:
    told = edge("config", "--set", "core.gain_db=6.5", "--set", "capture.device=desk")
    file = tmp_path / "printed.toml"
    file.write_text(told.stdout)
    again = edge("config", "--config", file)
    assert (again.returncode, again.stdout) == (EXIT_OK, told.stdout)


def test_changed_shows_the_differences_and_nothing_else(edge: Edge) -> None:
    assert edge("config", "--changed").stdout == "# nothing differs from the defaults\n"
    done = edge("config", "--changed", "--set", "core.gain_db=6.5", "--set", "capture.seed=0")
    assert done.stdout == "core.gain_db = 6.5\n"


def test_a_label_has_only_the_keys_that_were_set(edge: Edge) -> None:
    done = edge("config", "--changed", "--set", "detector.labels.rain.threshold=0.3")
    assert done.stdout == "detector.labels.rain.threshold = 0.3\n"


def test_five_mistakes_are_five_lines_with_file_key_and_advice(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(MISTAKES)
    done = edge("config", "--config", "edge.toml")
    assert done.returncode == EXIT_CONFIG
    assert "5 mistakes" in done.stderr
    assert done.stderr.count("edge.toml: ") == 5
    for word in ("capture.sorce", "'source'", "capture.rate_hz = 12", "8000", "core.gain_db = 99"):
        assert word in done.stderr
    for word in ("publish.url = 'http://x'", "nodee", "'node'"):
        assert word in done.stderr


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = ", b"[[[", b"x"])
def test_a_file_that_is_no_toml_is_refused_by_name(
    edge: Edge, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    done = edge("config", "--config", "bad.toml")
    assert done.returncode == EXIT_CONFIG
    assert "bad.toml" in done.stderr


@pytest.mark.parametrize("file", ["none.toml", "."])
def test_a_file_that_cannot_be_read_is_refused_by_name(edge: Edge, file: str) -> None:
    done = edge("config", "--config", file)
    assert done.returncode == EXIT_CONFIG
    assert file in done.stderr


def printed(*overrides: str) -> dict[str, Any] | ConfigError:
    """Return what `edge config --changed` prints, read as TOML, or what it refuses."""
    options = [part for one in overrides for part in ("--set", one)]
    done = CliRunner().invoke(config, ["--changed", *options])
    if isinstance(done.exception, ConfigError):
        return done.exception
    assert done.exception is None, done.exception
    return tomllib.loads(done.stdout)


@settings(deadline=None, max_examples=50)
@given(TEXT)
def test_whatever_is_set_is_refused_in_words_or_shown(override: str) -> None:
    outcome = printed(override)
    assert outcome == {} or str(outcome)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(KEYS), TEXT)
def test_whatever_a_key_is_set_to_is_refused_by_its_name_or_shown(key: str, value: str) -> None:
    outcome = printed(f"{key}={value}")
    if isinstance(outcome, ConfigError):
        assert key.partition(".")[0] in outcome.message


@settings(deadline=None, max_examples=50)
@given(TEXT)
def test_any_text_survives_being_printed_as_toml(name: str) -> None:
    quoted = "".join(f"\\U{ord(letter):08x}" for letter in name)
    outcome = printed(f'node.name="{quoted}"')
    if not isinstance(outcome, ConfigError):
        assert outcome.get("node", {}).get("name", "Edge") == name
        assert load_settings(None, [f'node.name="{quoted}"']).node.name == name
