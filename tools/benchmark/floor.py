# SPDX-License-Identifier: MIT
"""Builds `floor.c` and hands it periods: as little as one can pay from Python."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.dsp.melbank import mel_filterbank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.dsp.spec import LogMelSpec

    Float32 = NDArray[np.float32]

SOURCE = Path(__file__).with_name("floor.c")
CFLAGS = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]


class Floor:
    """The C loop as a stream; `fft` says which FFT it was built with.

    Raises `RuntimeError` when there is no C compiler.
    """

    def __init__(self, spec: LogMelSpec, max_samples: int, *, with_fftw: bool = True) -> None:
        if (spec.power, spec.log, spec.window) != (2, "ln", "hann"):
            raise ValueError("the C loop knows the logarithm of power under a Hann window only")
        self.n_mels = spec.n_mels
        self.fft, self._library = _build(with_fftw=with_fftw)
        self._tables = _tables(spec)
        self._mel = np.empty((max_samples // spec.hop_length + 2, spec.n_mels), np.float32)
        lengths = (spec.n_fft, spec.win_length, spec.hop_length, spec.n_mels, max_samples)
        tables = [ctypes.c_void_p(table.ctypes.data) for table in self._tables]
        self._library.stream_new.restype = ctypes.c_void_p
        offset = ctypes.c_float(spec.offset)
        self._stream = ctypes.c_void_p(self._library.stream_new(*lengths, offset, *tables))
        self._process = self._library.stream_process
        self._process.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
        self._out = self._mel.ctypes.data

    def process(self, address: int, n_samples: int) -> Float32:
        """Return the frames that `n_samples` float32 at `address` complete."""
        return self._mel[: self._process(self._stream, address, n_samples, self._out)]

    def reset(self) -> None:
        """Begin frame 0 anew."""
        self._library.stream_reset(self._stream)

    def close(self) -> None:
        """Free what C allocated."""
        self._library.stream_free(self._stream)


def _tables(spec: LogMelSpec) -> list[NDArray[np.float32] | NDArray[np.int32]]:
    """Window, first bin and number of bins of each band, and their weights in a row."""
    phase = 2.0 * np.pi * np.arange(spec.win_length) / spec.win_length
    bands = mel_filterbank(spec).T
    bins = [np.flatnonzero(band) for band in bands]
    first = np.array([b[0] if b.size else 0 for b in bins], np.int32)
    count = np.array([b.size for b in bins], np.int32)
    weights = np.concatenate([band[b] for band, b in zip(bands, bins, strict=True)])
    return [(0.5 - 0.5 * np.cos(phase)).astype(np.float32), first, count, weights]


def _build(*, with_fftw: bool) -> tuple[str, ctypes.CDLL]:
    """Compile with FFTW if it is there, else with the FFT of the file itself."""
    ways = [("FFTW", ["-DWITH_FFTW"], ["-lfftw3f"])] if with_fftw else []
    ways.append(("its own radix 2", [], []))
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "floor.so"
        for name, defines, libraries in ways:
            files = ["-o", str(library), str(SOURCE)]
            command = ["gcc", *CFLAGS, *defines, *files, *libraries, "-lm"]
            try:
                built = subprocess.run(command, capture_output=True, check=False)
            except FileNotFoundError as error:
                raise RuntimeError("the C loop needs gcc: apt-get install gcc") from error
            if built.returncode == 0:
                # Loaded, the library no longer needs its file.
                return name, ctypes.CDLL(str(library))
    raise RuntimeError(f"floor.c doesn't compile: {built.stderr.decode()}")
