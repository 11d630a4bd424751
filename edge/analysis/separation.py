# SPDX-License-Identifier: MIT
"""Harmonic and percussive sound told apart by medians over time and over frequency.

Source: D. Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx-10
(2010); J. Driedger, M. Müller, S. Disch, "Extending harmonic-percussive separation of
audio", ISMIR (2014), for the residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from edge.analysis.median import running_median
from edge.analysis.spectrum import geometry, istft, stft

if TYPE_CHECKING:
    from edge.analysis.spectrum import Complex64, Float32, Float64, Geometry

# A bin is harmonic or percussive where one median is twice the other; between, residual.
MARGIN: Final = 2.0
_FLOOR_POWER: Final = 1e-10  # -100 dB, librosa's floor


@dataclass(frozen=True, slots=True)
class Separation:
    """Where the energy is; the shares sum to 1 and are None in silence.

    `harmonic_dbfs` and `percussive_dbfs` are (n_frames,) float32, -100 or more. The
    stems, (n_samples,) float32, sum to the recording; None unless they were asked for.
    """

    harmonic_share: float | None
    percussive_share: float | None
    residual_share: float | None
    harmonic_dbfs: Float32
    percussive_dbfs: Float32
    harmonic: Float32 | None
    percussive: Float32 | None


class Medians(NamedTuple):
    """The medians of 31 frames and of 31 bins around each, (n_frames, n_bins) float32."""

    harmonic: Float32
    percussive: Float32


def hpss(samples: Float32, rate_hz: int) -> tuple[Float32, Float32]:
    """Return the harmonic and the percussive part, each (n_samples,) float32.

    Within 1e-5 of `librosa.effects.hpss` at 16 to 31 kHz, where the window is the same.
    """
    shape = geometry(rate_hz)
    spectrum = stft(samples, shape)
    ratio = contrast(medians(np.abs(spectrum)))
    return stems(samples, spectrum, ratio, shape)


def medians(magnitude: Float32) -> Medians:
    """Return both medians of a spectrum, equal to the bit to `scipy.ndimage.median_filter`'s."""
    over_bins = running_median(np.ascontiguousarray(magnitude.T))
    return Medians(running_median(magnitude), np.ascontiguousarray(over_bins.T))


def contrast(pair: Medians) -> Float32:
    """Return the squared ratio of percussive to harmonic median, (n_frames, n_bins) float32.

    0 is all harmonic, infinite all percussive, 1 neither, as where both are nothing.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        ratio = pair.percussive / pair.harmonic
        ratio *= ratio
    ratio[np.isnan(ratio)] = 1.0
    return ratio


def stems(
    samples: Float32, spectrum: Complex64, ratio: Float32, shape: Geometry
) -> tuple[Float32, Float32]:
    """Return the harmonic and the percussive part, each (n_samples,) float32.

    The masks are soft and sum to 1, so what isn't harmonic is percussive: one inverse
    transform serves for both.
    """
    harmonic = istft(spectrum / (1.0 + ratio), shape, samples.size)
    return harmonic, samples - harmonic


def weigh(
    power: Float32, ratio: Float32, shape: Geometry, parts: tuple[Float32, Float32] | None
) -> Separation:
    """Weigh the power of each bin by its masks.

    Parameters
    ----------
    power, ratio : (n_frames, n_bins) float32, `ratio` from `contrast`.
    parts : the stems, kept in the result.
    """
    harmonic = _weighed(power, 1.0 / (1.0 + MARGIN**2 * ratio))
    percussive = _weighed(power, 1.0 - 1.0 / (1.0 + ratio / MARGIN**2))
    energy = float(power.sum(dtype=np.float64))
    first, second = (
        float(part.sum()) / energy if energy > 0.0 else None for part in (harmonic, percussive)
    )
    rest = None if first is None or second is None else max(0.0, 1.0 - first - second)
    return Separation(
        harmonic_share=first,
        percussive_share=second,
        residual_share=rest,
        harmonic_dbfs=_dbfs(harmonic, shape),
        percussive_dbfs=_dbfs(percussive, shape),
        harmonic=parts[0] if parts else None,
        percussive=parts[1] if parts else None,
    )


def _weighed(power: Float32, mask: Float32) -> Float64:
    energy: Float64 = np.vecdot(power, mask).astype(np.float64)
    return energy


def _dbfs(power: Float64, shape: Geometry) -> Float32:
    relative = np.maximum(power / shape.full_scale_power, _FLOOR_POWER)
    return (10.0 * np.log10(relative)).astype(np.float32)
