# SPDX-License-Identifier: MIT
"""Where the filtered signal parts: what is measured and what is classified may be cleaned apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.dsp.clean import Cleaner

    Float32 = NDArray[np.float32]


class Branches:
    """Two ways of one signal, each through its cleaner or as it is.

    Each gives as many samples as it takes, once flushed; a cleaner gives them later. One
    cleaner for both works once.

    Parameters
    ----------
    levels, classifier : None: as it is.
    """

    def __init__(self, levels: Cleaner | None, classifier: Cleaner | None) -> None:
        self._levels = levels
        self._classifier = classifier

    @property
    def delay_samples(self) -> int:
        """How many samples more than it takes a call may give at once."""
        return max(
            (one.delay_samples for one in (self._levels, self._classifier) if one), default=0
        )

    def process(self, x: Float32, reference: Float32 | None) -> tuple[Float32, Float32]:
        """Return what is due to be measured and to be classified, valid until the next call."""
        measured = self._levels.process(x, reference) if self._levels else x
        if self._classifier is self._levels:
            return measured, measured
        return measured, self._classifier.process(x, reference) if self._classifier else x

    def flush(self) -> tuple[Float32, Float32]:
        """Return what is left of both, after which they begin anew."""
        nothing = np.zeros(0, np.float32)  # is left of a signal as it is
        measured = self._levels.flush() if self._levels else nothing
        if self._classifier is self._levels:
            return measured, measured
        return measured, self._classifier.flush() if self._classifier else nothing
