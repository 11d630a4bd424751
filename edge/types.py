# SPDX-License-Identifier: MIT
"""Frozen records that rooms hand on.

Times in here are sample indices (int64, from stream start, through gaps): the
master clock. Seconds and UTC are derived late, by `edge.clock`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.float32]

SampleFormat = Literal["S16_LE", "S24_3LE", "S24_LE", "S32_LE", "FLOAT_LE"]
GapCause = Literal["xrun", "unplugged", "suspended", "injected"]
FilterKind = Literal["highpass", "lowpass", "bandpass", "notch", "peaking", "lowshelf", "highshelf"]
Edge = Literal["onset", "offset"]


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What a source delivers, as granted (not as asked for).

    `period_size` is in samples per channel.
    """

    rate_hz: int
    channels: int
    period_size: int
    sample_format: SampleFormat


@dataclass(frozen=True, slots=True)
class Period:
    """What one read returned.

    `samples` is (n_samples, channels), n_samples <= period_size: int16 for S16,
    int32 left-aligned (full scale +-2**31) for every 24 and 32 bit format, or
    float32 (full scale +-1.0). It is valid until the next `read` of the source:
    who keeps it, copies it. `mono_s` is CLOCK_MONOTONIC when the read returned.
    """

    sample_index: int
    samples: Samples
    mono_s: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole of known length: `lost_samples` from `sample_index` on."""

    sample_index: int
    lost_samples: int
    cause: GapCause
    mono_s: float


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """One filter of the chain, before it is designed for a rate.

    `q` for bandpass, notch, peaking and shelves; `order` (Butterworth) for
    highpass and lowpass; `gain_db` for peaking and shelves. For a bandpass
    `freq_hz` is the centre and `q` = centre / bandwidth.
    """

    kind: FilterKind
    freq_hz: float
    q: float = 0.7071067811865476
    gain_db: float = 0.0
    order: int = 2


@dataclass(frozen=True, slots=True)
class Level:
    """Levels over one second of samples, in dB relative to full scale.

    0 dBFS is an RMS of 1.0 (a full-scale sine reads -3.01), a peak of 1.0 for
    `lcpeak_dbfs`. The interval is [`sample_index`, `end_index`), of which
    `n_samples` were heard; `gap` says that others of it were lost. `laf_dbfs` is
    (n,) float32, the Fast level at each whole 10 ms of it. It and `lafmin_dbfs` leave
    out the settling of Fast after a start or gap (`levels.SETTLE_S`); with nothing left
    `lafmin_dbfs` is None.
    """

    sample_index: int
    end_index: int
    n_samples: int
    laeq_dbfs: float
    lceq_dbfs: float
    lzeq_dbfs: float
    lafmax_dbfs: float
    lafmin_dbfs: float | None
    lasmax_dbfs: float
    lcpeak_dbfs: float
    laf_dbfs: NDArray[np.float32] = field(compare=False, repr=False)
    gap: bool
    clipped_samples: int


@dataclass(frozen=True, slots=True)
class Bands:
    """Unweighted levels of third-octave and octave bands over one second.

    `levels_dbfs` is (n_bands,) float64, in the order of `dsp.bands.bands_of(rate_hz)`; the rest
    as in `Level`.
    """

    sample_index: int
    end_index: int
    n_samples: int
    levels_dbfs: NDArray[np.float64] = field(compare=False, repr=False)
    gap: bool


@dataclass(frozen=True, slots=True)
class Patch:
    """A log-Mel patch ready for the classifier.

    `frames` is (patch_frames, n_mels) float32 and belongs to the receiver.
    `sample_index` (capture rate) is where the patch's first window begins,
    `n_samples` how far it reaches. `model` is the number of the model that it is for: a
    stream may change from one to the next.
    """

    sample_index: int
    n_samples: int
    frames: NDArray[np.float32]
    model: int = 0


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model said about one patch: `values` is (n_labels,) float32 in 0..1.

    Not `valid`: it said something else, and 0 stands for what was no score.
    """

    sample_index: int
    n_samples: int
    values: NDArray[np.float32]
    embedding: NDArray[np.float32] | None = None
    valid: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """Detections of one label joined: sent at its onset and at its offset.

    `onset_index` and `offset_index` are sample indices; `offset_index` is None
    in an onset. `score` is the peak so far.
    """

    edge: Edge
    event_id: str
    label: str
    score: float
    onset_index: int
    offset_index: int | None = None


@dataclass(frozen=True, slots=True)
class Utc:
    """A moment (ISO 8601, milliseconds) and whether the wall clock could be trusted."""

    text: str
    synchronised: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by two clocks: the wall's, which may be wrong, and the time since a boot.

    `wall_s` counts from 1970, `boot_s` from the start of the boot that `boot` names, sleep
    included. `synchronised`: something kept the wall clock right.
    """

    wall_s: float
    boot_s: float
    boot: str
    synchronised: bool

    @property
    def booted_s(self) -> float:
        """When that boot began, as far as the wall clock was believed."""
        return self.wall_s - self.boot_s


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to the broker.

    A `durable` message waits on disk until the broker has acknowledged it, and where too
    many wait those of the lowest `worth` go first, the oldest of them: 0 for minutes of levels
    and analyses, which the box keeps too, 1 for clips, 2 for events. A
    `retain`ed one is kept by the broker and sent again after each connection;
    any other is a live value, dropped while the broker is away.
    """

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 0
    retain: bool = False
    durable: bool = False
    worth: Literal[0, 1, 2] = 0
