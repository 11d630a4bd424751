# SPDX-License-Identifier: MIT
"""Sound out through ALSA: a clip, blocking, or a stream that never waits."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import select
import time
from typing import TYPE_CHECKING, Any, Final

import alsaaudio
import numpy as np

from edge.errors import DeviceError
from edge.quiet import quiet_alsa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edge.types import Samples

quiet_alsa()

PERIOD_SIZE: Final = 1024
STUCK_S: Final = 2.0
MAX_INTERRUPTIONS: Final = 100
"""Underruns in a row, or writes that took nothing, without one sample between them."""

_FORMATS: Final[dict[np.dtype[Any], str]] = {
    np.dtype("<i2"): "S16_LE",
    np.dtype("<i4"): "S32_LE",
    np.dtype("<f4"): "FLOAT_LE",
}
_BEST_FIRST: Final = ("S32_LE", "FLOAT_LE", "S16_LE")
_DTYPES: Final = {name: dtype for dtype, name in _FORMATS.items()}
_FULL_SCALE: Final = {"S16_LE": 2.0**15, "S32_LE": 2.0**31, "FLOAT_LE": 1.0}
# One step of the format, and of float32, under full scale.
_TOP: Final = {"S16_LE": 1 - 2.0**-15, "S32_LE": 1 - 2.0**-24, "FLOAT_LE": 1.0}

_TO_BE_NAMED: Final = ("default", "sysdefault:", "plughw:")

# The rest of its arguments is whatever the format of the message wants.
_HEAR_NOTHING: Final = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int)(lambda *_: None)


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
    pcm = _open_exactly(device, _FORMATS[samples.dtype], rate_hz, samples.shape[1])

    def write(period: bytes) -> int:
        _wait_for_room(pcm)
        return int(pcm.write(period))

    try:
        # Not a sample more than it waits for: `write` would wait for their room.
        feed(write, samples, int(pcm.info()["period_size"]))
        pcm.drain()
    except BaseException as error:
        # What waits in the card would be played by closing it.
        with contextlib.suppress(alsaaudio.ALSAAudioError):  # it is gone
            pcm.drop()
        if isinstance(error, alsaaudio.ALSAAudioError):
            raise _lost(device, str(error)) from error
        raise
    finally:
        pcm.close()


def _wait_for_room(pcm: Any) -> None:  # noqa: ANN401 - alsaaudio has no types
    """Return when a write would not wait, in which no Ctrl-C is heard; raise when it hangs."""
    descriptors = dict(pcm.polldescriptors())
    card = select.poll()
    for descriptor, events in descriptors.items():
        card.register(descriptor, events)
    until_s = time.monotonic() + STUCK_S
    while (left_s := until_s - time.monotonic()) > 0:
        ready = descriptors.fromkeys(descriptors, 0) | dict(card.poll(1000.0 * left_s))
        if any(ready.values()) and pcm.polldescriptors_revents(list(ready.items())):
            return
    raise DeviceError("the sound card plays nothing any more", "unplug it and plug it in")


def feed(write: Callable[[bytes], int], samples: Samples, period_size: int) -> None:
    """Hand all samples to `write`, which returns how many of a period it took.

    A negative number is an underrun, after which it goes on: that has only made a pause.
    Raises `DeviceError` when it takes none any more, and what `write` raises.
    """
    start = interruptions = 0
    while start < len(samples):
        taken = write(samples[start : start + period_size].tobytes())
        start += max(taken, 0)
        interruptions = 0 if taken > 0 else interruptions + 1
        if interruptions > MAX_INTERRUPTIONS:
            raise DeviceError("the sound card takes no samples", "unplug it and plug it in again")


class OutputCard:
    """An open card that takes mono samples for all its channels and never waits.

    Parameters
    ----------
    device : as ALSA names it.
    rate_hz : asked for; `rate_hz` of the card is what it grants, the nearest.
    period_size, buffer_size : asked for, in samples at the rate asked for.

    Raises `DeviceError` when there is no such device, or one that takes no known format.
    """

    def __init__(self, device: str, *, rate_hz: int, period_size: int, buffer_size: int) -> None:
        self._device = device
        settings = {
            "mode": alsaaudio.PCM_NONBLOCK,
            "rate": rate_hz,
            "periodsize": period_size,
            "periods": max(-(-buffer_size // period_size), 2),
        }
        try:
            self._pcm, granted = _open_best(device, **settings)
        except alsaaudio.ALSAAudioError as error:  # pulled out in this very moment
            raise _lost(device, str(error)) from error
        self.rate_hz = int(granted["rate"])
        self.channels = int(granted["channels"])
        self.sample_format = str(granted["format_name"])
        self.buffer_size = int(granted["buffer_size"])
        if self.sample_format not in _DTYPES:
            self.close()
            raise DeviceError(
                f"{device} takes none of {', '.join(_BEST_FIRST)}",
                _let_alsa_convert(device),
            )
        self._mono = np.empty(self.buffer_size, np.float32)
        self._out: NDArray[Any] = np.empty(
            (self.buffer_size, self.channels), _DTYPES[self.sample_format]
        )

    def queued(self) -> int | None:
        """Return how many samples wait to be heard; None after an underrun.

        Raises `DeviceError` when the card is lost.
        """
        room = self._pcm.avail()
        if room == -errno.EPIPE:
            return None
        if room < 0:
            raise _lost(self._device, errno.errorcode.get(-room, str(room)))
        return max(self.buffer_size - int(room), 0)

    def ask(self) -> None:
        """Ask a card that stands still whether it is there; after an underrun, make it ready.

        Nothing is heard of it. Raises `DeviceError` when the card is lost.
        """
        if self.queued() is None:
            try:
                self._pcm.drop()
                self._pcm.write(b"")  # makes it ready, which one that is gone refuses
            except alsaaudio.ALSAAudioError as error:
                raise _lost(self._device, str(error)) from error

    def write(self, mono: NDArray[np.float32]) -> int | None:
        """Take what there is room for and return how many; None: an underrun, nothing taken.

        After an underrun the next `write` starts the card again. `mono` is (n_samples,), full
        scale +-1.0, clipped to it; only read. Raises `DeviceError` when the card is lost.
        """
        mono = mono[: self.buffer_size]
        n_samples = len(mono)
        limited = self._mono[:n_samples]
        np.clip(mono, -1.0, _TOP[self.sample_format], out=limited)
        limited *= np.float32(_FULL_SCALE[self.sample_format])
        out = self._out[:n_samples]
        if self.sample_format == "FLOAT_LE":
            out[:] = limited[:, None]
        else:
            out[:] = np.rint(limited, out=limited)[:, None]
        try:
            taken = int(self._pcm.write(out))
        except alsaaudio.ALSAAudioError as error:
            raise _lost(self._device, str(error)) from error
        return None if taken < 0 else taken

    def close(self) -> None:
        """Fall silent and let go of the card."""
        with contextlib.suppress(alsaaudio.ALSAAudioError):  # it is gone
            self._pcm.drop()
        self._pcm.close()


def _open_best(device: str, **settings: int) -> tuple[Any, dict[str, Any]]:
    """Open with the best format and the fewest channels on offer; return ALSA's account too."""
    with _silence():
        pcm = _open(device, _BEST_FIRST[0], channels=1, **settings)
        # Not `getchannels`: "null" has 2**32 of them, and it would count them one by one.
        formats, fewest = pcm.getformats(), int(pcm.info()["channels"])
        best = next((name for name in _BEST_FIRST if name in formats), "S16_LE")
        if best != _BEST_FIRST[0] or fewest != 1:
            pcm.close()
            pcm = _open(device, best, channels=fewest, **settings)
        return pcm, pcm.info()


def _open_exactly(device: str, sample_format: str, rate_hz: int, channels: int) -> Any:  # noqa: ANN401 - alsaaudio has no types
    wanted = {"rate": rate_hz, "channels": channels}
    pcm = _open(device, sample_format, periodsize=PERIOD_SIZE, **wanted)
    granted = pcm.info()
    if granted["format_name"] != sample_format or any(
        granted[key] != value for key, value in wanted.items()
    ):
        pcm.close()
        raise DeviceError(
            f"{device} can't play {rate_hz} Hz, {channels} channels, {sample_format}",
            _let_alsa_convert(device),
        )
    return pcm


def _open(device: str, sample_format: str, **settings: int) -> Any:  # noqa: ANN401 - alsaaudio has no types
    """Open; the constructor grants the nearest to what is asked for, without a word."""
    sample_constant = getattr(alsaaudio, f"PCM_FORMAT_{sample_format}")
    try:
        return alsaaudio.PCM(
            type=alsaaudio.PCM_PLAYBACK, device=device, format=sample_constant, **settings
        )
    except alsaaudio.ALSAAudioError as error:
        raise _not_opened(device, str(error)) from error


def _not_opened(device: str, reason: str) -> DeviceError:
    if "busy" in reason:
        mending = "another program holds it: `fuser -v /dev/snd/*` names it"
    elif "Permission denied" in reason:
        mending = "add the user to the group audio: `sudo usermod -aG audio $USER`"
    else:
        names = [str(name) for name in alsaaudio.pcms(alsaaudio.PCM_PLAYBACK)]
        # Each card is there in a dozen ways, beside plugins that play nothing by themselves.
        short = [name for name in names if name.startswith(_TO_BE_NAMED)]
        mending = (
            "name it as ALSA does, not as `edge devices` names microphones; here: "
            f"{', '.join(short) or 'no card that plays'}; `aplay -L` describes them"
        )
    return DeviceError(f"{device} can't be opened for playing: {reason}", mending)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep alsa-lib from writing to standard error: a card that is away is tried for years."""
    handler = ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler
    handler(_HEAR_NOTHING)
    try:
        yield
    finally:
        handler(None)


def _let_alsa_convert(device: str) -> str:
    return f"let ALSA convert it: {'plug' if device.startswith('hw:') else 'plug:'}{device}"


def _lost(device: str, reason: str) -> DeviceError:
    return DeviceError(f"{device} was lost: {reason}", "plug it in again")
