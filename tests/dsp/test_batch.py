# SPDX-License-Identifier: MIT
"""A batch gives back what was kept, in order, whatever the cut."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.dsp.batch import Batch


@given(st.lists(st.integers(0, 40), max_size=20))
def test_what_comes_out_is_what_went_in(cuts: list[int]) -> None:
    samples = np.arange(2 * sum(cuts), dtype=np.int16).reshape(-1, 2)
    batch, out, at = Batch(16), [samples[:0]], 0
    for cut in cuts:
        rest = samples[at : at + cut]
        at += cut
        while len(rest):
            rest = rest[batch.keep(rest) :]
            if batch.full and (raw := batch.take()) is not None:
                assert len(raw) == 16
                out.append(raw.copy())
    if (raw := batch.take()) is not None:
        out.append(raw.copy())
    np.testing.assert_array_equal(np.concatenate(out), samples)
    assert batch.take() is None
