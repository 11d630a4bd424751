# SPDX-License-Identifier: MIT
"""`edge clips`: what the box has recorded."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from edge.cli.clips_files import decrypt, export, keygen, play
from edge.cli.clips_folder import open_store
from edge.cli.clips_table import Clip, describe, print_table
from edge.cli.clips_when import read_moment
from edge.cli.options import settings_options
from edge.errors import EXIT_FAILURE, EXIT_OK, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from edge.record.store import ClipStore, Entry


@click.group()
def clips() -> None:
    """List, play, export, mark and delete the clips of this box.

    CLIP is a number, a name, a path or a clip_id.
    """


for command in (play, export, decrypt, keygen):
    clips.add_command(command)


@clips.command("list")
@click.option("--label", "labels", multiple=True, help="Only of this label; may be repeated.")
@click.option(
    "--since",
    metavar="WHEN",
    callback=read_moment,
    help="Only from this time on: 2026-11-22T10:30 (UTC), or 12h, 7d ago.",
)
@click.option("--kept", is_flag=True, help="Only those that are marked.")
@click.option(
    "--limit", default=50, type=click.IntRange(min=0), show_default=True, help="0: all of them."
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
@settings_options
def list_clips(  # noqa: PLR0917 - click names them
    labels: tuple[str, ...],
    since: datetime | None,
    kept: bool,  # noqa: FBT001 - click's way of a flag
    limit: int,
    as_json: bool,  # noqa: FBT001 - as above
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """List clips, newest first.

    On a terminal it is a table; else lines of fields between tabs: number, time, labels, best
    score, duration in s, bytes, and what is special. A ? is behind a time whose clock was not
    synchronised.
    """
    store = open_store(config_file, overrides)
    chosen = _chosen(store, labels, since, kept=kept)
    found = islice(chosen, limit or None)
    if as_json:
        for clip in found:
            click.echo(json.dumps(clip.as_json(), ensure_ascii=False))
        return
    if not print_table(found):
        nothing = next(store.entries(), None) is None
        text = f"there are no clips yet in {store.directory}" if nothing else "no clip is like that"
        click.echo(text, err=True)


@clips.command()
@click.argument("clip")
@click.option("--json", "as_json", is_flag=True, help="The sidecar as JSON.")
@settings_options
def show(
    clip: str,
    as_json: bool,  # noqa: FBT001 - click's way of a flag
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Show what is known of CLIP."""
    store = open_store(config_file, overrides)
    entry = store.find(clip)
    found = Clip(entry, store.sidecar(entry))
    if as_json:
        click.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=1))
    else:
        click.echo("\n".join(describe(found)))


@clips.command()
@click.argument("clips", nargs=-1, required=True)
@click.option("--off", is_flag=True, help="Take the mark away.")
@settings_options
def keep(
    clips: tuple[str, ...],
    off: bool,  # noqa: FBT001 - click's way of a flag
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Mark CLIPS as never to be deleted by themselves."""
    store = open_store(config_file, overrides)
    for entry in [store.find(clip) for clip in clips]:
        store.set_keep(entry, keep=not off)
        click.echo(f"{entry.stem} {'may be deleted' if off else 'is kept'}")


@clips.command()
@click.argument("clips", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--force", is_flag=True, help="Also those that are marked.")
@settings_options
def delete(
    clips: tuple[str, ...],
    yes: bool,  # noqa: FBT001 - click's way of a flag
    force: bool,  # noqa: FBT001 - as above
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Delete CLIPS with all that was made of them."""
    store = open_store(config_file, overrides)
    entries = {entry.stem: entry for entry in map(store.find, clips)}
    kept = [stem for stem, entry in entries.items() if entry.kept]
    if kept and not force:
        raise StorageError(f"marked as kept: {', '.join(kept)}", "add --force to delete them too")
    size_mb = sum(entry.size_bytes for entry in entries.values()) / 1e6
    question = f"delete {_count(len(entries))} for ever, {size_mb:.1f} MB?"
    if not yes and not click.confirm(question):
        return EXIT_FAILURE
    freed = sum(store.delete(entry) for entry in entries.values())
    click.echo(f"deleted {_count(len(entries))}, {freed / 1e6:.1f} MB")
    return EXIT_OK


def _chosen(
    store: ClipStore, labels: tuple[str, ...], since: datetime | None, *, kept: bool
) -> Iterator[Clip]:
    earliest = f"{since:%Y%m%dT%H%M%S}" if since else ""
    for entry in store.entries(newest_first=True):
        if kept and not entry.kept:
            continue
        # What has no time is after nothing.
        if earliest and not (entry.time[0].isdigit() and entry.time >= earliest):
            continue
        clip = Clip(entry, _sidecar(store, entry))
        if not labels or clip.has_label(labels):
            yield clip


def _sidecar(store: ClipStore, entry: Entry) -> dict[str, Any] | None:
    try:
        return store.sidecar(entry)
    except StorageError:
        return None  # it is listed as damaged


def _count(clips: int) -> str:
    return f"{clips} clip" + "s" * (clips != 1)
