# SPDX-License-Identifier: MIT
"""Recursive filters as matrix products: second-order sections over whole batches, in NumPy.

A cascade of sections is a linear system with a small state z. Over a block of L
samples it is y = x T + z O and z' = x B + z M, with M = A**L. A batch of many blocks
takes one product for all state inputs x B, a few small ones that carry the states
from block to block, and one for all outputs: no Python loop over samples, the same
cost for one section and for six.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

# Samples per block. The products cost L per sample, the carrying of states 1/L.
BLOCK_SAMPLES: Final = 32

# Blocks whose states are carried in one product: its cost per block grows with them, the
# number of products falls. Run once in 100 ms, code is cold, and calls are what it costs.
_GROUP_BLOCKS: Final = 8

# A state of less energy is silence: far under float32's own noise, and it would reach the
# denormal numbers (some 100 times slower) within seconds.
_SILENT_ENERGY: Final = 1e-60


class FilterBank:
    """Cascades of second-order sections side by side on one input, their states kept between calls.

    Any cut of the same samples gives the same output, and both agree with the same
    sections run in float64, within -100 dB of the larger of input and output. The state
    is carried in float64: nothing drifts. Samples must be finite (`convert` sees to it);
    should one not be, the output of that call is void and the filter restarts after it.

    Parameters
    ----------
    sos : (n_bands, n_sections, 6) float64, rows b0 b1 b2 a0 a1 a2, stable. A row of zeros
        is no section: bands may have different numbers of them.
    max_samples : the longest `x` of one call.

    Raises `ValueError` on another shape, on a zero a0 or an unstable section.
    """

    def __init__(self, sos: Float64, max_samples: int) -> None:
        cascades = [_cascade(_checked_sections(one[one.any(axis=1)])) for one in sos]
        most = max(len(b) for _, b, *_ in cascades)
        bands = [_padded(*one, most) for one in cascades]
        if max_samples < 1:
            raise ValueError(f"max_samples must be 1 or more, not {max_samples}")
        self.max_samples = max_samples
        n_bands, n_states = len(bands), len(bands[0][1])
        rows = -(-max_samples // BLOCK_SAMPLES)
        powers = [_powers(a, BLOCK_SAMPLES) for a, *_ in bands]
        self._powers = np.array([one.transpose(0, 2, 1) for one in powers])
        self._settled = np.array([np.linalg.solve(np.eye(n_states) - a, b) for a, b, *_ in bands])
        control = [
            (p[:BLOCK_SAMPLES] @ b)[::-1] for p, (_, b, *_) in zip(powers, bands, strict=True)
        ]
        self._control = np.array(control, np.float32)
        self._output = np.array(
            [_output_matrix(p, *one[1:]) for p, one in zip(powers, bands, strict=True)]
        )
        self._carrier = _Carrier(self._powers[:, BLOCK_SAMPLES], rows)
        self._state = np.zeros((n_bands, n_states))
        self._blocks = np.zeros((n_bands, rows, BLOCK_SAMPLES + n_states), np.float32)
        self._inputs = np.empty((n_bands, rows, n_states), np.float32)
        self._filtered = np.empty((n_bands, rows, BLOCK_SAMPLES), np.float32)

    def reset(self, settled_at: float = 0.0) -> None:
        """Forget the past; start as if the input had been `settled_at` for ever.

        With the mean of the first samples a high-pass starts without the click that a
        microphone's DC offset would make.
        """
        self._state[:] = self._settled * settled_at

    def process(self, x: Float32) -> Float32:
        """Return what each band makes of the samples, (n_bands, n_samples) float32.

        The array is the bank's own and holds until the next call. Allocates nothing that
        grows with n; some 10 us and, for each band, 0.5 ns per sample. Raises `ValueError`
        for more than `max_samples`.

        Parameters
        ----------
        x : (n_samples,) float32, n_samples from 0 to `max_samples`; only read.
        """
        n_samples = x.size
        if n_samples > self.max_samples:
            raise ValueError(f"x has {n_samples} samples, more than max_samples={self.max_samples}")
        if n_samples == 0:
            return self._filtered[:, 0, :0]
        full, tail = divmod(n_samples, BLOCK_SAMPLES)
        rows = full + (tail > 0)
        blocks = self._blocks[:, :rows]
        inside = blocks[:, :, :BLOCK_SAMPLES]
        inside[:, :full] = x[: n_samples - tail].reshape(full, BLOCK_SAMPLES)
        if tail:
            inside[:, full, :tail] = x[n_samples - tail :]
            inside[:, full, tail:] = 0.0
        inputs = np.matmul(inside, self._control, out=self._inputs[:, :rows])
        states = self._carrier.carry(inputs, self._state)
        blocks[:, :, BLOCK_SAMPLES:] = states[:, :rows]
        filtered = self._filtered[:, :rows]
        np.matmul(blocks, self._output, out=filtered)
        end = states[:, rows]
        if tail:
            rest = inside[:, full, None, :tail] @ self._control[:, BLOCK_SAMPLES - tail :]
            end = (states[:, full, None] @ self._powers[:, tail] + rest)[:, 0]
        self._keep(end)
        return self._filtered.reshape(len(filtered), -1)[:, :n_samples]

    def _keep(self, states: Float64) -> None:
        """Keep the states, or fresh ones where they died away or aren't finite."""
        energy = np.vecdot(states, states)
        alive = (energy > _SILENT_ENERGY) & (energy < np.inf)
        np.copyto(self._state, 0.0)
        np.copyto(self._state, states, where=alive[:, None])


class BlockFilter:
    """One cascade: a `FilterBank` of one band.

    Parameters
    ----------
    sos : (n_sections, 6) float64; no section: the identity.
    max_samples : the longest `x` of one call.

    Raises `ValueError` on another shape, on a zero a0 or an unstable section.
    """

    def __init__(self, sos: Float64, max_samples: int) -> None:
        sections = _checked_sections(sos)
        self._bank = FilterBank(sections[None], max_samples) if len(sections) else None
        self.max_samples = max_samples

    def reset(self, settled_at: float = 0.0) -> None:
        """Forget the past, as `FilterBank.reset`."""
        if self._bank:
            self._bank.reset(settled_at)

    def process(self, x: Float32) -> Float32:
        """Return the filtered samples, (n_samples,) float32, valid until the next call.

        Without sections that is `x` itself; else as `FilterBank.process`.
        """
        return self._bank.process(x)[0] if self._bank else x


class _Carrier:
    """Carries the state from block to block: z[k + 1] = z[k] M + u[k], without a loop over k.

    Within a group of blocks all states are one product; the groups' ends are carried in the
    same way, as blocks of a coarser step.
    """

    def __init__(self, propagate: Float64, rows: int) -> None:
        n_bands, n_states, _ = propagate.shape
        groups = -(-rows // _GROUP_BLOCKS)
        powers = np.array([_powers(one, _GROUP_BLOCKS) for one in propagate])
        self._onward = np.concatenate(list(powers[:, 1:].swapaxes(0, 1)), axis=2)
        within = np.zeros((n_bands, _GROUP_BLOCKS, n_states, _GROUP_BLOCKS, n_states))
        for k in range(_GROUP_BLOCKS):
            within[:, k, :, k:] = powers[:, : _GROUP_BLOCKS - k].swapaxes(1, 2)
        width = _GROUP_BLOCKS * n_states
        self._within: Float64 = within.reshape(n_bands, width, width)
        self._inputs = np.zeros((n_bands, groups * _GROUP_BLOCKS, n_states))
        self._states = np.zeros((n_bands, groups * _GROUP_BLOCKS + 1, n_states))
        self._coarser = _Carrier(powers[:, -1], groups - 1) if groups > 1 else None

    def carry(self, inputs: NDArray[np.floating], state: Float64) -> Float64:
        """Return the states before each block and after the last, valid until the next call.

        Parameters
        ----------
        inputs : (n_bands, rows, n_states), what each block adds to the state.
        state : (n_bands, n_states), before the first.
        """
        n_bands, rows, n_states = inputs.shape
        groups = -(-rows // _GROUP_BLOCKS)
        padded = groups * _GROUP_BLOCKS
        self._inputs[:, :rows] = inputs
        self._inputs[:, rows:padded] = 0.0
        states = self._states[:, : padded + 1]
        states[:, 0] = state
        by_group = states[:, 1:].reshape(n_bands, groups, -1)
        grouped = self._inputs[:, :padded].reshape(n_bands, groups, -1)
        np.matmul(grouped, self._within, out=by_group)
        by_group += self._starts(by_group[:, :-1, -n_states:], state) @ self._onward
        return states

    def _starts(self, ends: Float64, state: Float64) -> Float64:
        """Return the state before each group, (n_bands, groups, n_states)."""
        if self._coarser is None or ends.shape[1] == 0:
            return state[:, None]
        return self._coarser.carry(ends, state)[:, : ends.shape[1] + 1]


def filter_samples(sos: Float64, x: Float32) -> Float32:
    """Filter a whole recording from rest: the pure twin of `BlockFilter`.

    Parameters
    ----------
    sos : (n_sections, 6) float64.
    x : (n_samples,) float32; returned itself when there is no section.
    """
    return BlockFilter(sos, max(x.size, 1)).process(x)


def _checked_sections(sos: Float64) -> Float64:
    sections = np.asarray(sos, np.float64)
    if sections.ndim != 2 or sections.shape[1] != 6:
        raise ValueError(f"sos must be (n_sections, 6), not {sections.shape}")
    if not np.isfinite(sections).all() or not sections[:, 3].all():
        raise ValueError("sos must be finite with a0 other than 0")
    sections = sections / sections[:, 3:4]
    a1, a2 = sections[:, 4], sections[:, 5]
    # The triangle of stability of a second-order section.
    if not ((np.abs(a2) < 1.0) & (np.abs(a1) < 1.0 + a2)).all():
        raise ValueError("sos has an unstable section: a pole on or outside the unit circle")
    return sections


def _section(row: Float64) -> tuple[Float64, Float64, Float64, float]:
    """State space of one section, its state scaled to what it will sound like.

    In the transposed direct form II two large states cancel at low frequencies. Here the
    state's two directions have orthonormal responses over one block, so that float32
    products lose nothing.
    """
    b0, b1, b2, _, a1, a2 = row.tolist()
    a = np.array([[-a1, 1.0], [-a2, 0.0]])
    b = np.array([b1 - a1 * b0, b2 - a2 * b0])
    response = _powers(a, BLOCK_SAMPLES)[:BLOCK_SAMPLES, 0, :]
    scale = np.linalg.qr(response, mode="r")
    unscale = np.linalg.inv(scale)
    return scale @ a @ unscale, scale @ b, unscale[0], b0


def _cascade(sections: Float64) -> tuple[Float64, Float64, Float64, float]:
    """State space z' = a z + b x, y = c z + d x of all sections, one after the other."""
    a, b, c, d = np.zeros((0, 0)), np.zeros(0), np.zeros(0), 1.0
    for row in sections:
        a2, b2, c2, d2 = _section(row)
        a = np.block([[a, np.zeros((len(a), 2))], [np.outer(b2, c), a2]])
        b, c, d = np.append(b, b2 * d), np.append(d2 * c, c2), d2 * d
    return a, b, c, d


def _padded(
    a: Float64, b: Float64, c: Float64, d: float, n_states: int
) -> tuple[Float64, Float64, Float64, float]:
    """Return the same system with states that stay zero, so that banks are of one size."""
    more = (0, n_states - len(b))
    return np.pad(a, more), np.pad(b, more), np.pad(c, more), d


def _powers(a: Float64, n: int) -> Float64:
    """Return a**0 to a**n, (n + 1, n_states, n_states)."""
    powers = np.empty((n + 1, *a.shape))
    powers[0] = np.eye(len(a))
    for k in range(n):
        powers[k + 1] = powers[k] @ a
    return powers


def _output_matrix(powers: Float64, b: Float64, c: Float64, d: float) -> Float32:
    """Return T over O, (block + n_states, block): from samples and state to output."""
    observe = c @ powers[:BLOCK_SAMPLES]
    impulse = np.append(d, observe[:-1] @ b)
    lag = np.arange(BLOCK_SAMPLES) - np.arange(BLOCK_SAMPLES)[:, None]
    response = np.where(lag >= 0, impulse[np.maximum(lag, 0)], 0.0)
    return np.vstack([response, observe.T]).astype(np.float32)
