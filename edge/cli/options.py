# SPDX-License-Identifier: MIT
"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")


def settings_options(command: F) -> F:
    """Add `--config FILE` and `--set KEY=VALUE`."""
    command = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one setting, as core.gain_db=6.0; may be repeated.",
    )(command)
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        help="Settings file.  [default: /etc/edge/edge.toml where it exists]",
    )(command)
