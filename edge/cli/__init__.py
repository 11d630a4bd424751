# SPDX-License-Identifier: MIT
"""Commands and their output. Each command lives in the module that its name leads to."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import click

from edge import __version__
from edge.errors import EXIT_OK, EdgeError

if TYPE_CHECKING:
    from collections.abc import Sequence

# name: (module, attribute, one line for `edge --help`)
COMMANDS: Final = {
    "listen": ("edge.cli.listen", "listen", "Run the listening unit."),
    "replay": (
        "edge.cli.replay",
        "replay",
        "Run the same pipeline over recordings, as JSON lines.",
    ),
    "analyze": ("edge.cli.analyze", "analyze", "Take recordings apart, in idle time or by hand."),
    "watch": ("edge.cli.watch", "watch", "Show live what a box reports to its broker."),
    "status": ("edge.cli.status", "status", "Show how the unit of this machine is."),
    "clips": ("edge.cli.clips", "clips", "List, play, export, mark and delete clips."),
    "meter": ("edge.cli.meter", "meter", "Show levels live, or a day of them."),
    "calibrate": ("edge.cli.calibrate", "calibrate", "Find the sensitivity: dBFS to dB SPL."),
    "devices": ("edge.cli.devices", "devices", "List sound cards and the setting to paste."),
    "check": ("edge.cli.check", "check", "Open device, model and broker; say what to mend."),
    "config": ("edge.cli.config", "config", "Print the settings in force."),
    "model": ("edge.cli.model", "model", "Show models, or make one describe itself."),
    "setup": ("edge.cli.setup", "setup", "Ask for what a box must know, and write it down."),
    "forget": ("edge.cli.forget", "forget", "Take this box off its broker and Home Assistant."),
    "latency": ("edge.cli.latency", "latency", "Measure how long a sound takes through the box."),
    "synth": ("edge.cli.synth", "synth", "Synthesise test sounds into a file, or play them."),
}


class _LazyGroup(click.Group):
    """Imports a command when it is asked for: the listener must not carry the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing what it lists."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.group(cls=_LazyGroup)
@click.version_option(__version__, prog_name="edge")
def cli() -> None:
    """Run a headless acoustic monitor: it hears, measures, recognises and reports."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; an `EdgeError` becomes two lines and its exit code.

    Parameters
    ----------
    arguments : None: those of this process.
    """
    try:
        code = cli(args=arguments, standalone_mode=False)
    except EdgeError as error:
        click.echo(f"edge: {error.message}", err=True)
        if error.help:
            click.echo(f"      {error.help}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else EXIT_OK)
