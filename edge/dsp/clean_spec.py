# SPDX-License-Identifier: MIT
"""What is asked of noise reduction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class NoiseSpec:
    """How steady noise is lowered.

    method : "logmmse" (log-spectral amplitude weighted by the probability of a sound),
        "wiener" (the smoothed Wiener gain), "subtract" (the noise's power, subtracted; quick,
        and leaves single tones behind that come and go).
    over_subtraction : how often the tracked noise is taken for what it is, 0.5 to 10. More of
        it quiets restless noise, and takes more of the sound with it. "subtract" wants 3 or 4.
    floor_db : the gain that is never fallen below, -60 to 0: the most that is taken away.
    window_s : the window, 0.004 to 0.25, and so the delay. Short ones can't tell a hum from
        a deep voice.
    memory_s : what sounds on for as long as that is noise, 0.5 to 60; and how long a noise
        that has grown louder is taken for sound.
    """

    method: Literal["logmmse", "wiener", "subtract"] = "logmmse"
    over_subtraction: float = 1.2
    floor_db: float = -20.0
    window_s: float = 0.064
    memory_s: float = 6.0


@dataclass(frozen=True, slots=True)
class AdaptiveSpec:
    """How what a reference foretells is taken out of a signal.

    method : "frequency" (in blocks and bins: cheap, and quick for coloured references too),
        "nlms" (sample by sample: 32 samples of delay, dear, slow for coloured references),
        "line" (hum: the reference is the signal's own past; begin with `LINE`).
    length_s : how much of the reference's past is heard, 0.001 to 1: the echo of the room.
    step : how much of an error is learnt at once, over 0, below 1.
    leakage_per_s : the share of what was learnt that is forgotten in a second, 0 to 1
        (exclusive).
    guard : an error this many times larger than it was of late is another sound, not
        something to learn from (double talk), 1 or more. The smaller, the longer a moved
        microphone takes to be learnt anew. Infinity: no guard.
    block_s : "frequency" and "line" learn once a block, and lag by one, 0.001 to 0.1.
    ahead_s : "line" only: how far back the past begins, 0.001 to 1. What repeats after that
        time is hum.
    """

    method: Literal["nlms", "frequency", "line"] = "frequency"
    length_s: float = 0.064
    step: float = 0.4
    leakage_per_s: float = 0.01
    guard: float = 1.5
    block_s: float = 0.016
    ahead_s: float = 0.05


# A hum is what still repeats after 0.2 s; half a second of taps tells it from a voice, which a
# larger step would learn too.
LINE: Final = AdaptiveSpec(
    method="line", length_s=0.5, step=0.007, leakage_per_s=0.003, ahead_s=0.2
)

_RANGES: Final[dict[str, tuple[float, float]]] = {
    "over_subtraction": (0.5, 10.0),
    "floor_db": (-60.0, 0.0),
    "window_s": (0.004, 0.25),
    "memory_s": (0.5, 60.0),
    "length_s": (0.001, 1.0),
    "step": (1e-6, 0.999),
    "leakage_per_s": (0.0, 0.999),
    "guard": (1.0, math.inf),
    "block_s": (0.001, 0.1),
    "ahead_s": (0.001, 1.0),
}
_METHODS: Final = {
    NoiseSpec: ("logmmse", "wiener", "subtract"),
    AdaptiveSpec: ("nlms", "frequency", "line"),
}


def check_clean_spec(spec: NoiseSpec | AdaptiveSpec) -> None:
    """Raise `ValueError`, naming the field, for a spec that can't be."""
    known = _METHODS[type(spec)]
    if spec.method not in known:
        raise ValueError(f"method must be one of {known}, not {spec.method!r}")
    for name in type(spec).__dataclass_fields__:
        if name == "method":
            continue
        low, high = _RANGES[name]
        # A NaN is in no range.
        if not low <= getattr(spec, name) <= high:
            raise ValueError(f"{name} must be {low:g} to {high:g}, not {getattr(spec, name)}")
