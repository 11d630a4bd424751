# SPDX-License-Identifier: MIT
"""Log-Mel frames, in batches: one copy, one FFT, one matrix product for all new frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from edge.dsp.melbank import band_products, mel_filterbank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.dsp.spec import LogMelSpec

    Float32 = NDArray[np.float32]

# Frames at once: few enough that windows and spectra stay in a small processor's cache.
_BATCH_FRAMES: Final = 64

# A band or patch flatter than this is silence: its deviation is the rounding of its mean.
_LEAST_DEVIATION: Final = 1e-4


def log_mel(samples: Float32, spec: LogMelSpec) -> Float32:
    """Return the log-Mel frames of a recording, (n_frames, n_mels) float32, not normalised.

    Frame k is over samples [k * hop_length, k * hop_length + win_length): whole windows
    only, 1 + (n_samples - win_length) // hop_length of them. The pure twin of
    `LogMelStream`, with an FFT in float64: within 1e-4 dB of librosa.

    Parameters
    ----------
    samples : (n_samples,) float32, full scale +-1.0, at `spec.rate_hz`. A centred front end
        takes the recording for one patch: n_samples // hop_length frames.

    Raises `ValueError` for a spec that can't be.
    """
    return LogMelPatch(spec, np.float64).process(samples)


def normalise(patch: Float32, spec: LogMelSpec) -> Float32:
    """Normalise a patch as `spec.normalise` says, in place, and return it.

    Parameters
    ----------
    patch : (n_frames, n_mels) float32, changed. Where it is flat (a deviation under 1e-4,
        as in digital silence) it becomes 0 within 0.05.
    """
    match spec.normalise:
        case "none":
            return patch
        case "fixed":
            patch -= spec.mean
            patch /= spec.std
        case kind:
            axis = 0 if kind == "band" else None
            patch -= patch.mean(axis=axis)
            patch /= np.maximum(patch.std(axis=axis), _LEAST_DEVIATION)
    return patch


class LogMelPatch:
    """Log-Mel frames of a patch by itself, for front ends that pre-emphasise or centre.

    Parameters
    ----------
    precision : of the FFT: float64 takes twice the time.

    Raises `ValueError` for a spec that can't be.

    Source: `torch.stft(center=True)`; AugmentMelSTFT of EfficientAT
    (github.com/fschmid56/EfficientAT, MIT) for the pre-emphasis, which shortens by a sample.
    """

    def __init__(
        self, spec: LogMelSpec, precision: type[np.float32 | np.float64] = np.float32
    ) -> None:
        self._spec = spec
        self._front_end = _FrontEnd(spec, precision)

    def process(self, samples: Float32) -> Float32:
        """Return the frames of (n_samples,) float32, (n_frames, n_mels), the caller's own."""
        spec = self._spec
        x = np.ascontiguousarray(samples, np.float32)
        if spec.pre_emphasis:
            x = x[1:] - np.float32(spec.pre_emphasis) * x[:-1]
        if spec.centring == "reflect":
            # There the window lies in the middle of the FFT, which magnitudes don't tell.
            half = spec.n_fft // 2 - (spec.n_fft - spec.win_length) // 2
            x = np.pad(x, (half, spec.win_length - half), "reflect")
            n_frames = samples.size // spec.hop_length
        else:
            n_frames = _whole_frames(x.size, spec)
        frames = np.empty((n_frames, spec.n_mels), np.float32)
        self._front_end.compute(_windows(x, n_frames, spec), frames)
        return frames


class LogMelStream:
    """Log-Mel frames of a stream; any cut of the same samples gives the same frames.

    Frame k (`frame_index` of the next one) is over samples [k * hop_length, k * hop_length
    + win_length) since the start or the last `reset`. Keeps the samples that the next
    frame needs, under win_length + max_samples of them. The FFT is in float32, as Kaldi's
    and TensorFlow's: its rounding stays 100 dB under the loudest band of a frame.

    Work in large batches: `push` costs one copy, `process` computes all frames that are
    complete, at some 3 us each where one alone takes 25.

    Parameters
    ----------
    spec : the front end; `spec.normalise` is left to `normalise`, which needs whole patches.
    max_samples : the most samples to be taken between two calls of `process`.

    Raises `ValueError` for a spec that can't be, or that takes whole patches (`LogMelPatch`).
    """

    def __init__(self, spec: LogMelSpec, max_samples: int) -> None:
        if spec.by_patch:
            raise ValueError("a front end with pre_emphasis or centring hears whole patches only")
        if max_samples < 1:
            raise ValueError(f"max_samples must be 1 or more, not {max_samples}")
        self._front_end = _FrontEnd(spec, np.float32)
        self._spec = spec
        self._room = spec.win_length + max_samples
        # One hop and one frame more, for `flush`.
        self._samples = np.zeros(self._room + spec.hop_length, np.float32)
        # Copies a short period in half of NumPy's time.
        self._inlet = self._samples.data
        n_frames = _whole_frames(self._samples.size, spec)
        self._windows = _windows(self._samples, n_frames, spec)
        self._frames = np.empty((n_frames, spec.n_mels), np.float32)
        self._filled = 0
        self.frame_index = 0

    def reset(self) -> None:
        """Forget the samples; the next one begins frame 0."""
        self._filled = 0
        self.frame_index = 0

    def push(self, samples: Float32) -> None:
        """Take samples and compute nothing yet.

        Raises `ValueError` when they would be more than `max_samples` since the last
        `process`, or aren't (n_samples,) float32.
        """
        end = self._filled + samples.size
        if end > self._room:
            room = self._room - self._filled
            raise ValueError(f"samples has {samples.size}, max_samples leaves room for {room}")
        self._inlet[self._filled : end] = samples  # type: ignore[call-overload] # a buffer
        self._filled = end

    def process(self, samples: Float32) -> Float32:
        """Take samples and return all frames complete by now, (n_new, n_mels) float32.

        The array is the stream's own and holds until the next call.

        Parameters
        ----------
        samples : (n_samples,) float32, any number up to `max_samples`; only read.
        """
        self.push(samples)
        return self._compute(_whole_frames(self._filled, self._spec))

    def flush(self) -> Float32:
        """Return the frames that are left, (n_left, n_mels), and reset.

        Complete ones that were only pushed and, if the stream ends with samples that no
        frame has heard, one more whose window is filled up with zeros.
        """
        spec = self._spec
        n_frames = _whole_frames(self._filled, spec)
        begun = n_frames > 0 or self.frame_index > 0
        # Where the last frame ended; the buffer begins with the frame after the computed ones.
        heard = (n_frames - 1) * spec.hop_length + spec.win_length if begun else 0
        if self._filled > heard:
            self._samples[self._filled : n_frames * spec.hop_length + spec.win_length] = 0.0
            n_frames += 1
        frames = self._compute(n_frames)
        self.reset()
        return frames

    def _compute(self, n_frames: int) -> Float32:
        frames = self._frames[:n_frames]
        self._front_end.compute(self._windows[:n_frames], frames)
        consumed = n_frames * self._spec.hop_length
        kept = max(self._filled - consumed, 0)
        self._samples[:kept] = self._samples[consumed : consumed + kept]
        self._filled = kept
        self.frame_index += n_frames
        return frames


class _FrontEnd:
    """Window, FFT, mel and logarithm with their tables and work space.

    `precision` is that of the FFT, the dearest step: float64 takes twice the time.
    """

    def __init__(self, spec: LogMelSpec, precision: type[np.float32 | np.float64]) -> None:
        self._spec = spec
        self._precision = precision
        self._products = band_products(mel_filterbank(spec))
        # Whole rows throughout: the FFT reads them much faster than it pads short ones, and
        # copying a window and multiplying it by a row is twice as fast as both in one.
        self._padded = np.zeros((_BATCH_FRAMES, spec.n_fft), np.float32)
        self._tapers = np.zeros_like(self._padded)
        self._tapers[:, : spec.win_length] = _window(spec) * spec.n_fft
        self._spectrum = np.empty((_BATCH_FRAMES, spec.n_fft // 2 + 1), np.complex64)
        self._magnitude = np.empty(self._spectrum.shape, np.float32)

    def compute(self, windows: Float32, frames: Float32) -> None:
        """Fill `frames` (n_frames, n_mels) from `windows` (n_frames, win_length)."""
        for first in range(0, len(frames), _BATCH_FRAMES):
            batch = slice(first, first + _BATCH_FRAMES)
            self._batch(windows[batch], frames[batch])

    def _batch(self, windows: Float32, mel: Float32) -> None:
        spec, n_frames = self._spec, len(mel)
        padded = self._padded[:n_frames]
        padded[:, : spec.win_length] = windows
        padded *= self._tapers[:n_frames]
        # Left to its own scale, NumPy would work in float64 whatever it is given (its factor is
        # then a Python integer); "forward" divides by n_fft, which the tapers take back.
        precise = padded.astype(self._precision, copy=False)
        spectrum = self._spectrum[:n_frames]
        np.fft.rfft(precise, norm="forward", out=spectrum)  # type: ignore[arg-type] # it may be
        magnitude = np.abs(spectrum, out=self._magnitude[:n_frames])
        if spec.power == 2:
            np.square(magnitude, out=magnitude)
        for bins, bands, triangles in self._products:
            np.matmul(magnitude[:, bins], triangles, out=mel[:, bands])
        self._log(mel)

    def _log(self, mel: Float32) -> None:
        spec = self._spec
        if spec.log == "ln":
            mel += spec.offset
            np.log(mel, out=mel)
            return
        decibels = 20.0 / spec.power
        np.maximum(mel, spec.offset, out=mel)
        np.log(mel, out=mel)
        mel *= decibels / math.log(10.0)
        mel -= decibels * math.log10(spec.ref)


def _windows(samples: Float32, n_frames: int, spec: LogMelSpec) -> Float32:
    """Return the windows as a view, (n_frames, win_length), of contiguous samples."""
    stride = samples.itemsize
    shape = (n_frames, spec.win_length)
    return as_strided(samples, shape, (spec.hop_length * stride, stride), writeable=False)


def _whole_frames(n_samples: int, spec: LogMelSpec) -> int:
    return max(0, 1 + (n_samples - spec.win_length) // spec.hop_length)


def _window(spec: LogMelSpec) -> NDArray[np.float64]:
    """Return the window, (win_length,): "hann" periodic, the others symmetric as Kaldi's."""
    n = spec.win_length
    phase = 2.0 * np.pi * np.arange(n) / (n if spec.window == "hann" else max(n - 1, 1))
    hann = 0.5 - 0.5 * np.cos(phase)
    match spec.window:
        case "hamming":
            hann = 0.54 - 0.46 * np.cos(phase)
        case "povey":
            hann **= 0.85
    return hann
