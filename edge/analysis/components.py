# SPDX-License-Identifier: MIT
"""A spectrum as the sum of a few spectra, each with its own loudness over time (NMF).

Source: A. Cichocki, A.-H. Phan, "Fast local algorithms for large scale nonnegative matrix
and tensor factorizations", IEICE Trans. E92-A (2009), for the updates; N. Gillis,
F. Glineur, "Accelerated multiplicative updates and hierarchical ALS algorithms for
nonnegative matrix factorization", Neural Computation 24 (2012), for repeating them;
A. Ang, N. Gillis, "Accelerating nonnegative matrix factorization algorithms using
extrapolation", Neural Computation 31 (2019), for going beyond each step;
C. Boutsidis, E. Gallopoulos, "SVD based initialization", Pattern Recognition 41 (2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.analysis.spectrum import istft

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.analysis.spectrum import Complex64, Float32, Geometry

_ITERATIONS: Final = 60
_SWEEPS: Final = 2  # over the small matrices, for each pass over the large one
_STRIDE: Final = 0.2  # how far beyond each step the next one starts, of the step
_TOLERANCE: Final = 2e-6  # of the energy: a step that wins less is the last
_OVERSAMPLING: Final = 6
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Component:
    """One sound that comes and goes.

    `spectrum` is (n_bins,) float32 of sum 1, `activation` (n_frames,) float32 the sum of
    magnitudes that it has in each frame. `share` is its part of the energy of all
    components, taken one by one; they are ordered by it. `sound` is what of the recording is
    its, (n_samples,) float32, where stems were asked for.
    """

    spectrum: Float32
    activation: Float32
    share: float
    peak_hz: float
    centroid_hz: float
    sound: Float32 | None = None


def find_components(
    magnitude: Float32, shape: Geometry, n_components: int
) -> tuple[Component, ...]:
    """Take a spectrum, (n_frames, n_bins) float32, apart; fewer or none where it is too plain."""
    if not magnitude.any():
        return ()
    activations, spectra = factorise(magnitude, min(n_components, *magnitude.shape))
    sums = spectra.sum(axis=1)
    # In float64: of an absurdly loud recording the squares are beyond float32.
    powers = (np.square(one, dtype=np.float64).sum(axis=1) for one in (activations, spectra))
    energy = np.prod(list(powers), axis=0)
    order = [k for k in np.argsort(-energy) if energy[k] > 0.0]
    bins_hz, total = shape.bins_hz, float(energy.sum())
    return tuple(
        Component(
            spectrum=spectra[k] / sums[k],
            activation=activations[k] * sums[k],
            share=float(energy[k]) / total,
            peak_hz=float(bins_hz[spectra[k].argmax()]),
            centroid_hz=float(bins_hz @ spectra[k] / sums[k]),
        )
        for k in order
    )


def with_sounds(
    components: tuple[Component, ...], spectrum: Complex64, shape: Geometry, n_samples: int
) -> tuple[Component, ...]:
    """Return components with their sounds, which add up to the recording.

    Each bin goes to the components in proportion to the magnitude that they have there.
    Source: T. Virtanen, "Monaural sound source separation by nonnegative matrix factorization",
    IEEE Trans. ASLP 15 (2007).
    """
    if not components:
        return ()
    # Where no component has anything, all are as near: shares still sum to 1.
    tiny = np.float32(_TINY)
    left = np.stack([one.activation for one in components])
    right = np.stack([one.spectrum for one in components])
    total = left.T @ right + tiny * len(components)
    sounds = (
        istft(spectrum * ((np.outer(a, s) + tiny) / total), shape, n_samples)
        for a, s in zip(left, right, strict=True)
    )
    return tuple(replace(one, sound=sound) for one, sound in zip(components, sounds, strict=True))


def factorise(values: Float32, rank: int) -> tuple[Float32, Float32]:
    """Return `left` (rank, n_rows) and `right` (rank, n_columns): left.T @ right is near values.

    Neither is negative; the same values give the same factors. Up to a rank of four the
    error is within 1 % of that of scikit-learn's `NMF`; above, the two may settle apart.

    Parameters
    ----------
    values : (n_rows, n_columns) float32, not negative, not all zero.
    rank : 1 to the shorter side.
    """
    # Powers of a faint recording would vanish in float32, of an absurd one overflow.
    peak = values.max()
    values = values / peak
    left, right = best = _start(values, rank)
    ahead, stride = right, _STRIDE
    energy, error = float(np.vdot(values, values)), math.inf
    for _ in range(_ITERATIONS):
        last_left, last_right, last_error = left, right, error
        left = _improved(left, (values @ ahead.T).T, ahead @ ahead.T)
        beyond = _beyond(last_left, left, stride)
        product, gram = beyond @ values, beyond @ beyond.T
        right = _improved(ahead, product, gram)
        model = float(np.vdot(gram, right @ right.T))
        error = energy - 2.0 * float(np.vdot(right, product)) + model
        if error > last_error:
            # Too far: on from here, in smaller strides.
            ahead, stride = right, stride / 2.0
            continue
        best = (beyond, right)
        if last_error - error <= _TOLERANCE * energy:
            break
        ahead, stride = _beyond(last_right, right, stride), min(1.0, 1.1 * stride)
    return best[0] * peak, best[1]


def _beyond(last: Float32, now: Float32, stride: float) -> Float32:
    return np.maximum(now + np.float32(stride) * (now - last), np.float32(0.0))


def _improved(factor: Float32, product: Float32, gram: Float32) -> Float32:
    """Return `factor` with each row moved to the best that isn't negative, the others held."""
    better = factor.copy()
    for _ in range(_SWEEPS):
        for k in range(len(better)):
            if gram[k, k] > _TINY:
                better[k] += (product[k] - gram[k] @ better) / gram[k, k]
                np.maximum(better[k], 0.0, out=better[k])
    return better


def _start(values: Float32, rank: int) -> tuple[Float32, Float32]:
    """Return the positive parts of the leading singular vectors (NNDSVD, zeros filled)."""
    left, scale, right = _leading(values, rank)
    rows, columns = (
        np.empty((rank, len(values)), np.float32),
        np.empty((rank, values.shape[1]), np.float32),
    )
    filler = np.float32(values.mean() / 100.0)
    for k in range(rank):
        sides = [(np.maximum(s * left[:, k], 0.0), np.maximum(s * right[k], 0.0)) for s in (1, -1)]
        weights = [np.linalg.norm(u) * np.linalg.norm(v) for u, v in sides]
        u, v = sides[int(np.argmax(weights))]
        root = np.sqrt(scale[k] * max(weights))
        rows[k] = np.maximum(root * u / max(np.linalg.norm(u), _TINY), filler)
        columns[k] = np.maximum(root * v / max(np.linalg.norm(v), _TINY), filler)
    return rows, columns


def _leading(values: Float32, rank: int) -> tuple[Float32, Float32, Float32]:
    """Return the leading singular vectors seen from a few fixed directions.

    Source: N. Halko, P. Martinsson, J. Tropp, "Finding structure with randomness", SIAM
    Review 53 (2011), with one power iteration: a start needs no more.
    """
    width = min(rank + _OVERSAMPLING, *values.shape)
    probe = np.random.default_rng(0).standard_normal((values.shape[1], width), np.float32)
    basis: NDArray[np.float32] = np.linalg.qr(values @ (values.T @ (values @ probe)))[0]
    left, scale, right = np.linalg.svd(basis.T @ values, full_matrices=False)
    return basis @ left, scale, right
