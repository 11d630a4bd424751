# SPDX-License-Identifier: MIT
"""Sound files as every room reads them."""

from __future__ import annotations

import soundfile


class ForwardFile(soundfile.SoundFile):  # type: ignore[misc] # soundfile ships no types
    """A sound file that is only ever read onwards.

    The package seeks to where it is after each read; libsndfile then loses the state of an
    MP3 and gives noise (python-soundfile 0.14, libsndfile 1.2).
    """

    def seekable(self) -> bool:
        """Return False: the package asks before it seeks."""
        return False
