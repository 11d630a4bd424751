# SPDX-License-Identifier: MIT
"""What is asked of the arithmetic, and what was designed for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.types import FilterSpec


# What no model that a box can run asks for; without a bound a description may ask for any memory.
LOWEST_RATE_HZ: Final = 1000
HIGHEST_RATE_HZ: Final = 192_000
LONGEST_FFT: Final = 16_384
MOST_MELS: Final = 512


@dataclass(frozen=True, slots=True)
class LogMelSpec:
    """Everything that fixes a log-Mel, so that any trained classifier finds its own.

    Defaults are YAMNet's. Units are in the names; `*_length` and `n_fft` are in
    samples at `rate_hz`. A frame is a window of `win_length` samples, zero-padded
    on the right to `n_fft`; frames start every `hop_length`, the first at the
    first sample unless `centring` says otherwise.

    mel_scale : "htk" 2595 log10(1 + f/700), or "slaney" (linear below 1 kHz).
    mel_triangles : triangles straight over Hz (librosa) or over mel (TensorFlow, Kaldi).
    mel_norm : "none", or "slaney": each triangle has unit area over Hz.
    power : 1 magnitude, 2 power.
    log : "ln": ln(mel + offset); "db": 10 log10(max(mel, offset) / ref) (20 log10 for
        magnitude).
    normalise : of a patch: "none", "patch" (zero mean, unit deviation over the patch),
        "band" (over time, band by band), or "fixed" ((x - mean) / std with the two numbers
        below).
    pre_emphasis : a sample becomes x[n + 1] - this * x[n], 0..1; 0: none.
    centring : "reflect": frame k is centred at sample k * hop_length, and a patch, which has
        `hop_length` samples per frame, is mirrored at its edges (torch.stft, librosa). Such a
        front end, and one with pre-emphasis, hears whole patches only.
    """

    rate_hz: int = 16000
    win_length: int = 400
    n_fft: int = 512
    hop_length: int = 160
    n_mels: int = 64
    fmin_hz: float = 125.0
    fmax_hz: float = 7500.0
    window: Literal["hann", "hann_symmetric", "hamming", "povey"] = "hann"
    mel_scale: Literal["htk", "slaney"] = "htk"
    mel_triangles: Literal["hz", "mel"] = "mel"
    mel_norm: Literal["none", "slaney"] = "none"
    power: Literal[1, 2] = 1
    log: Literal["ln", "db"] = "ln"
    offset: float = 1e-3
    ref: float = 1.0
    normalise: Literal["none", "patch", "band", "fixed"] = "none"
    mean: float = 0.0
    std: float = 1.0
    pre_emphasis: float = 0.0
    centring: Literal["none", "reflect"] = "none"

    @property
    def by_patch(self) -> bool:
        """Whether a frame depends on the patch that it is in: nothing then is kept for the next."""
        return self.centring != "none" or self.pre_emphasis > 0.0

    def patch_samples(self, n_frames: int) -> int:
        """Return the length of a patch of `n_frames` frames, in samples at `rate_hz`."""
        if self.centring == "reflect":
            return n_frames * self.hop_length
        one_more = 1 if self.pre_emphasis else 0
        return (n_frames - 1) * self.hop_length + self.win_length + one_more


@dataclass(frozen=True, slots=True)
class CoreSpec:
    """What fixes every filter of the core: the key under which a design is kept."""

    rate_hz: int
    model_rate_hz: int
    filters: tuple[FilterSpec, ...]
    correction: tuple[tuple[float, float], ...] = ()
    """The microphone's response, (Hz, dB), which levels are to be free of."""


@dataclass(frozen=True, slots=True)
class CoreDesign:
    """The designed filters, float64: cascades (n_sections, 6) and FIR taps (n_taps,).

    `decimation_taps` is empty where the rates are equal or no whole multiple. `bands_sos` is
    (n_bands, 4, 6), of `bands.bands_of(rate_hz)`; `weighting_class` () says which class of
    IEC 61672-1 A and C keep: 1, 2, or 0 for neither; `correction_off_db` () how far off
    `correction_sos` is at most.
    """

    chain_sos: NDArray[np.float64]
    correction_sos: NDArray[np.float64]
    correction_off_db: NDArray[np.float64]
    a_sos: NDArray[np.float64]
    c_sos: NDArray[np.float64]
    weighting_class: NDArray[np.int64]
    bands_sos: NDArray[np.float64]
    halving_taps: NDArray[np.float64]
    decimation_taps: NDArray[np.float64]


def check_spec(spec: LogMelSpec) -> None:
    """Raise `ValueError`, naming the field, for a front end that can't be."""
    for name, least, most in (
        ("rate_hz", LOWEST_RATE_HZ, HIGHEST_RATE_HZ),
        ("n_fft", 1, LONGEST_FFT),
        ("n_mels", 1, MOST_MELS),
    ):
        if not least <= getattr(spec, name) <= most:
            raise ValueError(f"{name} must be {least} to {most}, not {getattr(spec, name)!r:.40}")
    if not 1 <= spec.win_length <= spec.n_fft:
        raise ValueError(f"win_length must be 1 to n_fft={spec.n_fft}, not {spec.win_length!r:.40}")
    if not 1 <= spec.hop_length <= spec.win_length:
        raise ValueError(
            f"hop_length must be 1 to win_length={spec.win_length}, not {spec.hop_length!r:.40}"
        )
    if not 0.0 <= spec.fmin_hz < spec.fmax_hz <= spec.rate_hz / 2:
        raise ValueError(
            f"fmin_hz and fmax_hz must rise from 0 to {spec.rate_hz / 2:g}, "
            f"not {spec.fmin_hz:g} and {spec.fmax_hz:g}"
        )
    _check_scales(spec)


def _check_scales(spec: LogMelSpec) -> None:
    for name in ("offset", "ref", "std"):
        if not 0.0 < getattr(spec, name) < math.inf:
            raise ValueError(f"{name} must be positive, not {getattr(spec, name)}")
    if not 0.0 <= spec.pre_emphasis <= 1.0:
        raise ValueError(f"pre_emphasis must be 0 to 1, not {spec.pre_emphasis}")
    for name, known in _CHOICES.items():
        if getattr(spec, name) not in known:
            raise ValueError(f"{name} must be one of {known}, not {getattr(spec, name)!r}")


_CHOICES: Final = {
    "window": ("hann", "hann_symmetric", "hamming", "povey"),
    "mel_scale": ("htk", "slaney"),
    "mel_triangles": ("hz", "mel"),
    "mel_norm": ("none", "slaney"),
    "power": (1, 2),
    "log": ("ln", "db"),
    "normalise": ("none", "patch", "band", "fixed"),
    "centring": ("none", "reflect"),
}
