# SPDX-License-Identifier: MIT
"""Constant-Q and variable-Q spectra by plans that are made once per rate.

Octave by octave from the top, each at half the rate of the one above: the same wavelets
then serve for all, and a frame of an octave times the wavelets is one matrix product.

Source: C. Schörkhuber, A. Klapuri, "Constant-Q transform toolbox for music processing",
SMC (2010); the wavelets, their sparsity and their scale are those of librosa 0.11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
import soxr
from numpy.lib.stride_tricks import sliding_window_view

from edge.analysis.spectrum import hann

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.analysis.spectrum import Complex64, Float32, Float64

Kind = Literal["constant", "variable"]

BINS_PER_OCTAVE: Final = 12
LOWEST_HZ: Final = 440.0 * 2.0 ** (-45 / 12)  # C1
_OCTAVES: Final = 7
_SPARSITY: Final = 0.01  # the share of a wavelet's spectrum that is left out
_HANN_BANDWIDTH: Final = 1.50018310546875  # bins, as librosa's `window_bandwidth`
# The bandwidth of a bin relative to its frequency, and what a variable Q adds to it, so that
# bandwidths are in proportion to the ear's, 24.7 Hz + 0.108 f (Glasberg and Moore, 1990).
_BANDWIDTH: Final = (2.0 ** (2 / 12) - 1.0) / (2.0 ** (2 / 12) + 1.0)
_EAR_HZ: Final = _BANDWIDTH * 24.7 / 0.108


@dataclass(frozen=True, slots=True)
class LogSpectrum:
    """A spectrum of semitones: `magnitude` is (n_frames, n_bins) float32.

    `bins_hz` is (n_bins,) float64, from C1 up: 84 of them, or whole octaves fewer where
    the rate ends below C8. Frames are `hop_s` apart, the first centred on the first sample.
    """

    magnitude: Float32
    bins_hz: Float64
    hop_s: float

    @property
    def decibels(self) -> Float32:
        """The magnitude in dB, (n_frames, n_bins) float32, -100 or more."""
        return np.float32(20.0) * np.log10(np.maximum(self.magnitude, np.float32(1e-5)))


class _Octave(NamedTuple):
    halvings: int
    hop_length: int
    kernel: Float32  # (n_window, 2 * n_filters): real parts, then imaginary parts


class Plan:
    """What a transform needs and no recording changes: keep it (`plan` does).

    Parameters
    ----------
    rate_hz, hop_length : of the recording, and between frames.
    kind : "constant" Q as `librosa.cqt`, or "variable" as `librosa.vqt`.
    """

    def __init__(self, rate_hz: int, hop_length: int, kind: Kind) -> None:
        self._rate_hz, self._hop_length = rate_hz, hop_length
        self._gamma_hz = 0.0 if kind == "constant" else _EAR_HZ
        n_octaves = _fitting_octaves(rate_hz, self._gamma_hz)
        semitones = np.arange(n_octaves * BINS_PER_OCTAVE)
        self.bins_hz = LOWEST_HZ * 2.0 ** (semitones / BINS_PER_OCTAVE)
        self.first_halvings = _spare_halvings(
            rate_hz, _cutoff_hz(n_octaves, self._gamma_hz), hop_length, n_octaves
        )
        self._octaves = list(self._design())

    def transform(self, halved: Halvings) -> Complex64:
        """Return the spectrum, (n_frames, n_bins) complex64, of what `halved` holds.

        Within 2e-6, of the loudest bin, of librosa's.
        """
        parts = [self._respond(halved, octave) for octave in self._octaves]
        # Halved lengths are rounded up: each octave may end a frame after the recording does.
        whole = 1 + halved.at(0, self.first_halvings).size // self._hop_length
        n_frames = min(whole, *map(len, parts))
        spectrum = np.empty((n_frames, self.bins_hz.size), np.complex64)
        end = self.bins_hz.size
        for part in parts:
            bins = slice(end - BINS_PER_OCTAVE, end)
            spectrum.real[:, bins] = part[:n_frames, :BINS_PER_OCTAVE]
            spectrum.imag[:, bins] = part[:n_frames, BINS_PER_OCTAVE:]
            end -= BINS_PER_OCTAVE
        return spectrum

    def _respond(self, halved: Halvings, octave: _Octave) -> Float32:
        samples = halved.at(octave.halvings, self.first_halvings)
        n_window = len(octave.kernel)
        padded = np.pad(samples, n_window // 2)
        frames = sliding_window_view(padded, n_window)[:: octave.hop_length]
        # Overlapping rows are no matrix to BLAS: a copy is cheaper than going without it.
        product: Float32 = np.ascontiguousarray(frames) @ octave.kernel
        return product

    def _design(self) -> Iterator[_Octave]:
        halvings, hop_length = self.first_halvings, self._hop_length >> self.first_halvings
        top_rate_hz = self._rate_hz / 2**halvings
        for end in range(self.bins_hz.size, 0, -BINS_PER_OCTAVE):
            bins_hz = self.bins_hz[end - BINS_PER_OCTAVE : end]
            rate_hz = self._rate_hz / 2**halvings
            # The scale of `librosa.vqt(scale=True)`: as if all were at the topmost rate.
            scale = np.sqrt(top_rate_hz / rate_hz / self._lengths(bins_hz, top_rate_hz))
            kernel = self._kernel(bins_hz, rate_hz) * scale
            parts = np.concatenate([kernel.real, kernel.imag], axis=1)
            yield _Octave(halvings, hop_length, np.ascontiguousarray(parts, np.float32))
            if hop_length % 2 == 0:
                halvings, hop_length = halvings + 1, hop_length // 2

    def _kernel(self, bins_hz: Float64, rate_hz: float) -> NDArray[np.complex128]:
        """Return what a frame is multiplied with, (n_window, n_filters) complex128.

        librosa multiplies the half spectrum of the frame with a sparse half spectrum of
        the wavelet. Both are linear: the transform of the latter does it in one step.
        """
        lengths = self._lengths(bins_hz, rate_hz)
        n_window = 2 ** math.ceil(math.log2(lengths.max()))
        waves = [
            _wavelet(frequency, length, rate_hz, n_window)
            for frequency, length in zip(bins_hz, lengths, strict=True)
        ]
        scale = lengths[:, None] / n_window
        half = np.fft.fft(waves, axis=1)[:, : n_window // 2 + 1] * scale
        return np.fft.fft(_sparse(half), n=n_window, axis=1).T

    def _lengths(self, bins_hz: Float64, rate_hz: float) -> Float64:
        """Return how many samples each wavelet has, (n_filters,), not rounded."""
        return rate_hz / (_BANDWIDTH * bins_hz + self._gamma_hz)


class Halvings:
    """A recording at its rate, a half, a quarter ...: each made when it is first asked for.

    Parameters
    ----------
    samples : (n_samples,) float32, not changed.
    """

    def __init__(self, samples: Float32) -> None:
        self._samples = samples
        self._made: dict[tuple[int, int], Float32] = {}

    def at(self, halvings: int, first: int) -> Float32:
        """Return the samples after `halvings`, the first `first` of them in one step.

        Each halving keeps the energy, so samples grow by the root of two. One step or
        several is not the same to the last bit, and librosa begins with one.
        """
        if halvings == 0:
            return self._samples
        key = (halvings, first)
        if key not in self._made:
            single = halvings <= first
            source = self._samples if single else self.at(halvings - 1, first)
            self._made[key] = _resampled(source, 2**halvings if single else 2)
        return self._made[key]


@lru_cache(maxsize=8)
def plan(rate_hz: int, hop_length: int, kind: Kind) -> Plan:
    """Return the plan for recordings of this rate, made at the first call."""
    return Plan(rate_hz, hop_length, kind)


def log_spectrum(halved: Halvings, rate_hz: int, hop_length: int, kind: Kind) -> LogSpectrum:
    """Return the magnitudes of a recording over semitones."""
    chosen = plan(rate_hz, hop_length, kind)
    magnitude = np.abs(chosen.transform(halved))
    return LogSpectrum(magnitude, chosen.bins_hz, hop_length / rate_hz)


def _resampled(samples: Float32, factor: int) -> Float32:
    n_samples = -(-samples.size // factor)
    slower = soxr.resample(samples, factor, 1, quality="HQ")[:n_samples]
    padded = np.zeros(n_samples, np.float32)
    padded[: slower.size] = slower
    padded *= np.float32(math.sqrt(factor))
    return padded


def _wavelet(
    frequency_hz: float, length: float, rate_hz: float, n_window: int
) -> NDArray[np.complex128]:
    """Return a windowed oscillation, of unit sum, in the middle of `n_window` samples."""
    index = np.arange(-length // 2, length // 2)
    wave = hann(index.size).astype(np.float64) * np.exp(2j * np.pi * frequency_hz / rate_hz * index)
    padded = np.zeros(n_window, np.complex128)
    start = (n_window - index.size) // 2
    padded[start : start + index.size] = wave / np.abs(wave).sum()
    return padded


def _sparse(spectra: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Set to zero the faintest bins of each row that hold 1 % of its magnitude."""
    magnitude = np.abs(spectra)
    rising = np.sort(magnitude, axis=1)
    share = np.cumsum(rising, axis=1) / magnitude.sum(axis=1, keepdims=True)
    first = np.argmin(share < _SPARSITY, axis=1)
    least = np.take_along_axis(rising, first[:, None], axis=1)
    return np.where(magnitude >= least, spectra, 0.0)


def _fitting_octaves(rate_hz: int, gamma_hz: float) -> int:
    octaves = range(_OCTAVES, 0, -1)
    fitting = (n for n in octaves if _cutoff_hz(n, gamma_hz) <= rate_hz / 2.0)
    return next(fitting, 1)


def _cutoff_hz(n_octaves: int, gamma_hz: float) -> float:
    """Return how far up the highest wavelet reaches."""
    highest_hz: float = LOWEST_HZ * 2.0 ** (n_octaves - 1 / BINS_PER_OCTAVE)
    return highest_hz * (1.0 + 0.5 * _HANN_BANDWIDTH * _BANDWIDTH) + 0.5 * gamma_hz


def _spare_halvings(rate_hz: int, cutoff_hz: float, hop_length: int, n_octaves: int) -> int:
    """Return how often the rate may be halved before the first octave, as librosa does."""
    by_rate = math.ceil(math.log2(rate_hz / 2.0 / cutoff_hz)) - 2
    twos = (hop_length & -hop_length).bit_length() - 1
    return max(0, min(by_rate, twos - n_octaves + 1))
