# SPDX-License-Identifier: MIT
"""Small ONNX models, made here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

N_FRAMES, N_MELS, N_LABELS = 96, 64, 3

ModelMaker = Callable[..., "Path"]


@pytest.fixture
def make_model(tmp_path: Path) -> ModelMaker:
    """Return a maker of models whose scores are the first value of the patch plus a bias.

    A `row` that is not the size of a patch makes one that fails when it runs.
    """

    def make(
        name: str = "model.onnx",
        *,
        shape: Sequence[int | str] = ("N", N_FRAMES, N_MELS),
        bias: Sequence[float] = (0.1, 0.2, 0.3),
        inputs: int = 1,
        row: int = -1,
    ) -> Path:
        patches = [
            helper.make_tensor_value_info(f"patch{k}", TensorProto.FLOAT, list(shape))
            for k in range(inputs)
        ]
        constants = {
            "flat": np.array([1, row]),
            "from": np.array([0]),
            "to": np.array([1]),
            "axis": np.array([1]),
            "bias": np.array([bias], np.float32),
        }
        nodes = [
            helper.make_node("Reshape", ["patch0", "flat"], ["values"]),
            helper.make_node("Slice", ["values", "from", "to", "axis"], ["first"]),
            helper.make_node("Add", ["first", "bias"], ["scores"]),
        ]
        outputs = [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", len(bias)]),
            helper.make_tensor_value_info("first", TensorProto.FLOAT, ["N", 1]),
        ]
        graph = helper.make_graph(
            nodes,
            "test",
            patches,
            outputs,
            [numpy_helper.from_array(value, key) for key, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path = tmp_path / name
        onnx.save(model, path)
        return path

    return make
