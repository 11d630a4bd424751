# SPDX-License-Identifier: MIT
"""`edge listen`."""

from __future__ import annotations

import os
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

    Speaks sd_notify when systemd started it. The log goes to the journal
    with its fields there, else to standard error.
    """
    # Before NumPy is imported: its products are small, a second thread would only wake up for them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    pending = PendingSettings(config_file, overrides)
    from edge.service.journal import log_to_manager
    from edge.service.unit import listen as run  # while the settings are being checked

    settings = pending.result()
    log_to_manager(settings.log.level, "%(levelname)s %(threadName)s %(message)s")
    return run(settings)
