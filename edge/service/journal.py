# SPDX-License-Identifier: MIT
"""Where the log goes: to the journal with fields, or to standard error as lines."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

IDENTIFIER: Final = "edge"


def log_to_manager(level: str, line: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send the log to the journal where the unit writes to it, else to standard error.

    Parameters
    ----------
    level : the least that is written.
    line : format of a line on standard error, without the time. The journal has the rest as
        fields: `journalctl -u edge-listen -p warning`, `journalctl THREAD_NAME=record`.
    environment : `JOURNAL_STREAM` names what systemd has joined to the journal.

    Source: systemd.exec(5), `$JOURNAL_STREAM`.
    """
    if _is_journal(environment.get("JOURNAL_STREAM", "")):
        from systemd.journal import JournalHandler  # 1 MB that only a unit need carry

        handler = JournalHandler(SYSLOG_IDENTIFIER=IDENTIFIER)
        logging.basicConfig(handlers=[handler], level=level.upper(), format="%(message)s")
    else:
        form = f"%(asctime)s {line}"
        logging.basicConfig(stream=sys.stderr, level=level.upper(), format=form)


def _is_journal(stream: str) -> bool:
    """Return whether standard error is that stream, given as DEVICE:INODE; a child's may not be."""
    about = os.fstat(sys.stderr.fileno())
    return stream == f"{about.st_dev}:{about.st_ino}"
