# SPDX-License-Identifier: MIT
"""A source that synthesises what it delivers: seeded, endless or not, with gaps on order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Self, get_args

import numpy as np

from edge.capture import generator
from edge.capture.pace import Pace, Pacer
from edge.capture.scene import synthesise_scene
from edge.errors import DeviceError
from edge.types import Gap, Period, StreamFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge.types import Samples

SignalName = Literal["tone", "sweep", "white", "pink", "clicks", "silence", "scene"]

LOOP_S: Final = 60
"""What is synthesised ahead and repeated, in whole seconds."""


def synthesise(signal: SignalName, n_samples: int, rate_hz: int, seed: int) -> NDArray[np.float32]:
    """Return `n_samples` of a signal, (n_samples,) float32."""
    rng = np.random.default_rng(seed)
    make: dict[SignalName, Callable[[], NDArray[np.float32]]] = {
        "tone": lambda: generator.tone(n_samples, rate_hz),
        "sweep": lambda: generator.sweep(n_samples, rate_hz),
        "white": lambda: generator.white_noise(n_samples, rng),
        "pink": lambda: generator.pink_noise(n_samples, rate_hz, rng),
        "clicks": lambda: generator.clicks(n_samples, rate_hz),
        "silence": lambda: generator.silence(n_samples),
        "scene": lambda: synthesise_scene(n_samples / rate_hz, rate_hz, seed)[0],
    }
    return make[signal]()


class SynthSource:
    """Periods of a synthetic signal, the same in all channels.

    Parameters
    ----------
    signal : what sounds; up to a minute is synthesised ahead, then repeated.
    seconds : length of the stream, gaps included; None for endless.
    gaps : (sample_index, lost_samples) pairs in stream time: there a `Gap` takes the
        signal's place.
    sample_format : "S16_LE" gives int16, "FLOAT_LE" float32.
    seed : same seed, same samples, whatever the period size.
    """

    def __init__(
        self,
        signal: SignalName,
        *,
        rate_hz: int = 48000,
        channels: int = 1,
        period_size: int = 1024,
        pace: Pace = "real",
        seed: int = 0,
        seconds: float | None = None,
        gaps: Sequence[tuple[int, int]] = (),
        sample_format: Literal["S16_LE", "FLOAT_LE"] = "S16_LE",
    ) -> None:
        if signal not in get_args(SignalName):
            raise DeviceError(
                f"there is no signal {signal!r}", "choose of " + ", ".join(get_args(SignalName))
            )
        self._name = f"synthetic {signal}"
        self._format = StreamFormat(rate_hz, channels, period_size, sample_format)
        self._end = None if seconds is None else round(seconds * rate_hz)
        loop = LOOP_S * rate_hz if self._end is None else min(self._end, LOOP_S * rate_hz)
        mono = synthesise(signal, loop, rate_hz, seed)
        self._loop = _as(sample_format, mono, channels)
        self._gaps = _checked(gaps)
        self._pacer = Pacer(pace, rate_hz)
        self._sample_index = 0

    @property
    def format(self) -> StreamFormat:
        """The format as asked for."""
        return self._format

    @property
    def name(self) -> str:
        """What sounds."""
        return self._name

    @property
    def identity(self) -> str:
        """Its name: nothing takes its place."""
        return self._name

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing: what is synthesised is what was asked for."""
        return ()

    @property
    def xruns(self) -> int:
        """None: there is no driver."""
        return 0

    @property
    def measured_hz(self) -> None:
        """Not known: its rate is what its samples are meant for."""

    def read(self) -> Period | Gap | None:
        """Return the next period or injected gap; None after `seconds`.

        In real pace it blocks until the period would have been captured.
        """
        start = self._sample_index
        if start == self._end:
            return None
        if self._gaps and self._gaps[0][0] == start:
            lost = self._cut(start + self._gaps.pop(0)[1]) - start
            self._sample_index += lost
            return Gap(start, lost, "injected", self._pacer.wait_until(start + lost))
        stop = self._cut(start + self._format.period_size)
        if self._gaps:
            stop = min(stop, self._gaps[0][0])
        self._sample_index = stop
        samples: Samples = self._loop[np.arange(start, stop) % len(self._loop)]
        return Period(start, samples, self._pacer.wait_until(stop))

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _cut(self, stop: int) -> int:
        return stop if self._end is None else min(stop, self._end)


def _as(sample_format: str, mono: NDArray[np.float32], channels: int) -> Samples:
    """Return (n_samples, channels), rounded and clipped where it is to be int16."""
    wide = np.tile(mono[:, np.newaxis], (1, channels))
    if sample_format == "FLOAT_LE":
        return wide
    return np.clip(np.round(wide * 32768.0), -32768, 32767).astype(np.int16)


def _checked(gaps: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the gaps in order. Raises ValueError where one is empty or two overlap."""
    ordered = sorted(gaps)
    ends = [0, *(start + lost for start, lost in ordered)]
    if any(lost < 1 for _, lost in ordered) or any(
        start < end for (start, _), end in zip(ordered, ends, strict=False)
    ):
        message = f"gaps must be of at least one sample and must not overlap: {gaps}"
        raise ValueError(message)
    return ordered
