# SPDX-License-Identifier: MIT
"""Sound out through ALSA, blocking: for listening to a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import alsaaudio
import numpy as np

from edge.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.types import Samples

PERIOD_SIZE: Final = 1024
MAX_INTERRUPTIONS: Final = 100
"""Underruns in a row, or writes that took nothing, without one sample between them."""

_FORMATS: Final = {
    np.dtype("<i2"): "S16_LE",
    np.dtype("<i4"): "S32_LE",
    np.dtype("<f4"): "FLOAT_LE",
}


def play(samples: Samples, rate_hz: int, device: str = "default") -> None:
    """Play `samples` and return when the last one was heard.

    Parameters
    ----------
    samples : (n_samples, channels) int16, int32 or float32, full scale +-1.0; only read.
    device : as ALSA names it. "default" and "plughw:…" convert what the card can't do.

    An interruption, such as Ctrl-C, silences it at once. Raises `DeviceError` when there is
    no such device, when it can't play this, or when it is lost. Raises ValueError for
    samples of another shape or type.
    """
    if samples.ndim != 2 or samples.dtype not in _FORMATS:
        message = f"samples are {samples.dtype} {samples.shape}, not (n_samples, channels)"
        raise ValueError(message)
    pcm = _open(device, _FORMATS[samples.dtype], rate_hz, samples.shape[1])
    try:
        feed(pcm.write, samples, PERIOD_SIZE)
        pcm.drain()
    except BaseException as error:
        # What waits in the card would be played by closing it.
        pcm.drop()
        if isinstance(error, alsaaudio.ALSAAudioError):
            raise DeviceError(f"{device} was lost: {error}", "plug it in again") from error
        raise
    finally:
        pcm.close()


def feed(write: Callable[[bytes], int], samples: Samples, period_size: int) -> None:
    """Hand all samples to `write`, which returns how many of a period it took.

    Raises `DeviceError` when it takes none any more, and what `write` raises other than for
    an underrun: that one has only made a pause.
    """
    start = interruptions = 0
    while start < len(samples):
        try:
            taken = write(samples[start : start + period_size].tobytes())
        except alsaaudio.ALSAAudioError as error:
            if "Broken pipe" not in str(error):  # EPIPE, by its only mark: the text
                raise
            taken = 0
        start += taken
        interruptions = 0 if taken else interruptions + 1
        if interruptions > MAX_INTERRUPTIONS:
            raise DeviceError("the sound card takes no samples", "unplug it and plug it in again")


def _open(device: str, sample_format: str, rate_hz: int, channels: int) -> Any:  # noqa: ANN401 - alsaaudio has no types
    wanted = {"rate": rate_hz, "channels": channels}
    try:
        pcm = alsaaudio.PCM(
            type=alsaaudio.PCM_PLAYBACK,
            device=device,
            format=getattr(alsaaudio, f"PCM_FORMAT_{sample_format}"),
            periodsize=PERIOD_SIZE,
            **wanted,
        )
    except alsaaudio.ALSAAudioError as error:
        raise DeviceError(
            f"{device} can't be opened for playing: {error}",
            "`aplay -L` lists what plays here; or export the clip and play it elsewhere",
        ) from error
    # The constructor takes the nearest without a word.
    granted = pcm.info()
    if granted["format_name"] != sample_format or any(
        granted[key] != value for key, value in wanted.items()
    ):
        pcm.close()
        raise DeviceError(
            f"{device} can't play {rate_hz} Hz, {channels} channels, {sample_format}",
            f"let ALSA convert it: plug{device}" if device.startswith("hw:") else "try `default`",
        )
    return pcm
