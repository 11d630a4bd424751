# SPDX-License-Identifier: MIT
"""What documents name exists: paths, commands, settings."""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, get_args, get_type_hints

import click
import pytest

from edge.cli import cli
from edge.config.schema import Settings
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REQUIRED = ("README.md", "edge/README.md")
OPTIONAL = (
    "tools/README.md",
    "deploy/README.md",
    "deploy/dashboards/home-assistant/README.md",
    "systemd/README.md",
    "tests/README.md",
    "CHANGELOG.md",
)
ELSEWHERE = ("/", "~", "..", "<", "http", "edge/<", "char-")
SUFFIX = re.compile(r"\.(py|sh|toml|txt|md|c|so|onnx|jsonl|service|timer|rules|conf)$")
# A file that another machine has, or that is made: no path of the repository.
MADE = {"edge.toml", "alsa.conf", "silero_vad.onnx"}


def present() -> list[str]:
    return [name for name in (*REQUIRED, *OPTIONAL) if (REPOSITORY / name).is_file()]


def spans(name: str) -> list[str]:
    """Return what stands in backticks within a line, and the commands of fenced blocks."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    inline = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line.partition("#")[0].strip() for block in fenced for line in block.splitlines()]
    commands = [line for line in lines if re.match(r"(\.venv/bin/)?edge |tools/\w+", line)]
    return [*re.findall(r"`([^`\n]+)`", inline), *commands]


def paths(name: str) -> Iterator[str]:
    for span in spans(name):
        word = span.split()[0].rstrip(",;:")
        if word.startswith(ELSEWHERE) or word in MADE or "*" in word or "@" in word:
            continue
        if SUFFIX.search(word) or word.startswith(("tools/", "tests/", "deploy/", "systemd/")):
            yield word


def commands(name: str) -> Iterator[list[str]]:
    for span in spans(name):
        if match := re.match(r"(?:\.venv/bin/)?edge ([a-z].*)", span):
            yield shlex.split(match[1])


def exists(path: str, document: str) -> bool:
    """Whether a path is there from the root, from the document, or within the package."""
    roots = (REPOSITORY, (REPOSITORY / document).parent, REPOSITORY / "edge", REPOSITORY / "tools")
    return any((root / path).exists() for root in roots)


@pytest.mark.parametrize("name", REQUIRED)
def test_the_front_page_and_the_picture_of_the_whole_are_there(name: str) -> None:
    assert (REPOSITORY / name).is_file()


@pytest.mark.parametrize("name", present())
def test_every_path_that_a_document_names_exists(name: str) -> None:
    assert [path for path in paths(name) if not exists(path, name)] == []


@pytest.mark.parametrize("name", present())
def test_every_command_that_a_document_names_exists_with_its_options(name: str) -> None:
    for words in commands(name):
        check_command(words)


def check_command(words: list[str]) -> None:
    command: click.Command = cli
    context = click.Context(cli)
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        found = command.get_command(context, rest[0])
        assert found is not None, f"edge {' '.join(words)}"
        command, rest = found, rest[1:]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    given = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert given <= known, f"edge {' '.join(words)}"


def settings_keys(record: type = Settings, path: str = "") -> Iterator[str]:
    hints = get_type_hints(record)
    for one in fields(record):
        here = f"{path}{one.name}"
        yield here
        for inner in (hints[one.name], *get_args(hints[one.name])):
            if isinstance(inner, type) and is_dataclass(inner):
                yield from settings_keys(inner, f"{here}.")


def named_settings(name: str) -> Iterator[str]:
    """Keys in a document's TOML blocks, and `section.key` in its text and options."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    for block in re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield from tree_keys(tomllib.loads(block))
    sections = "|".join(one.name for one in fields(Settings))
    # `capture.py` and the like are files: they end in what no key is called.
    for span in spans(name):
        yield from re.findall(rf"(?:^|--set )((?:{sections})\.(?!py\b)[a-z_.]+)", span)


def tree_keys(tree: dict[str, object], path: str = "") -> Iterator[str]:
    for key, value in tree.items():
        here = f"{path}{key}"
        yield here
        # The labels in detector.labels are the user's words; their rules' keys are not.
        inners: Iterable[object] = value if isinstance(value, list) else [value]
        if isinstance(value, dict) and here == "detector.labels":
            inners = value.values()
        for inner in inners:
            if isinstance(inner, dict):
                yield from tree_keys(inner, f"{here}.")


@pytest.mark.parametrize("name", present())
def test_every_setting_that_a_document_names_exists(name: str) -> None:
    known = set(settings_keys())
    assert sorted(set(named_settings(name)) - known) == []


def test_what_does_not_exist_would_be_found() -> None:
    assert not exists("tools/nothing", "README.md")
    assert "core.gain_db" in set(settings_keys())
    assert "detector.labels.threshold" in set(settings_keys())
    with pytest.raises(AssertionError):
        check_command(["lisen"])
    with pytest.raises(AssertionError):
        check_command(["replay", "--nothing"])
    rule = {"detector": {"labels": {"rain": {"threshold": 0.5, "nothing": 1}}}}
    named = {"detector", "detector.labels", "detector.labels.threshold", "detector.labels.nothing"}
    assert set(tree_keys(rule)) == named
    assert list(paths("README.md"))
    assert list(commands("README.md"))
    assert list(named_settings("README.md"))
