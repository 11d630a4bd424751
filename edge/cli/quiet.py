# SPDX-License-Identifier: MIT
"""Silence for the libraries of sound servers, which write to standard error past alsa-lib."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

STDERR: Final = 2


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop what this process writes to standard error: what failed is said by our own errors."""
    sys.stderr.flush()
    kept = os.dup(STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)
