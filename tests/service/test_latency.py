# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from edge.service.latency import period_ends


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_the_end_of_a_period_is_told_from_reads_that_were_woken_up_late(ppm: int) -> None:
    """Most 50 us late, one in a hundred by 5 ms; the ends are right within 0.2 ms."""
    rng = np.random.default_rng(0)
    index = 120 * np.arange(1, 4001)
    ends_s = 1000.0 + index / 48000 / (1 + ppm * 1e-6)
    late_s = rng.exponential(50e-6, 4000) + 5e-3 * (rng.random(4000) < 0.01)
    told = period_ends(list(zip(index.tolist(), (ends_s + late_s).tolist(), strict=True)))
    assert np.abs(told - ends_s).max() < 2e-4


def test_of_one_period_it_is_the_read_itself() -> None:
    assert period_ends([(120, 7.0)]) == pytest.approx([7.0])
    assert len(period_ends([])) == 0
