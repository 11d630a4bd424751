# SPDX-License-Identifier: MIT
"""What the card delivers to what the core computes on: one channel, float32, finite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.types import Samples

# 24 bit samples lie left-aligned in int32: their largest is 2**31 - 256. One such step under
# full scale is 1e-6 dB, so the same rule serves true 32 bit.
_TOP_INT32: Final = 2**31 - 256

# No converter says this: 36 dB over full scale. Damage it is, and its square may be no float.
_WILD: Final = 64.0

# Nor this: 320 dB under full scale. Smaller numbers, or their squares, are denormal.
_SILENT: Final = 1e-16


def to_mono(
    samples: Samples, channel: int | None, gain: float, out: NDArray[np.float32]
) -> tuple[NDArray[np.float32], int]:
    """Convert one period to float32 mono, full scale +-1.0, and count its clipped samples.

    Returns a view of `out`, (n_samples,) float32, and how many samples were at digital full
    scale before the gain: -32768 or 32767 for int16, within one 24 bit step of the ends for
    int32, 1.0 or more for float32. Of a mean a sample counts once if any channel of it
    does. Real samples that are not finite or beyond +-64 become 0 and are counted with
    them, so that nothing after this meets a NaN or overflows; where all are next to nothing
    they become 0, for denormal numbers are dear. Allocates nothing that grows
    unless a sample is clipped.

    Parameters
    ----------
    samples : (n_samples, channels) int16, int32 (full scale 2**31) or float32; only read.
    channel : the one to take, from 0; None for the mean of all.
    gain : linear, applied after the conversion.
    out : (max_samples,) float32 of the caller, n_samples or longer.

    Raises `ValueError` for another type or shape, a missing channel, a short `out`.
    """
    if samples.ndim != 2 or samples.shape[1] == 0:
        raise ValueError(f"samples must be (n_samples, channels), not {samples.shape}")
    n_samples, channels = samples.shape
    if channel is not None and not 0 <= channel < channels:
        raise ValueError(f"channel must be 0 to {channels - 1}, not {channel}")
    if out.size < n_samples:
        raise ValueError(f"out has room for {out.size} samples, not {n_samples}")
    heard = samples if channel is None else samples[:, channel : channel + 1]
    mono = out[:n_samples]
    if n_samples == 0:
        return mono, 0
    clipped = count_clipped(heard)
    if heard.dtype == np.float32:
        if clipped:
            heard = _tamed(heard)
        if heard.min() > -_SILENT and heard.max() < _SILENT:
            mono.fill(0.0)
            return mono, clipped
    scale = np.float32(gain / (_full_scale(heard) * heard.shape[1]))
    # Channel by channel: ten times cheaper than a reduction over a short axis.
    np.multiply(heard[:, 0], scale, out=mono, casting="unsafe", dtype=np.float32)
    for other in range(1, heard.shape[1]):
        mono += heard[:, other] * scale
    return mono, clipped


def from_mono(x: NDArray[np.float32], out: NDArray[Any]) -> None:
    """Write (n_samples,) float32, full scale +-1.0, into one channel of the card's own type.

    Integers are rounded; what is beyond full scale is clipped. `out` is (n_samples,) int16,
    int32 or float32, for example a column of a period; `ValueError` for another type.
    """
    scale = _full_scale(out)
    if scale == 1.0:
        out[:] = x
        return
    # In float64: float32 can't hold the largest int32.
    out[:] = np.clip(np.rint(x * np.float64(scale)), -scale, scale - 1.0)


def _full_scale(samples: NDArray[Any]) -> float:
    match samples.dtype:
        case np.int16:
            return 2.0**15
        case np.int32:
            return 2.0**31
        case np.float32:
            return 1.0
    raise ValueError(f"samples must be int16, int32 or float32, not {samples.dtype}")


def _tamed(heard: Samples) -> Samples:
    """Return a copy in which a sample is 0 where any channel is damaged."""
    # A NaN fails the comparison too.
    sound = (np.abs(heard) <= _WILD).all(axis=1, keepdims=True)
    return np.where(sound, heard, np.float32(0.0))


def count_clipped(heard: Samples) -> int:
    """Return how many of (n_samples, channels) have a channel at full scale or not finite."""
    match heard.dtype:
        case np.int16:
            low, high = -(2**15), 2**15 - 1
        case np.int32:
            low, high = -_TOP_INT32, _TOP_INT32
        case _:
            low, high = -1, 1
    # The extremes are cheap and nearly always inside; a NaN fails the comparison too.
    if low < heard.min() and heard.max() < high:
        return 0
    inside = (heard > low) & (heard < high)
    return len(heard) - int(inside.all(axis=1).sum())
