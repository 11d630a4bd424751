# SPDX-License-Identifier: MIT
"""The sides of the noise reduction bench: ours, noisereduce, WebRTC's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import noisereduce
import numpy as np
import webrtc_noise_gain

from edge.dsp.clean import Cleaner
from edge.dsp.clean_spec import NoiseSpec
from edge.pipeline import BATCHES_PER_S
from tools.benchmark.scenes import LEAD_S, RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.dsp.clean_spec import AdaptiveSpec

    Float32 = NDArray[np.float32]

_FRAME: Final = 160  # WebRTC takes 10 ms at 16 kHz
# Of 0 (none) to 4: it lowers noise about as far as our floor.
_WEBRTC_LEVEL: Final = 3


def stream(
    x: Float32,
    reference: Float32 | None,
    rate_hz: int,
    adaptive: AdaptiveSpec | None,
    noise: NoiseSpec | None,
) -> Float32:
    """Clean as a box would: in the batches of the pipeline."""
    batch = rate_hz // BATCHES_PER_S
    cleaner = Cleaner(adaptive, noise, rate_hz, batch)
    parts = []
    for at in range(0, x.size, batch):
        given = None if reference is None else reference[at : at + batch]
        parts.append(cleaner.process(x[at : at + batch], given).copy())
    return np.concatenate([*parts, cleaner.flush()])


def ours(spec: NoiseSpec) -> Callable[[Float32], Float32]:
    """Return our side."""
    return lambda x: stream(x, None, RATE_HZ, None, spec)


def spectral_gate(x: Float32) -> Float32:
    """Return noisereduce's default on the whole recording, which no stream can wait for."""
    return np.asarray(noisereduce.reduce_noise(y=x, sr=RATE_HZ), np.float32)


def told_spectral_gate(x: Float32) -> Float32:
    """Return noisereduce's other way: told what the noise is, and to leave -20 dB, as ours."""
    alone = x[: int(LEAD_S * RATE_HZ)]
    reduced = noisereduce.reduce_noise(
        y=x, sr=RATE_HZ, y_noise=alone, stationary=True, prop_decrease=0.9
    )
    return np.asarray(reduced, np.float32)


def webrtc(x: Float32) -> Float32:
    """Return what WebRTC's noise suppression leaves, late by what it is late."""
    processor = webrtc_noise_gain.AudioProcessor(0, _WEBRTC_LEVEL)
    padded = np.zeros(-(-x.size // _FRAME) * _FRAME, np.float32)
    padded[: x.size] = x
    periods = np.round(np.clip(padded, -1.0, 1.0) * 32767).astype("<i2").reshape(-1, _FRAME)
    cleaned = b"".join(processor.Process10ms(period.tobytes()).audio for period in periods)
    return (np.frombuffer(cleaned, "<i2")[: x.size] / 32767.0).astype(np.float32)


SIDES: Final[dict[str, Callable[[Float32], Float32]]] = {
    "ours": ours(NoiseSpec()),
    "ours wiener": ours(NoiseSpec(method="wiener")),
    "ours subtract": ours(NoiseSpec(method="subtract", over_subtraction=4.0)),
    "noisereduce": spectral_gate,
    "noisereduce, told the noise": told_spectral_gate,
    "webrtc": webrtc,
}
PEERS: Final = tuple(side for side in SIDES if not side.startswith("ours"))
