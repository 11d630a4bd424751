# SPDX-License-Identifier: MIT
"""What the C library keeps of freed memory: little, for years."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # Source: mallopt(3)
OWN_PAGES_BYTES: Final = 1 << 20  # larger than what a patch or a batch takes, smaller than a clip


def settle_memory() -> None:
    """Give back what starting has left over, and spare the rest from every later collection.

    A collection of everything imported would cost the capture thread 40 ms and more. A clip
    gets pages of its own, which go with it: left alone, glibc learns from the first one
    that is freed to keep twice its size.
    """
    gc.collect()
    gc.freeze()
    with contextlib.suppress(AttributeError):  # musl has neither
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, OWN_PAGES_BYTES)
        libc.malloc_trim(0)
