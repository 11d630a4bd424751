# SPDX-License-Identifier: MIT
"""The mel scale: triangular bands over the bins of an FFT."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge.dsp.spec import check_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.dsp.spec import LogMelSpec

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]


def mel_filterbank(spec: LogMelSpec) -> Float32:
    """Return the triangles as a matrix, (n_fft // 2 + 1, n_mels) float32.

    Straight over Hz they are librosa's `filters.mel` (transposed), straight over mel
    TensorFlow's and Kaldi's. Bands narrower than a bin may be empty.

    Source: M. Slaney, Auditory Toolbox (1998), for "slaney" scale and norm; HTK Book 5.4
    for "htk".
    """
    check_spec(spec)
    bins_hz = np.arange(spec.n_fft // 2 + 1, dtype=np.float64) * (spec.rate_hz / spec.n_fft)
    limits = _mel(np.array([spec.fmin_hz, spec.fmax_hz]), spec)
    edges = np.linspace(limits[0], limits[1], spec.n_mels + 2, dtype=np.float64)
    edges_hz = _hz(edges, spec)
    if spec.mel_triangles == "hz":
        axis, corners = bins_hz[:, None], edges_hz
    else:
        axis, corners = _mel(bins_hz, spec)[:, None], edges
    width = np.diff(corners)
    rising = (axis - corners[:-2]) / width[:-1]
    falling = (corners[2:] - axis) / width[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    if spec.mel_norm == "slaney":
        triangles *= 2.0 / (edges_hz[2:] - edges_hz[:-2])
    return triangles.astype(np.float32)


def band_products(mel: Float32) -> list[tuple[slice, slice, Float32]]:
    """Cut the matrix in a lower and an upper half of the bands, each with the bins it needs.

    A band is a few bins wide: half of the full product would multiply by zero.
    """
    products = []
    middle = (mel.shape[1] + 1) // 2
    for bands in (slice(0, middle), slice(middle, mel.shape[1])):
        used = np.flatnonzero(mel[:, bands].any(axis=1))
        bins = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
        products.append((bins, bands, np.ascontiguousarray(mel[bins, bands])))
    return products


def _mel(hz: Float64, spec: LogMelSpec) -> Float64:
    if spec.mel_scale == "htk":
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    # Slaney: 15 mel at 1 kHz, linear below it; above, 27 mel for a factor of 6.4.
    logarithmic = 15.0 + np.log(np.maximum(hz, 1000.0) / 1000.0) * (27.0 / math.log(6.4))
    return np.where(hz < 1000.0, hz * (3.0 / 200.0), logarithmic)


def _hz(mel: Float64, spec: LogMelSpec) -> Float64:
    if spec.mel_scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    exponential = 1000.0 * np.exp((mel - 15.0) * (math.log(6.4) / 27.0))
    return np.where(mel < 15.0, mel * (200.0 / 3.0), exponential)
