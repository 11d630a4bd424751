# SPDX-License-Identifier: MIT
"""The ears of the network that is trained."""

from __future__ import annotations

from typing import Final

from edge.dsp.logmel import log_mel
from edge.model.frontend import PRESETS

STUDENT: Final = PRESETS["edge"]
PATCH_SAMPLES: Final = (
    STUDENT.front_end.win_length + (STUDENT.patch_frames - 1) * STUDENT.front_end.hop_length
)
HOP_SAMPLES: Final = STUDENT.patch_hop * STUDENT.front_end.hop_length

__all__ = ["HOP_SAMPLES", "PATCH_SAMPLES", "STUDENT", "log_mel"]
