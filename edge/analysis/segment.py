# SPDX-License-Identifier: MIT
"""One stretch of sound taken apart: every part works on the same spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.analysis.components import find_components, with_sounds
from edge.analysis.constantq import Halvings, log_spectrum
from edge.analysis.figures import describe, measure_levels
from edge.analysis.onset import find_onsets
from edge.analysis.separation import contrast, medians, stems, weigh
from edge.analysis.spectrum import geometry, stft
from edge.analysis.tones import find_tones
from edge.dsp.melbank import band_products, mel_filterbank
from edge.dsp.spec import LogMelSpec

if TYPE_CHECKING:
    from edge.analysis.components import Component
    from edge.analysis.constantq import LogSpectrum
    from edge.analysis.figures import Figures, Levels
    from edge.analysis.onset import Onsets
    from edge.analysis.separation import Separation
    from edge.analysis.spectrum import Float32, Float64, Geometry
    from edge.analysis.tones import Tones

N_MELS: Final = 128
LOWEST_RATE_HZ: Final = 8000
HIGHEST_RATE_HZ: Final = 192000
_LOUDEST: Final = 1e12  # a float file may hold anything; above, powers leave float32
_FLOOR_POWER: Final = 1e-10
_RANGE_DB: Final = 80.0


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for beside what every analysis holds."""

    n_components: int = 4
    n_tones: int = 6
    stems: bool = False
    before: Onsets | None = None
    """The onsets of the stretch before; None: a recording begins here."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What is in one stretch of sound.

    `log_mel` is (n_frames, n_mels) float32 in dB, of bands around `mel_hz` (n_mels,),
    80 dB at most, with frames `hop_s` apart, the first centred on the first sample:
    librosa's `power_to_db(melspectrogram())`. `figures` is None in silence.
    """

    rate_hz: int
    duration_s: float
    hop_s: float
    log_mel: Float32
    mel_hz: Float64
    constant_q: LogSpectrum
    variable_q: LogSpectrum
    separation: Separation
    onsets: Onsets
    components: tuple[Component, ...]
    tones: Tones
    figures: Figures | None
    levels: Levels


def analyse_segment(samples: Float32, rate_hz: int, options: Options) -> Segment:
    """Take up to about a minute of sound apart; needs some 30 times its bytes of memory.

    Parameters
    ----------
    samples : (n_samples,) float32, full scale +-1.0; not changed, not kept.
    rate_hz : 8000 to 192000.

    Raises `ValueError` for a rate out of range, and for samples that are none, not one
    row, or not within +-1e12, as NaN.
    """
    _check(samples, rate_hz)
    shape = geometry(rate_hz)
    duration_s = samples.size / rate_hz
    spectrum = stft(samples, shape)
    magnitude = np.abs(spectrum)
    power = np.square(magnitude)
    pair = medians(magnitude)
    ratio = contrast(pair)
    parts = stems(samples, spectrum, ratio, shape) if options.stems else None
    components = find_components(magnitude, shape, options.n_components)
    if options.stems:
        components = with_sounds(components, spectrum, shape, samples.size)
    log_mel = log_mel_of(power, shape)
    halved = Halvings(samples)
    return Segment(
        rate_hz=rate_hz,
        duration_s=duration_s,
        hop_s=shape.hop_s,
        log_mel=log_mel,
        mel_hz=_mel_bank(shape)[1],
        constant_q=log_spectrum(halved, rate_hz, shape.hop_length, "constant"),
        variable_q=log_spectrum(halved, rate_hz, shape.hop_length, "variable"),
        separation=weigh(power, ratio, shape, parts),
        onsets=find_onsets(log_mel, shape, duration_s, options.before),
        components=components,
        tones=find_tones(magnitude, pair.percussive, power, shape, options.n_tones),
        figures=describe(magnitude, power, shape),
        levels=measure_levels(samples),
    )


def log_mel_of(power: Float32, shape: Geometry) -> Float32:
    """Return the log-Mel, (n_frames, n_mels) float32 dB, of (n_frames, n_bins) float32."""
    mel = np.empty((len(power), N_MELS), np.float32)
    for bins, bands, triangles in _mel_bank(shape)[0]:
        np.matmul(power[:, bins], triangles, out=mel[:, bands])
    np.maximum(mel, np.float32(_FLOOR_POWER), out=mel)
    np.log10(mel, out=mel)
    mel *= np.float32(10.0)
    np.maximum(mel, mel.max() - np.float32(_RANGE_DB), out=mel)
    return mel


@lru_cache(maxsize=4)
def _mel_bank(shape: Geometry) -> tuple[list[tuple[slice, slice, Float32]], Float64]:
    """Return the triangles, cut into products, and the bands' middles in Hz."""
    spec = LogMelSpec(
        rate_hz=shape.rate_hz,
        win_length=shape.n_fft,
        n_fft=shape.n_fft,
        hop_length=shape.hop_length,
        n_mels=N_MELS,
        fmin_hz=0.0,
        fmax_hz=shape.rate_hz / 2,
        mel_scale="slaney",
        mel_triangles="hz",
        mel_norm="slaney",
    )
    triangles = mel_filterbank(spec)
    middles = shape.bins_hz @ triangles / triangles.sum(axis=0)
    return band_products(triangles), middles


def _check(samples: Float32, rate_hz: int) -> None:
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise ValueError(f"rate_hz must be {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}, not {rate_hz}")
    if samples.ndim != 1 or samples.size == 0 or samples.dtype != np.float32:
        raise ValueError(
            f"samples must be one row of float32, not {samples.shape} of {samples.dtype}"
        )
    sane = np.abs(samples) <= _LOUDEST
    if not sane.all():
        first = int(np.argmin(sane))
        raise ValueError(f"samples must be within +-{_LOUDEST:g}, not {samples[first]} at {first}")
