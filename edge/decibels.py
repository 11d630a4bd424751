# SPDX-License-Identifier: MIT
"""What a level is called: dB SPL where there is a calibration, dBFS where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def named(
    figures_dbfs: Mapping[str, float | None], offset_db: float | None
) -> dict[str, float | None]:
    """Return levels under names that say what they are: `…_db`, or `…_dbfs` uncalibrated.

    Parameters
    ----------
    figures_dbfs : by name without a unit; None: there was nothing to measure.
    offset_db : what a calibration adds to dBFS to make dB SPL; None: there is none.
    """
    unit = unit_of(offset_db)
    return {
        f"{name}_{unit}": None if value is None else round(value + (offset_db or 0.0), 1)
        for name, value in figures_dbfs.items()
    }


def unit_of(offset_db: float | None) -> str:
    """Return how names of levels end."""
    return "dbfs" if offset_db is None else "db"
