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
@settings_options
def replay(
    files: tuple[Path, ...],
    events: bool,  # noqa: FBT001 - click's way of a flag
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Run the pipeline over FILES (recordings or folders, one stream); print JSON lines."""
    from edge.service.replay import Replay

    settings = load_settings(config_file, overrides)
    run = Replay(settings, files)
    for record in run.records():
        if not events or record["type"] == "event":
            click.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
    for note in run.notes:
        click.echo(f"edge: {note}", err=True)
