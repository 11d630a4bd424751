# SPDX-License-Identifier: MIT
"""The teachers: two networks that others trained on AudioSet, and how they want to hear.

mn04 of EfficientAT (F. Schmid et al., "Efficient large-scale audio tagging via
Transformer-to-CNN knowledge distillation", 2023, MIT), and the first six blocks of
YAMNet (Google, Apache-2.0). What they make of a sound is imitated; none of their weights is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import onnxruntime

from edge.dsp.logmel import log_mel
from edge.model.frontend import PRESETS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

EMBEDDING: Final = 384  # of mn04; its dimensions come first
CLASSES: Final = 527  # of AudioSet, as logits
HINT: Final = 256  # of YAMNet's first blocks
FEATURES: Final = EMBEDDING + CLASSES + HINT

# mn04's front end, after the original's own: 32 kHz, Kaldi's mels.
_N_FFT: Final = 1024
_WIN_LENGTH: Final = 800
_HOP: Final = 320
_N_MELS: Final = 128
_FMAX_HZ: Final = 15000.0
_RATE_HZ: Final = 32000
_PRE_EMPHASIS: Final = np.float32(0.97)
_LEAST_SCORE: Final = 1e-4


class Teachers:
    """Both models, open, one thread each.

    Parameters
    ----------
    models : folder of `mn04_as_fp32.onnx` and `yamnet256_fp32.onnx`.
    """

    def __init__(self, models: Path) -> None:
        self._mn04 = _session(models / "mn04_as_fp32.onnx")
        self._yamnet = _session(models / "yamnet256_fp32.onnx")
        self._window = np.zeros(_N_FFT, np.float32)
        before = (_N_FFT - _WIN_LENGTH) // 2
        self._window[before : before + _WIN_LENGTH] = np.hanning(_WIN_LENGTH)
        self._mel = _kaldi_mel()

    def hear(self, windows: Float32) -> Float32:
        """Return (n, FEATURES) for (n, PATCH_SAMPLES) at 16 kHz: embedding, logits and hint.

        No teacher hears a level: each window comes at the same peak.
        """
        peak = np.abs(windows).max(axis=1, keepdims=True)
        loud = windows * (0.5 / np.maximum(peak, 1e-3))
        frames = np.stack([self._mn04_frames(one) for one in loud])[:, None]
        scores, embedding = self._mn04.run(["scores", "embedding"], {"log_mel": frames})
        scores = np.clip(scores, _LEAST_SCORE, 1.0 - _LEAST_SCORE)
        logits = np.log(scores / (1.0 - scores))
        patches = np.stack([log_mel(one, PRESETS["yamnet"].front_end) for one in loud])
        (hint,) = self._yamnet.run(["embedding"], {"log_mel": patches})
        return np.concatenate([embedding, logits, hint], axis=1)

    def _mn04_frames(self, window: Float32) -> Float32:
        """Return (bands, frames)."""
        spectrum = np.fft.rfft(window)
        doubled = 2.0 * np.fft.irfft(spectrum, 2 * window.size)  # 32 kHz, nothing above 8
        samples = doubled.astype(np.float32)
        samples = samples[1:] - _PRE_EMPHASIS * samples[:-1]
        samples = np.pad(samples, _N_FFT // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(samples, _N_FFT)[::_HOP]
        power = np.square(np.abs(np.fft.rfft(frames * self._window))).astype(np.float32)
        return np.asarray((np.log(power @ self._mel + 1e-5) + 4.5).T / 5.0, np.float32)


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _kaldi_mel() -> Float32:
    """Return (bins, bands): triangles that are linear in mel, from 0 Hz, without the last bin."""
    top = _mel(_FMAX_HZ)
    edges = np.linspace(0.0, top, _N_MELS + 2)
    bins = _mel(np.arange(_N_FFT // 2 + 1) * _RATE_HZ / _N_FFT)[:, None]
    step = edges[1]
    rising, falling = (bins - edges[:-2]) / step, (edges[2:] - bins) / step
    return np.asarray(np.maximum(np.minimum(rising, falling), 0.0), np.float32)


def _mel(freq_hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(np.asarray(freq_hz) / 700.0))
