# SPDX-License-Identifier: MIT
"""Captured integers as FLAC or WAV."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.types import SampleFormat

Container = Literal["flac", "wav"]

FLAC_CHANNELS: Final = 8
_WAV: Final[dict[SampleFormat, str]] = {
    "S16_LE": "PCM_16",
    "S24_3LE": "PCM_24",
    "S24_LE": "PCM_24",
    "S32_LE": "PCM_32",
    "FLOAT_LE": "FLOAT",
}


def encode(
    samples: NDArray[Any], rate_hz: int, sample_format: SampleFormat, container: Container
) -> bytes:
    """Return `samples` (n, channels), as a `Period` holds them, as the bytes of a file.

    WAV keeps every bit of every format; FLAC those of 16 and 24 bit formats, of wider
    ones the upper 24 (and 0 for what is not a number). FLAC takes at most `FLAC_CHANNELS` channels.
    """
    import soundfile  # 3 MB that a listener which records nothing need not carry

    narrow = sample_format == "S16_LE"
    subtype = _WAV[sample_format] if container == "wav" else "PCM_16" if narrow else "PCM_24"
    # A file without a name, in memory. For one of Python's own soundfile makes callbacks as it
    # runs, which the unit's sandbox (MemoryDenyWriteExecute=) forbids.
    with os.fdopen(os.memfd_create("clip"), "r+b", buffering=0) as file:
        # In blocks of a second: the lock of the interpreter is free while one is encoded.
        with soundfile.SoundFile(
            file.fileno(),
            "w",
            rate_hz,
            samples.shape[1],
            subtype=subtype,
            format=container.upper(),
            closefd=False,
        ) as sound:
            for at in range(0, len(samples), rate_hz):
                block = samples[at : at + rate_hz]
                sound.write(np.nan_to_num(block) if subtype == "PCM_24" else block)
        file.seek(0)
        return file.read()
