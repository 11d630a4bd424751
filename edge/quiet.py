# SPDX-License-Identifier: MIT
"""Silence for alsa-lib, which writes its own lines to standard error past Python."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

# Its text is a format with arguments that can't be taken from here. Calling it with more of them
# than it declares does no harm on Linux, x86-64 and arm64.
_Handler: Final = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p
)
_drop: Final = _Handler(lambda *_: None)


@cache
def quiet_alsa() -> None:
    """Drop what alsa-lib would print, for the whole process: our own errors say what failed.

    A device that is away is tried again and again, and each try would be a line in the journal.
    """
    ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_drop)
