# SPDX-License-Identifier: MIT
"""`edge config`."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from edge.cli.options import settings_options
from edge.config.edit import toml_text, toml_value
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
            yield f"{'.'.join(here)} = {toml_value(value)}"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_text(key)
