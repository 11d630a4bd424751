# SPDX-License-Identifier: MIT
"""`edge status`: how the unit of this machine is."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import click

from edge.cli.options import settings_options
from edge.config.load import load_settings
from edge.errors import EXIT_FAILURE, EXIT_OK
from edge.service.figures import read_figures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# What is shown, group by group; the rest of `health` is in --json.
GROUPS: Final = {
    "hears": ("microphone", "channels", "heard", "last_event", "paused", "uptime_s"),
    "lost": (
        *("gaps", "lost_samples", "xruns", "last_xrun", "last_xrun_lost_ms", "last_xrun_cause"),
        *("longest_read_delay_ms", "late_patches", "levels_lost", "clips_lost"),
    ),
    "messages": (
        *(
            "broker",
            "broker_connected",
            "broker_connections",
            "messages_sent",
            "outbox_depth",
            "outbox_dropped",
        ),
        *("live_dropped", "inbox_dropped", "refused", "unstored"),
    ),
    "box": (
        *("cpu_percent", "memory_mb", "temperature_c", "throttled", "clock_synchronised"),
        *("disk_free_mb", "disk_written_mb", "real_time", "shedding", "shedding_reason"),
    ),
    "work": ("inferences", "inference_p50_ms", "inference_p99_ms", "events", "recording"),
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="All figures, for programs.")
@settings_options
def status(
    as_json: bool,  # noqa: FBT001 - click's way of a flag
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Show how the listening unit of this machine is: what it hears, has lost, and sends.

    Exits with 1 where none runs, with 74 where its figures may not be read.
    """
    node = load_settings(config_file, overrides).node.id
    figures = read_figures(os.environ, node)
    if figures is None:
        click.echo(f"no unit called {node!r} runs here: systemctl status edge-listen", err=True)
        return EXIT_FAILURE
    click.echo(json.dumps(figures) if as_json else "\n".join(_lines(figures)))
    return EXIT_OK


def _lines(figures: Mapping[str, Any]) -> list[str]:
    return [
        f"{group:9} " + "  ".join(f"{name} {_text(figures[name])}" for name in known)
        for group, names in GROUPS.items()
        if (known := [name for name in names if figures.get(name) not in {None, ""}])
    ]


def _text(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
