# SPDX-License-Identifier: MIT
"""`edge listen`."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import click

from edge.cli.options import settings_options
from edge.config.load import load_settings

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@settings_options
def listen(config_file: Path | None, overrides: tuple[str, ...]) -> int:
    """Run the listening unit until SIGTERM or Ctrl-C.

    Speaks sd_notify when systemd started it. The log goes to standard error.
    """
    settings = load_settings(config_file, overrides)
    _log_to_stderr(settings.log.level)
    from edge.service.listen import listen as run

    return run(settings)


def _log_to_stderr(level: str) -> None:
    # The journal stamps each line itself.
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format=f"{stamp}%(levelname)s %(threadName)s %(message)s",
    )
