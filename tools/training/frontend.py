# SPDX-License-Identifier: MIT
"""The ears of the network that is trained, and of the teacher that it learns from."""

from __future__ import annotations

from typing import Final

from edge.dsp.logmel import log_mel
from edge.model.frontend import PRESETS

STUDENT: Final = PRESETS["edge"]
TEACHER: Final = PRESETS["yamnet"]
PATCH_SAMPLES: Final = (
    STUDENT.front_end.win_length + (STUDENT.patch_frames - 1) * STUDENT.front_end.hop_length
)

__all__ = ["PATCH_SAMPLES", "STUDENT", "TEACHER", "log_mel"]
