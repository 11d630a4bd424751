# SPDX-License-Identifier: MIT
"""`edge listen`."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import click

from edge.cli.options import settings_options
from edge.config.lean import PendingSettings

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@settings_options
def listen(config_file: Path | None, overrides: tuple[str, ...]) -> int:
    """Run the listening unit until SIGTERM or Ctrl-C.

    Speaks sd_notify when systemd started it. The log goes to standard error.
    """
    # Before NumPy is imported: its products are small, a second thread would only wake up for them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    pending = PendingSettings(config_file, overrides)
    from edge.service.unit import listen as run  # while the settings are being checked

    settings = pending.result()
    _log_to_stderr(settings.log.level)
    return run(settings)


def _log_to_stderr(level: str) -> None:
    # The journal stamps each line itself.
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format=f"{stamp}%(levelname)s %(threadName)s %(message)s",
    )
