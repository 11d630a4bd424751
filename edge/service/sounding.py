# SPDX-License-Identifier: MIT
"""The command `play`: an alarm or a test tone through the box's own loudspeaker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.capture import generator
from edge.service.commands import CommandError, only

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.capture.generator import Signal
    from edge.service.commands import Body, Reply
    from edge.service.listening_in import ListeningIn

MOST_S: Final = 60.0
LEAST_S: Final = 0.1
DEFAULT_S: Final = 3.0
DEFAULT_DBFS: Final = -12.0
FADE_S: Final = 0.01

SOUNDS: Final[dict[str, Callable[..., Signal]]] = {
    "alarm": generator.two_tone,
    "evacuation": generator.temporal_three,
    "tone": generator.tone,
}


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
        """Begin to play; the answer comes at once."""
        only(body, "sound", "seconds", "level_dbfs")
        if self._playback is None:
            raise CommandError("this box has no loudspeaker", "set playback.device")
        name = body.get("sound", "alarm")
        if not isinstance(name, str) or name not in SOUNDS:
            raise CommandError(f"sound = {name!r:.40}", f"sounds are: {', '.join(SOUNDS)}")
        seconds = _number(body, "seconds", DEFAULT_S, LEAST_S, MOST_S)
        level_dbfs = _number(body, "level_dbfs", DEFAULT_DBFS, -80.0, 0.0)
        n_samples = round(seconds * self._rate_hz)
        signal = SOUNDS[name](n_samples, self._rate_hz, level_dbfs=level_dbfs)
        self._playback.play_sound(generator.faded(signal, self._rate_hz, FADE_S), alone=True)
        state = self._playback.figures()["playback"]
        reply({"ok": state == "ok", "sound": name, "seconds": seconds, "playback": state})


def _number(body: Body, key: str, default: float, lowest: float, highest: float) -> float:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CommandError(f"{key} = {value!r:.40} is no number", f'send {{"{key}": {default:g}}}')
    if not lowest <= value <= highest:  # no NaN is, and a huge integer is no float
        raise CommandError(f"{key} = {value!r:.20}", f"send {lowest:g} to {highest:g}")
    return float(value)
