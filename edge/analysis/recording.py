# SPDX-License-Identifier: MIT
"""Recordings as stretches of mono float32, in bounded memory whatever their header says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import soundfile
import soxr

from edge.errors import DeviceError
from edge.sound import ForwardFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

STRETCH_S: Final = 30.0  # some 90 MB are needed to take 35 s apart at 22050 Hz
LEAST_STRETCH_S: Final = 5.0  # a shorter rest is part of the stretch before it
MIN_RATE_HZ: Final = 8000  # a slower recording is converted up: the rooms below start here
SANE_RATES_HZ: Final = range(1000, 768_001)  # what a header may say
MAX_CHANNELS: Final = 64
FULL_SCALE: Final = 1.0 - 2.0**-15  # the largest positive int16: reached is clipped
ABSURD: Final = 1e3  # 60 dB over full scale: no sample value, its square would drown all others
BLOCK_VALUES: Final = 1 << 14  # decoded at once: where a file is damaged, so much is lost at most


class Recording:
    """One recording, mono, at most `max_rate_hz`, given in stretches of at most 35 s.

    Memory: two stretches, for a clip and for a day; nothing is allocated by what
    the header says. What was found on the way (`duration_s`, `clipped_samples`,
    `bad_samples`, `notes`) is complete when the stretches are.

    Parameters
    ----------
    max_rate_hz : Hz; a faster recording is converted by soxr (HQ), as is one under 8000.
    channel : which one is taken, from 0; None, or one that is not there: the mean of all.

    Raises
    ------
    DeviceError
        from construction or `stretches`, naming file and reason: not there, not readable,
        no recording, a rate or channel count that can't be, nothing in it.
    """

    def __init__(self, path: Path, *, max_rate_hz: int, channel: int | None = None) -> None:
        self.path = path
        self._file: Any = _open(path)
        self.source_rate_hz = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.format = str(self._file.subtype)
        self.channel = channel if channel is not None and channel < self.channels else None
        try:
            self._check()
        except DeviceError:
            self.close()
            raise
        self.size_bytes = path.stat().st_size
        self.rate_hz = min(max(self.source_rate_hz, MIN_RATE_HZ), max_rate_hz)
        self.source_samples = 0
        self.clipped_samples = 0  # at full scale, in any channel
        self.bad_samples = 0  # NaN, infinite or absurd: replaced by zero
        self.offset = 0.0  # the largest mean of a stretch, full scale +-1.0
        self.notes: tuple[str, ...] = ()
        """What is wrong with the recording, a sentence each."""

    @property
    def duration_s(self) -> float:
        """Seconds read so far."""
        return self.source_samples / self.source_rate_hz

    @property
    def promised_s(self) -> float:
        """Seconds that the header promises: for a progress bar, nothing else."""
        return max(float(self._file.frames), 0.0) / self.source_rate_hz

    def stretches(self) -> Iterator[Float32]:
        """Give (n_samples,) float32 at `rate_hz`, each the receiver's, until the end.

        All but the last are 30 s; the last is 5 to 35 s, or the whole recording. Each is
        without its mean: a converter's offset would be the loudest of all tones.
        """
        whole = round(STRETCH_S * self.rate_hz)
        enough = whole + round(LEAST_STRETCH_S * self.rate_hz)
        parts: list[Float32] = []
        count = 0
        for part in self._converted():
            parts.append(part)
            count += part.size
            while count >= enough:
                samples = np.concatenate(parts)
                yield self._centred(samples[:whole])
                parts = [samples[whole:].copy()]
                count -= whole
        if self.source_samples == 0:
            said = self.notes[0] if self.notes else f"{self.path} holds no samples"
            raise DeviceError(said, "record it again")
        if count:
            yield self._centred(np.concatenate(parts))

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._file.close()

    def _centred(self, samples: Float32) -> Float32:
        mean = float(samples.mean(dtype=np.float64))
        self.offset = max(self.offset, mean, key=abs)
        return samples - np.float32(mean)

    def _converted(self) -> Iterator[Float32]:
        if self.rate_hz == self.source_rate_hz:
            yield from self._mono()
            return
        converter = soxr.ResampleStream(self.source_rate_hz, self.rate_hz, 1, dtype="float32")
        for block in self._mono():
            yield converter.resample_chunk(block)
        yield converter.resample_chunk(np.zeros(0, np.float32), last=True)

    def _mono(self) -> Iterator[Float32]:
        size = max(BLOCK_VALUES // self.channels, 1)
        while len(block := self._read(size)):
            self.source_samples += len(block)
            self._mend(block)
            if self.channel is None:
                yield block[:, 0] if self.channels == 1 else block.mean(axis=1)
            else:
                yield block[:, self.channel].copy()
        self._note_end()

    def _read(self, size: int) -> Float32:
        try:
            block: Float32 = self._file.read(size, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError) as error:
            self.notes += (f"{self.path} is damaged after {self.duration_s:.3f} s: {error}",)
            return np.zeros((0, self.channels), np.float32)
        return block

    def _mend(self, block: Float32) -> None:
        """Count and replace what is no sample value, in place."""
        size = np.abs(block)
        highest = size.max()
        if highest < FULL_SCALE:  # False for NaN
            return
        bad = ~(size < ABSURD)
        self.bad_samples += int(bad.sum())
        block[bad] = 0.0
        self.clipped_samples += int(np.any((size >= FULL_SCALE) & ~bad, axis=1).sum())

    def _note_end(self) -> None:
        promised = self._file.frames
        if self.bad_samples:
            self.notes += (f"{self.bad_samples} samples were no numbers and count as zero",)
        if 0 < promised != self.source_samples and not self.notes:
            promised_s = promised / self.source_rate_hz
            said = f"the header promises {promised_s:.3f} s, {self.duration_s:.3f} s are there"
            self.notes += (said,)

    def _check(self) -> None:
        if self.source_rate_hz not in SANE_RATES_HZ:
            raise DeviceError(
                f"{self.path} says that it has {self.source_rate_hz} Hz",
                f"{SANE_RATES_HZ[0]}..{SANE_RATES_HZ[-1]} can be",
            )
        if self.channels > MAX_CHANNELS:
            raise DeviceError(
                f"{self.path} says that it has {self.channels} channels",
                f"1..{MAX_CHANNELS} can be",
            )


def _open(path: Path) -> Any:  # noqa: ANN401 - soundfile ships no types
    try:
        if not path.is_file():
            raise DeviceError(f"there is no recording {path}", "check the name")
        with path.open("rb") as file:
            if not file.read(1):
                raise DeviceError(f"{path} is empty", "record it again")
        return ForwardFile(path)
    except OSError as error:
        raise DeviceError(f"{path} can't be read: {error.strerror}", "check its owner") from error
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a headerless .raw
        raise DeviceError(
            f"{path} can't be decoded: {error}", "give WAV, FLAC, OGG or MP3"
        ) from error
