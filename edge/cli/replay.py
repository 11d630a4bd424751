# SPDX-License-Identifier: MIT
"""`edge replay`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edge.cli.options import settings_options
from edge.config.load import load_settings


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--events", is_flag=True, help="Print events only.")
@click.option(
    "--clips",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Save the clips that the unit would save into DIR.",
)
@settings_options
def replay(
    files: tuple[Path, ...],
    clips: Path | None,
    events: bool,  # noqa: FBT001 - click's way of a flag
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Run the pipeline over FILES (recordings or folders, one stream); print JSON lines."""
    from edge.service.replay import Replay

    directory = f"record.directory={json.dumps(str(clips))}"
    own = (directory, "record.require_mount=false") if clips else ()
    settings = load_settings(config_file, (*overrides, *own))
    run = Replay(settings, files, record=clips is not None)
    for record in run.records():
        if not events or record["type"] == "event":
            click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
    for note in run.notes:
        click.echo(f"edge: {note}", err=True)
