# SPDX-License-Identifier: MIT
"""Where somebody speaks, by a voice activity model with a memory (Silero's)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.errors import ModelError
from edge.model.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

RATE_HZ: Final = 16000
WINDOW: Final = 512  # samples that one answer is for: 32 ms
_CONTEXT: Final = 64  # samples from before it, which the model wants with it
_STATE: Final = (2, 1, 128)
_INPUTS: Final = {"input", "state", "sr"}
_OUTPUTS: Final = ["output", "stateN"]


class VoiceModel:
    """Silero's voice activity detector, version 5 or later, as ONNX.

    Raises `ModelError` if the file is missing or is another model.

    Source: the model's own wrapper (github.com/snakers4/silero-vad, MIT) says how windows
    and context are fed.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            how = "set speech.model to a voice model (`edge model pull silero`)"
            raise ModelError(f"{path} is not there", how)
        self._session = Session(path)
        inputs = {one.name for one in self._session.inputs}
        if inputs != _INPUTS:
            names = ", ".join(sorted(inputs))
            raise ModelError(
                f"{path} is no voice model: it takes {names}",
                "set speech.model to silero_vad.onnx, version 5 or later",
            )
        self.probabilities([np.zeros(WINDOW, np.float32)])

    def probabilities(self, parts: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return, for each window of 32 ms, how likely there is a voice in it, 0..1.

        An answer that is no number counts as 1: nobody can say that nobody spoke. About 0.2 ms
        a window.

        Parameters
        ----------
        parts : each (n,) float32 at `RATE_HZ`, full scale +-1.0, any cut of one recording,
            which is heard from silence on; copied before the next one is taken. The last
            window is filled with zeros.
        """
        state = np.zeros(_STATE, np.float32)
        rate = np.array(RATE_HZ, np.int64)
        voiced: list[float] = []
        for heard in _windows(parts):
            feeds: dict[str, NDArray[Any]] = {"input": heard[None], "state": state, "sr": rate}
            said, state = self._session.run_all(_OUTPUTS, feeds)
            voiced.append(said[0, 0])
        return np.nan_to_num(np.array(voiced, np.float32), nan=1.0)


def is_voice_model(path: Path) -> bool:
    """Return whether a file is such a model."""
    try:
        return {one.name for one in Session(path).inputs} == _INPUTS
    except ModelError:
        return False


def _windows(parts: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Give each window with its context before it."""
    rest = np.zeros(_CONTEXT, np.float32)
    for part in parts:
        rest = np.concatenate((rest, part))
        while len(rest) >= _CONTEXT + WINDOW:
            yield rest[: _CONTEXT + WINDOW]
            rest = rest[WINDOW:]
    if len(rest) > _CONTEXT:
        yield np.pad(rest, (0, _CONTEXT + WINDOW - len(rest)))
