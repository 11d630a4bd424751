# SPDX-License-Identifier: MIT
"""`edge model`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.model_bring import describe, import_model, pull
from edge.cli.model_facts import LABELS_SHOWN, print_facts
from edge.cli.model_test import test
from edge.cli.options import settings_options
from edge.config.load import load_settings
from edge.errors import ConfigError, EdgeError, ModelError, StorageError
from edge.service.figures import read_figures

if TYPE_CHECKING:
    from edge.config.schema import Settings
    from edge.model.shelf import Shelf


@click.group()
def model() -> None:
    """List, choose, fetch, show and try models, or make one describe itself."""


for command in (describe, import_model, pull, test):
    model.add_command(command)


@model.command("list")
@settings_options
def list_models(config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """List the models of this box; * is the chosen one. Says if another stands in for it."""
    from edge.model.registry import read_model
    from edge.model.voice import is_voice_model

    settings = load_settings(config_file, overrides)
    shelf = _shelf(settings)
    in_use = settings.model.path or shelf.chosen()
    if in_use not in shelf.names():  # a file of the settings, or one that has gone
        click.echo(f"* {in_use}")
    for name in shelf.names():
        mark = "*" if name == in_use else " "
        try:
            info = read_model(shelf.find(name))
        except EdgeError as error:
            voice = is_voice_model(shelf.place(name))
            what = "voice model, for speech.model" if voice else f"can't be used: {error}"
            click.echo(f"{mark} {name:<12}  {what}")
            continue
        size_mb = info.path.stat().st_size / 1e6
        groups = f", {len(info.groups)} groups" if info.groups else ""
        click.echo(
            f"{mark} {name:<12}  {info.name} {info.version}, {len(info.labels)} labels{groups},"
            f" {info.front_end.rate_hz} Hz, {size_mb:.1f} MB, sha256 {info.sha256[:12]}…"
        )
    if (trouble := _trouble(settings)) != "ok":
        click.echo(f"the listener that runs: {trouble}")


@model.command()
@click.argument("name")
@settings_options
def use(name: str, config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """Put the model NAME in use; `shipped` is the one in the package.

    It is opened and tried first. A listener that runs changes over by itself within seconds and
    loses no sample; its topic `info` says what it uses.
    """
    from edge.service.fitting import fitting_model

    settings = load_settings(config_file, overrides)
    if settings.model.path:
        raise ConfigError(
            f"model.path = {settings.model.path!r} says which model is in use",
            'take it out of the settings, or set it to ""',
        )
    shelf = _shelf(settings)
    info = fitting_model(settings, shelf.find(name)).info
    shelf.choose(name)
    click.echo(f"in use: {name} ({info.name} {info.version})")


@model.command()
@click.argument("name")
@settings_options
def remove(name: str, config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """Delete the model NAME; not the shipped one, nor one in use."""
    shelf = _shelf(load_settings(config_file, overrides))
    shelf.remove(name)
    click.echo(f"removed: {name}")


@model.command()
@click.argument("which", metavar="[NAME|FILE]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every label and threshold.")
@settings_options
def show(
    which: str | None, config_file: Path | None, overrides: tuple[str, ...], *, everything: bool
) -> None:
    """Print what a model says of itself; without NAME or FILE the one in use."""
    from edge.model.registry import read_model
    from edge.service.build import described_model

    settings = load_settings(config_file, overrides)
    most = None if everything else LABELS_SHOWN
    if which is None:
        print_facts(described_model(settings), most)
        return
    shelf = _shelf(settings)
    path = shelf.find(which) if which in shelf.names() else Path(which)
    if not path.is_file():
        raise ModelError(
            f"{which} is not there", f"name a file, or one of: {', '.join(shelf.names())}"
        )
    print_facts(read_model(path), most)


def _trouble(settings: Settings) -> str:
    """Return why a listener that runs does not use the chosen model; "ok": it does, or none."""
    with contextlib.suppress(StorageError):  # its figures are another user's
        if figures := read_figures(os.environ, settings.node.id):
            return str(figures.get("model", "ok"))
    return "ok"


def _shelf(settings: Settings) -> Shelf:
    from edge.model.shelf import Shelf

    return Shelf(settings.state.path)
