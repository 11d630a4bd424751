# SPDX-License-Identifier: MIT
"""The command `play`: an alarm or a test tone through the box's own loudspeaker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.capture import generator
from edge.service.commands import CommandError, only

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.capture.generator import Signal
    from edge.errors import DeviceError
    from edge.service.commands import Body, Reply
    from edge.service.listening_in import ListeningIn

MOST_S: Final = 60.0
LEAST_S: Final = 0.1
DEFAULT_S: Final = 3.0
DEFAULT_DBFS: Final = -12.0
FADE_S: Final = 0.01

SOUNDS: Final[dict[str, tuple[Callable[..., Signal], int]]] = {
    "alarm": (generator.two_tone, 1),
    "evacuation": (generator.temporal_three, 4),
    "tone": (generator.tone, 1),
}
"""And after how many seconds each is the same again."""


class Repeated:
    """A pattern again and again, soft at both ends; a part of it is made when it is asked for.

    Parameters
    ----------
    pattern : (n,) float32, which goes on from its end to its begin without a jump.
    n_samples : of the whole.
    fade_samples : half a cosine of so many at each end.
    """

    def __init__(self, pattern: Signal, n_samples: int, fade_samples: int) -> None:
        self._pattern = pattern
        self._n_samples = n_samples
        self._fade_samples = fade_samples

    def __len__(self) -> int:
        """Return the length in samples."""
        return self._n_samples

    def __getitem__(self, part: slice) -> Signal:
        """Return that part, float32, an array of its own."""
        at = np.arange(*part.indices(self._n_samples))
        from_edge = np.minimum(at, self._n_samples - 1 - at) / self._fade_samples
        fade = generator.ramp(from_edge).astype(np.float32)
        return self._pattern[at % len(self._pattern)] * fade


class Sounding:
    """Obeys `play`, {"sound": "alarm", "seconds": 3, "level_dbfs": -12} (mqtt thread).

    Parameters
    ----------
    playback : None: the box has no loudspeaker.
    rate_hz : of what it plays.
    """

    def __init__(self, playback: ListeningIn | None, rate_hz: int) -> None:
        self._playback = playback
        self._rate_hz = rate_hz

    def play(self, body: Body, reply: Reply) -> None:
        """Let it be played; the answer comes when its begin is with the card, or why it is not."""
        only(body, "sound", "seconds", "level_dbfs")
        if self._playback is None:
            raise CommandError("this box has no loudspeaker", "set playback.device")
        name = body.get("sound", "alarm")
        if not isinstance(name, str) or name not in SOUNDS:
            raise CommandError(f"sound = {name!r:.40}", f"sounds are: {', '.join(SOUNDS)}")
        seconds = _number(body, "seconds", DEFAULT_S, LEAST_S, MOST_S)
        level_dbfs = _number(body, "level_dbfs", DEFAULT_DBFS, -80.0, 0.0)
        make, pattern_s = SOUNDS[name]
        pattern = make(pattern_s * self._rate_hz, self._rate_hz, level_dbfs=level_dbfs)
        lengths = (round(each_s * self._rate_hz) for each_s in (seconds, FADE_S))

        def told(error: DeviceError | None) -> None:
            if error:
                reply({"ok": False, "error": str(error)})
            else:
                reply({"ok": True, "sound": name, "seconds": seconds})

        self._playback.play_sound(Repeated(pattern, *lengths), alone=True, told=told)


def _number(body: Body, key: str, default: float, lowest: float, highest: float) -> float:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CommandError(f"{key} = {value!r:.40} is no number", f'send {{"{key}": {default:g}}}')
    if not lowest <= value <= highest:  # no NaN is, and a huge integer is no float
        raise CommandError(f"{key} = {value!r:.20}", f"send {lowest:g} to {highest:g}")
    return float(value)
