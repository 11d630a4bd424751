# SPDX-License-Identifier: MIT
"""`edge config`."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from edge.cli.options import settings_options
from edge.config.load import changed, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@click.command()
@click.option(
    "--changed", "only_changed", is_flag=True, help="Only what differs from the defaults."
)
@settings_options
def config(
    only_changed: bool,  # noqa: FBT001 - click's way of a flag
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Print the settings in force as TOML, one key a line. No secret is ever a setting."""
    settings = load_settings(config_file, overrides)
    tree = changed(settings) if only_changed else asdict(settings)
    if not tree:
        click.echo("# nothing differs from the defaults")
    for line in _lines(tree, ()):
        click.echo(line)


def _lines(tree: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, value in tree.items():
        here = (*path, _key(key))
        if value is None:
            continue
        if isinstance(value, dict):
            yield from _lines(value, here)
        else:
            yield f"{'.'.join(here)} = {_toml(value)}"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _text(value)
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
        case _:
            return str(value)


def _text(value: str) -> str:
    """Return a basic string: as JSON's, but TOML escapes DEL too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
