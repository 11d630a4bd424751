# SPDX-License-Identifier: MIT
"""Recordings in place of a microphone: files and folders as one stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import numpy as np
import soxr

from edge.capture.decode import open_recording
from edge.capture.pace import Pace, Pacer
from edge.errors import DeviceError
from edge.types import Period, StreamFormat

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from edge.capture.decode import Decoder, DType
    from edge.types import SampleFormat, Samples

SUFFIXES: Final = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"),
    *(".aac", ".m4a", ".mka", ".mp4", ".webm", ".wma"),
)
"""What is taken from a folder; a file that is named is tried whatever it is called."""

FORMATS: Final[dict[DType, SampleFormat]] = {
    "int16": "S16_LE",
    "int32": "S32_LE",
    "float32": "FLOAT_LE",
}


class ReplaySource:
    """Periods from recordings, one after the other, without a seam.

    Parameters
    ----------
    paths : files, and folders whose recordings are taken in the order of their names.
    pace : "real" sleeps as a card would; "fast" doesn't, and tells time by the sample index.
    rate_hz : rate of the stream; None for the first recording's.

    Integer recordings stay integer and real ones float32, unless kinds differ or a rate
    must be converted: then all is float32. Rates are converted by soxr (HQ); a recording
    with another number of channels than the first is refused. Each is opened once at
    construction, so that `DeviceError` comes before the first sample. `notes` says what
    could be read only in part.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        period_size: int = 1024,
        pace: Pace = "real",
        rate_hz: int | None = None,
    ) -> None:
        self._files = _expand(paths)
        self._dtype, self._format = _survey(self._files, period_size, rate_hz)
        self._pacer = Pacer(pace, self._format.rate_hz)
        self._name = self._files[0].name
        self._blocks = self._decode()
        self._rest: Samples = np.zeros((0, self._format.channels), dtype=self._dtype)
        self._sample_index = 0
        self.notes: tuple[str, ...] = ()
        """What was found wrong so far, a sentence each."""

    @property
    def format(self) -> StreamFormat:
        """The format of the whole stream."""
        return self._format

    @property
    def name(self) -> str:
        """The file that is being read."""
        return self._name

    @property
    def identity(self) -> str:
        """Its name: nothing takes its place."""
        return self._name

    @property
    def xruns(self) -> int:
        """None: a file waits for its reader."""
        return 0

    @property
    def measured_hz(self) -> None:
        """Not known: its rate is what its samples are meant for."""

    def read(self) -> Period | None:
        """Return the next period; all but the last are full.

        Raises `DeviceError` for a recording that turns out to hold nothing.
        """
        samples = self._next()
        if len(samples) == 0:
            return None
        start = self._sample_index
        self._sample_index += len(samples)
        return Period(start, samples, self._pacer.wait_until(self._sample_index))

    def close(self) -> None:
        """Close the file that is open; a second call does nothing."""
        self._blocks.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _next(self) -> Samples:
        """Return one period, cut from the blocks as they come."""
        wanted = self._format.period_size
        parts, count = [self._rest], len(self._rest)
        while count < wanted and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            count += len(block)
        parts = [part for part in parts if len(part)]
        whole: Samples = parts[0] if len(parts) == 1 else np.concatenate([self._rest[:0], *parts])
        self._rest = whole[wanted:]
        return whole[:wanted]

    def _decode(self) -> Generator[Samples]:
        for path in self._files:
            decoder = open_recording(path)
            try:
                self._name = path.name
                yield from self._converted(decoder)
                if said := decoder.trouble():
                    self.notes = (*self.notes, said)
            finally:
                decoder.close()

    def _converted(self, decoder: Decoder) -> Iterator[Samples]:
        """Yield one recording at the stream's rate and type."""
        size = self._format.period_size
        if decoder.rate_hz == self._format.rate_hz:
            while len(block := decoder.read(size, self._dtype)):
                yield block
            return
        converter = soxr.ResampleStream(
            decoder.rate_hz, self._format.rate_hz, self._format.channels, dtype="float32"
        )
        last = False
        while not last:
            block = decoder.read(size, "float32")
            last = len(block) < size
            yield converter.resample_chunk(block, last=last)


def _expand(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        files += [p for p in inside if p == path or p.suffix.lower() in SUFFIXES]
    if not files:
        named = ", ".join(str(path) for path in paths) or "nothing"
        raise DeviceError(f"there is no recording in {named}", "give WAV, FLAC, OGG or MP3")
    return files


def _survey(
    files: Sequence[Path], period_size: int, rate_hz: int | None
) -> tuple[DType, StreamFormat]:
    """Open each file once; return the type and format that all of them fit in."""
    channels = 0
    dtypes: set[DType] = set()
    for path in files:
        decoder = open_recording(path)
        try:
            rate_hz = rate_hz or decoder.rate_hz
            channels = channels or decoder.channels
            dtypes.add(decoder.dtype if decoder.rate_hz == rate_hz else "float32")
            _check(decoder, channels, files[0])
        finally:
            decoder.close()
    dtype: DType = dtypes.pop() if len(dtypes) == 1 else "float32"
    return dtype, StreamFormat(rate_hz or 0, channels, period_size, FORMATS[dtype])


def _check(decoder: Decoder, channels: int, first: Path) -> None:
    if decoder.channels != channels:
        raise DeviceError(
            f"{decoder.path} has {decoder.channels} channels where {first} has {channels}",
            "replay recordings of one channel count at a time",
        )
    if len(decoder.read(1, "float32")) == 0:
        raise DeviceError(f"{decoder.path} holds no samples", "record it again")
