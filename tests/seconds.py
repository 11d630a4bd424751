# SPDX-License-Identifier: MIT
"""Seconds as a meter gives them, with any figure chosen."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.types import Level


def a_level(second: int = 0, rate_hz: int = 48000, **figures: Any) -> Level:  # noqa: ANN401 - Level's own fields
    """Return second number `second`, all of it heard; `figures` are those that differ."""
    start = second * rate_hz
    known: dict[str, Any] = {
        "sample_index": start,
        "end_index": start + rate_hz,
        "n_samples": rate_hz,
        "laeq_dbfs": -41.04,
        "lceq_dbfs": -40.5,
        "lzeq_dbfs": -39.96,
        "lafmax_dbfs": -38.0,
        "lafmin_dbfs": -45.0,
        "lasmax_dbfs": -40.0,
        "lcpeak_dbfs": -20.0,
        "laf_dbfs": np.full(100, -41.0, np.float32),
        "gap": False,
        "clipped_samples": 0,
    }
    return Level(**(known | figures))
