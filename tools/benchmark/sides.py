# SPDX-License-Identifier: MIT
"""The same log-Mel by five hands: each takes the same samples, period by period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.dsp.logmel import LogMelStream
from edge.dsp.spec import LogMelSpec
from tools.benchmark.floor import Floor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

# Log of power, the one form that all five know; the bands and the geometry are YAMNet's.
SPEC: Final = LogMelSpec(power=2, offset=1e-6)
PATCH_SAMPLES: Final = 48 * SPEC.hop_length


class Ours:
    """`LogMelStream`: a copy per period, all new frames of a patch in one batch."""

    def __init__(self, period_size: int) -> None:
        self._period = period_size
        self._stream = LogMelStream(SPEC, PATCH_SAMPLES + period_size)

    def run(self, samples: Float32) -> list[Float32]:
        """Return the batches of frames."""
        stream, period, waiting = self._stream, self._period, 0
        stream.reset()
        batches = []
        for start in range(0, len(samples) - period + 1, period):
            waiting += period
            if waiting >= PATCH_SAMPLES:
                waiting -= PATCH_SAMPLES
                batches.append(stream.process(samples[start : start + period]).copy())
            else:
                stream.push(samples[start : start + period])
        batches.append(stream.process(samples[:0]).copy())
        return batches


class CFloor:
    """The C loop of `floor.c`, called once per period."""

    def __init__(self, period_size: int) -> None:
        self._period = period_size
        self._floor = Floor(SPEC, period_size)
        self.fft = self._floor.fft

    def run(self, samples: Float32) -> None:
        """Compute the frames; each call overwrites the last one's."""
        process, period, size = self._floor.process, self._period, samples.itemsize
        self._floor.reset()
        address = samples.ctypes.data
        for start in range(0, len(samples) - period + 1, period):
            process(address + start * size, period)

    def frames(self, samples: Float32) -> Float32:
        """Return all frames, to compare."""
        self._floor.reset()
        period, address = self._period, samples.ctypes.data
        starts = range(0, len(samples) - period + 1, period)
        return np.concatenate([self._floor.process(address + 4 * s, period).copy() for s in starts])


class Kaldi:
    """kaldi-native-fbank online, without what it could do besides (dither, pre-emphasis).

    A period comes as an array, as everybody's. It is handed on as it is, or as a list
    (`by_list`), which Kaldi takes so much sooner that the conversion, paid here, is worth it.
    Frames are read as they complete, or all 48 of a patch at once (`batched`).
    """

    def __init__(self, period_size: int, *, by_list: bool, batched: bool) -> None:
        import kaldi_native_fbank

        self._knf = kaldi_native_fbank
        self._period = period_size
        self._by_list = by_list
        self._per_read = PATCH_SAMPLES // SPEC.hop_length if batched else 1
        self._options = kaldi_native_fbank.FbankOptions()
        frame, mel = self._options.frame_opts, self._options.mel_opts
        frame.dither, frame.preemph_coeff, frame.remove_dc_offset = 0.0, 0.0, False
        frame.window_type = "hanning"
        mel.num_bins, mel.low_freq, mel.high_freq = SPEC.n_mels, SPEC.fmin_hz, SPEC.fmax_hz
        self._options.energy_floor = 0.0

    def run(self, samples: Float32) -> list[Float32]:
        """Return the frames; frames that were read are discarded."""
        fbank = self._knf.OnlineFbank(self._options)
        period, frames, read = self._period, [], 0
        for start in range(0, len(samples) - period + 1, period):
            heard = samples[start : start + period]
            fbank.accept_waveform(SPEC.rate_hz, heard.tolist() if self._by_list else heard)
            ready = fbank.num_frames_ready
            if ready - read >= self._per_read:
                frames.append(np.array([fbank.get_frame(k) for k in range(read, ready)]))
                fbank.pop(ready - read)
                read = ready
        return frames


class Naive:
    """What one writes first: all of it anew for every period.

    A band-pass is designed and applied, librosa makes a mel spectrogram and its decibels,
    a scaler normalises them.
    """

    def __init__(self, period_size: int) -> None:
        import librosa
        from scipy import signal
        from sklearn.preprocessing import StandardScaler

        self._librosa, self._signal, self._scaler = librosa, signal, StandardScaler
        self._period = period_size

    def run(self, samples: Float32) -> list[Float32]:
        """Return the normalised decibels of each period."""
        period = self._period
        starts = range(0, len(samples) - period + 1, period)
        return [self._period_of(samples[start : start + period]) for start in starts]

    def _period_of(self, samples: Float32) -> Float32:
        band = (50.0, 7500.0)
        sos = self._signal.butter(4, band, "bandpass", output="sos", fs=SPEC.rate_hz)
        filtered = self._signal.sosfilt(sos, samples)
        decibels = librosa_decibels(self._librosa, filtered.astype(np.float32))
        scaled: Float32 = self._scaler().fit_transform(decibels.T)
        return scaled


class Librosa:
    """librosa on the whole recording at once, which no stream can wait for."""

    def __init__(self) -> None:
        import librosa

        self._librosa = librosa

    def run(self, samples: Float32) -> Float32:
        """Return the decibels, (n_mels, n_frames)."""
        return librosa_decibels(self._librosa, samples)


def librosa_decibels(librosa: object, samples: Float32) -> Float32:
    """Return librosa's log-Mel at our geometry, centred and padded as it does by itself."""
    mel = librosa.feature.melspectrogram(  # type: ignore[attr-defined]
        y=samples,
        sr=SPEC.rate_hz,
        n_fft=SPEC.n_fft,
        win_length=SPEC.win_length,
        hop_length=SPEC.hop_length,
        n_mels=SPEC.n_mels,
        fmin=SPEC.fmin_hz,
        fmax=SPEC.fmax_hz,
    )
    decibels: Float32 = librosa.power_to_db(mel)  # type: ignore[attr-defined]
    return decibels
