# SPDX-License-Identifier: MIT
"""Two ways to learn the path from a reference to a signal, block by block.

Sources: S. Haykin, "Adaptive Filter Theory", 4th ed., 6 (NLMS) and 7 (blocks, frequency
domain); J. Soo and K. Pang, "Multidelay block frequency domain adaptive filter", IEEE Trans.
ASSP 38(2), 1990; T. Gänsler et al., "Double-talk robust fast converging algorithms for network
echo cancellation", IEEE Trans. SAP 8(6), 2000, for the guard.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.dsp.clean_spec import AdaptiveSpec

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    Complex64 = NDArray[np.complex64]

_NLMS_BLOCK: Final = 32
# Power of a reference that says nothing, per sample: -140 dBFS. Under it nothing is learnt.
_SILENCE: Final = 1e-14
# The guard's notion of a usual error follows in this time.
_USUAL_S: Final = 0.3
_LEAST_USUAL: Final = 1e-3  # of the reference, so that a perfect past doesn't end the learning
_POWER_S: Final = 0.1  # over which a bin's power of the reference is averaged


class Engine(Protocol):
    """What learns."""

    block: int
    """Samples that are worked on at a time."""

    def process(self, x: Float32, reference: Float32) -> Float32:
        """Return one block without what its reference foretells; valid until the next."""

    def reset(self) -> None:
        """Forget everything."""


class Guard:
    """How much of an error may be learnt from, 0 to 1 (double talk).

    What counts is the error relative to the reference, which is the same when the source
    starts or grows louder. One well over the usual is another sound: it counts as if it were
    `times` the usual one, both in what is learnt and in what is usual from then on. So a path
    that has really changed is learnt all the same, a little later.
    """

    def __init__(self, times: float, block_s: float) -> None:
        self._times = times
        self._following = 1.0 - math.exp(-block_s / _USUAL_S)
        self.reset()

    def reset(self) -> None:
        """Forget what is usual."""
        self._usual = -1.0

    def trust(self, error_power: float, reference_power: float) -> float:
        """Return the factor for the step, by the powers of a block, per sample or bin."""
        error = math.sqrt(error_power / (reference_power + _SILENCE))
        if self._usual < 0.0:
            self._usual = error
        most = self._times * max(self._usual, _LEAST_USUAL)
        self._usual += self._following * (min(error, most) - self._usual)
        return 1.0 if error <= most else most / error


class NlmsEngine:
    """Normalised least mean squares, sample by sample in effect, 32 samples at a time in work.

    Within a block the weights move after each sample, so each error depends on those before
    it: linearly, by the products of their reference windows. Solving that lower triangular
    system gives the errors that the loop over samples would give, to rounding; only the
    guard and the leakage are the same for the whole block.

    Keeps n_taps weights and samples. Cost: three products of (32, n_taps) with a vector and one
    solution of 32 equations per block.
    """

    block = _NLMS_BLOCK

    def __init__(self, spec: AdaptiveSpec, rate_hz: int) -> None:
        n_taps = max(round(spec.length_s * rate_hz), 1)
        self._n_taps = n_taps
        self._step = spec.step
        block_s = self.block / rate_hz
        self._kept = (1.0 - spec.leakage_per_s) ** block_s
        self._guard = Guard(spec.guard, block_s)
        self._weights = np.zeros(n_taps, np.float32)
        self._past = np.zeros(n_taps - 1 + self.block, np.float32)
        stride = self._past.itemsize
        self._overlapping = as_strided(
            self._past, (self.block, n_taps), (stride, stride), writeable=False
        )
        self._windows = np.empty((self.block, n_taps), np.float32)
        self._by_lag = np.empty((self.block, self.block))
        self._system = np.empty((self.block, self.block))
        # Samples that windows gain and lose, by how far two windows are apart.
        self._moved = np.zeros((2, 2 * self.block), np.float64)
        step = self._moved.itemsize
        self._apart = as_strided(
            self._moved,
            (2, self.block, self.block - 1),
            (2 * self.block * step, step, step),
            writeable=False,
        )
        rows, columns = np.indices((self.block, self.block))
        self._lag, self._first = np.abs(rows - columns), np.minimum(rows, columns)
        self._earlier = np.tri(self.block, k=-1)
        self._itself = np.eye(self.block)
        self._error = np.empty(self.block, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._guard.reset()
        self._weights[:] = 0.0
        self._past[:] = 0.0

    def process(self, x: Float32, reference: Float32) -> Float32:
        """Return one block without what its reference foretells."""
        self._past[: -self.block] = self._past[self.block :].copy()
        self._past[-self.block :] = reference
        self._windows[:] = self._overlapping  # BLAS takes no overlapping rows
        before = x - self._windows @ self._weights
        products = self._window_products()
        powers = products.diagonal() + self._n_taps * _SILENCE
        trust = self._guard.trust(
            float(np.dot(before, before)) / self.block, float(powers.mean()) / self._n_taps
        )
        # Column j: how far what is learnt from error j moves the later errors.
        system = np.multiply(products, self._step * trust / powers, out=self._system)
        system *= self._earlier
        system += self._itself
        error = np.linalg.solve(system, before)
        self._weights *= np.float32(self._kept)
        learnt = (self._step * trust) * error / powers
        self._weights += learnt.astype(np.float32) @ self._windows
        self._error[:] = error
        return self._error

    def _window_products(self) -> Float64:
        """Return the products of every two windows, (32, 32).

        Those of the first window are summed; from one pair to the next pair as far apart, one
        product of samples comes in at the end and one leaves at the beginning.
        """
        self._moved[0, : self.block - 1] = self._past[self._n_taps :]
        self._moved[1, : self.block - 1] = self._past[: self.block - 1]
        gained, lost = self._apart * self._apart[:, :1]
        by_lag = self._by_lag
        # In float64: of a loud sound that has left the window not even rounding may remain.
        past = self._past.astype(np.float64)
        by_lag[:, 0] = np.correlate(past, past[: self._n_taps], "valid")
        np.subtract(gained, lost, out=by_lag[:, 1:])
        np.cumsum(by_lag, axis=1, out=by_lag)
        products: Float64 = by_lag[self._lag, self._first]
        return products


class FrequencyEngine:
    """Partitioned-block frequency-domain adaptive filter: overlap-save, constrained.

    The path's first block of taps is one partition, the next another; each bin of each learns
    by its own reference power, so a coloured reference is learnt as quickly as a white one.
    The step is for the power of all partitions together.

    Keeps n_partitions spectra of weights and of the reference. Cost: 2 n_partitions + 5 FFTs
    of two blocks, the constraint's together.
    """

    def __init__(self, spec: AdaptiveSpec, rate_hz: int) -> None:
        self.block = _quick(max(round(spec.block_s * rate_hz), 8))
        block_s = self.block / rate_hz
        n_partitions = max(math.ceil(round(spec.length_s * rate_hz) / self.block), 1)
        n_bins = self.block + 1
        self._step = spec.step
        self._kept = np.float32((1.0 - spec.leakage_per_s) ** block_s)
        self._guard = Guard(spec.guard, block_s)
        self._averaging = np.float32(math.exp(-block_s / _POWER_S))
        self._weights = np.zeros((n_partitions, n_bins), np.complex64)
        self._spectra = np.zeros((n_partitions, n_bins), np.complex64)
        self._power = np.zeros(n_bins, np.float32)
        self._two = np.zeros(2 * self.block, np.float32)
        self._padded = np.zeros(2 * self.block, np.float32)
        self._taps = np.empty((n_partitions, 2 * self.block), np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._guard.reset()
        for state in (self._weights, self._spectra, self._power, self._two):
            state[:] = 0.0

    def process(self, x: Float32, reference: Float32) -> Float32:
        """Return one block without what its reference foretells."""
        self._hear(reference)
        block = self.block
        foretold = np.fft.irfft(
            (self._weights * self._spectra).sum(axis=0), 2 * block, norm="forward"
        )
        error = self._padded[block:]
        np.subtract(x, foretold[block:], out=error)
        # Parseval's: each bin but two stands for two, of spectra scaled by their length.
        heard = 2.0 * float(self._power.sum(dtype=np.float64)) / len(self._spectra)
        self._learn(self._guard.trust(float(np.dot(error, error)) / block, heard))
        return error

    def _hear(self, reference: Float32) -> None:
        """Move the spectra on by one block, and average the power of each bin."""
        self._two[: self.block] = self._two[self.block :]
        self._two[self.block :] = reference
        self._spectra[1:] = self._spectra[:-1].copy()
        np.fft.rfft(self._two, norm="forward", out=self._spectra[0])
        now = np.square(self._spectra.real).sum(axis=0)
        now += np.square(self._spectra.imag).sum(axis=0)
        # Never under what is in the filter now: a reference grown louder can't overshoot.
        self._power *= self._averaging
        self._power += (1 - self._averaging) * now
        np.maximum(self._power, now, out=self._power)

    def _learn(self, trust: float) -> None:
        block = self.block
        error = np.fft.rfft(self._padded, norm="forward")
        error *= np.float32(self._step * trust) / (self._power + np.float32(_SILENCE))
        self._weights *= self._kept
        self._weights += self._spectra.conj() * error
        # Constrained: of each partition's taps only the first block is linear convolution.
        taps, weights = self._taps, self._weights
        np.fft.irfft(weights, 2 * block, norm="forward", out=taps)  # type: ignore[arg-type] # it may
        taps[:, block:] = 0.0
        np.fft.rfft(taps, norm="forward", out=weights)  # type: ignore[arg-type] # as above


def _quick(n: int) -> int:
    """Return the largest n' <= n of 2, 3 and 5 alone, for which an FFT is quick."""
    while True:
        rest = n
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
        n -= 1
