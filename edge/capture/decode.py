# SPDX-License-Identifier: MIT
"""Recordings to samples: soundfile, and ffmpeg for what soundfile can't read."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np
import soundfile

from edge.errors import DeviceError
from edge.sound import ForwardFile

if TYPE_CHECKING:
    from pathlib import Path

    from edge.types import Samples

DType = Literal["int16", "int32", "float32"]

WIDE: Final = frozenset({"PCM_24", "PCM_32", "ALAC_20", "ALAC_24", "ALAC_32"})
REAL: Final = frozenset({"FLOAT", "DOUBLE", "VORBIS", "OPUS"})
"""Every other subtype of libsndfile, but MPEG's, is at most 16 bits deep."""

STREAMED_SIZES: Final = frozenset({0, 0xFFFFFFFF})
"""Sizes in a WAV header that mean "not known", as pipes write them."""


class Decoder(Protocol):
    """One recording, read from its beginning to its end."""

    path: Path
    rate_hz: int
    channels: int
    dtype: DType

    def read(self, n_samples: int, dtype: DType) -> Samples:
        """Return (<= n_samples, channels); the first short one is the last.

        Integers are left-aligned: full scale +-2**15 or +-2**31.
        """

    def trouble(self) -> str:
        """Return what is wrong with the recording, seen from its end; "" for nothing."""

    def close(self) -> None:
        """Let go of the file."""


def open_recording(path: Path) -> Decoder:
    """Return a decoder for `path`. Raises `DeviceError` that names the file."""
    if not path.is_file():
        raise DeviceError(f"there is no recording {path}", "check the name")
    if path.stat().st_size == 0:
        raise DeviceError(f"{path} is empty", "record it again")
    try:
        return SoundFileDecoder(path)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a headerless .raw
        if shutil.which("ffmpeg") is None:
            raise DeviceError(
                f"{path} can't be decoded: {error}",
                "give WAV, FLAC, OGG or MP3, or install ffmpeg",
            ) from error
    return FfmpegDecoder(path)


class SoundFileDecoder:
    """WAV, FLAC, OGG, MP3 and what else libsndfile reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = ForwardFile(path)
        self.rate_hz = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.dtype = _natural(self._file.subtype)
        self._read_samples = 0
        self._error = ""
        if self._file.frames == 0:
            self.close()
            raise DeviceError(f"{path} holds no samples", "record it again")

    def read(self, n_samples: int, dtype: DType) -> Samples:
        """Return the next samples; an error of the codec ends the recording."""
        try:
            block: Samples = self._file.read(n_samples, dtype=dtype, always_2d=True)
        except soundfile.SoundFileError as error:
            self._error = str(error)
            return np.zeros((0, self.channels), dtype=dtype)
        self._read_samples += len(block)
        return block

    def trouble(self) -> str:
        """Return where it broke off, if it did."""
        missing = self._file.frames - self._read_samples
        if missing <= 0 and not self._error and not _cut_wav(self.path):
            return ""
        return f"{self.path} is truncated: it ends after {self._read_samples / self.rate_hz:.3f} s"

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FfmpegDecoder:
    """Anything that ffmpeg reads, through a pipe: AU, whose header is six numbers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dtype: DType = "float32"
        # Not a second pipe: one that nobody reads could fill up and stop ffmpeg.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        command = ["ffmpeg", "-nostdin", "-v", "error", "-i", f"file:{path}"]
        self._process = subprocess.Popen(  # noqa: S603 - no shell, and file: keeps it a name
            [*command, "-vn", "-f", "au", "-c:a", "pcm_f32be", "-"],
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        assert self._process.stdout is not None  # noqa: S101 - PIPE makes it one; for the types
        self._pipe = self._process.stdout
        header = self._pipe.read(24)
        if len(header) < 24:
            self._process.wait()
            said = self._last_words()
            self.close()
            raise DeviceError(f"{path} can't be decoded: {said}", "is it a recording?")
        _, offset, _, _, self.rate_hz, self.channels = struct.unpack(">6I", header)
        self._pipe.read(offset - 24)

    def read(self, n_samples: int, dtype: DType) -> Samples:
        """Return the next samples; ffmpeg's are always float32."""
        data = self._pipe.read(n_samples * self.channels * 4)
        whole = len(data) - len(data) % (self.channels * 4)
        return np.frombuffer(data[:whole], dtype=">f4").astype(dtype).reshape(-1, self.channels)

    def trouble(self) -> str:
        """Return what ffmpeg complained of, if it did."""
        self._process.wait()
        said = self._last_words()
        return f"{self.path} is damaged: {said}" if said else ""

    def close(self) -> None:
        """End ffmpeg."""
        self._pipe.close()
        self._process.kill()
        self._process.wait()
        self._said.close()

    def _last_words(self) -> str:
        self._said.seek(0)
        return self._said.read().decode(errors="replace").strip().rpartition("\n")[2]


def _natural(subtype: str) -> DType:
    if subtype in REAL or subtype.startswith("MPEG"):
        return "float32"
    return "int32" if subtype in WIDE else "int16"


def _cut_wav(path: Path) -> bool:
    """Whether a WAV header promises more bytes than there are: libsndfile is silent on it."""
    with path.open("rb") as file:
        header = file.read(12)
    if len(header) < 12 or header[:4] != b"RIFF" or header[8:] != b"WAVE":
        return False
    size: int = struct.unpack("<I", header[4:8])[0]
    return size not in STREAMED_SIZES and path.stat().st_size < size + 8
