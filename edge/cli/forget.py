# SPDX-License-Identifier: MIT
"""`edge forget`: nothing of a box that is taken away stays at its broker."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from edge.cli.options import settings_options
from edge.config.load import load_settings
from edge.errors import EXIT_OK, EXIT_PUBLISH, EdgeError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config.schema import Settings


@click.command()
@settings_options
def forget(config_file: Path | None, overrides: tuple[str, ...]) -> int:
    """Remove this box from its broker: its device in Home Assistant, and every retained state.

    For a box that is given away or gets another name. Its unit must not run; started again it
    is there again. Clips and settings stay.
    """
    settings = load_settings(config_file, overrides)
    if not settings.publish.url:
        click.echo("publish.url is empty: no broker knows this box")
        return EXIT_OK
    _refuse_while_it_runs(settings)
    from edge.publish.mqtt import deliver
    from edge.service.build import build_broker
    from edge.service.homeassistant import all_that_is_kept, forget_what_was_told

    refused = deliver(build_broker(settings), all_that_is_kept(settings))
    for topic in refused:
        click.echo(f"the broker refuses to forget {topic}", err=True)
    if refused:
        return EXIT_PUBLISH
    forget_what_was_told(settings)
    click.echo(f"{settings.publish.url} has forgotten {settings.node.id}")
    return EXIT_OK


def _refuse_while_it_runs(settings: Settings) -> None:
    from edge.service.figures import read_figures

    if read_figures(os.environ, settings.node.id):
        raise EdgeError(
            f"the unit {settings.node.id!r} runs, and would say it all again",
            "systemctl stop edge-listen",
        )
