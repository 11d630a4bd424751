# SPDX-License-Identifier: MIT
"""Where the log goes without a journal; tests/deploy reads one that a real journal has."""

from __future__ import annotations

import subprocess
import sys

import pytest

SAY = """
import logging
from edge.service.journal import log_to_manager
log_to_manager("info", "%(levelname)s %(threadName)s %(message)s")
logging.getLogger("edge").info("heard %s", "rain")
logging.getLogger("edge").debug("nothing")
"""


@pytest.mark.parametrize("stream", ["", "1:2", "nonsense"])
def test_lines_with_their_time_go_to_a_standard_error_that_is_no_journal(stream: str) -> None:
    """Also where a unit's child has another standard error than the unit."""
    done = subprocess.run(
        [sys.executable, "-c", SAY],
        env={"JOURNAL_STREAM": stream},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = done.stderr.splitlines()
    assert line.endswith("INFO MainThread heard rain")
    assert line.startswith("20")
