# SPDX-License-Identifier: MIT
"""YAMNet's own 8-bit arithmetic, layer by layer, as TensorFlow Lite defines it, in NumPy.

Independent of what makes ONNX of the file: it shares the reader alone.

Source: B. Jacob et al., "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", CVPR 2018; TensorFlow Lite's quantization specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.model.tflite import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.model.tflite import Graph, Operator, Tensor

    Values = NDArray[Any]


def run(graph: Graph, patch: Values) -> Iterator[tuple[Operator, Values]]:
    """Give each operator from the quantized patch on with its result made real."""
    first = next(k for k, one in enumerate(graph.operators) if one.code == Code.QUANTIZE)
    values = patch.astype(np.float64)
    for one in graph.operators[first:]:
        values = _step(graph, one, values)
        result = graph.tensors[one.outputs[0]]
        yield one, _real(values, result) if result.kind == "i1" else values


def _step(graph: Graph, one: Operator, x: Values) -> Values:
    heard = graph.tensors[one.inputs[0 if one.code != Code.SPLIT else 1]]
    result = graph.tensors[one.outputs[0]]
    match one.code:
        case Code.QUANTIZE:
            return _rounded(x / result.scales[0], result)
        case Code.SPLIT | Code.RESHAPE:
            return x.reshape(result.shape)
        case Code.CONV | Code.DEPTHWISE | Code.DENSE:
            return _layer(graph, one, x - heard.zeros[0], heard.scales[0], result)
        case Code.MEAN:
            mean = (x - heard.zeros[0]).mean(axis=(1, 2), keepdims=True)
            return _rounded(mean * heard.scales[0] / result.scales[0], result)
        case Code.LOGISTIC:
            return _rounded(1 / (1 + np.exp(-_real(x, heard))) / result.scales[0], result)
        case Code.DEQUANTIZE:
            return _real(x, heard)
    raise AssertionError(one.code)


def _layer(graph: Graph, one: Operator, x: Values, scale: float, result: Tensor) -> Values:
    weights, bias = (graph.tensors[k] for k in one.inputs[1:])
    assert weights.data is not None
    assert bias.data is not None
    kernel = weights.data.astype(np.float64)  # whole numbers: float64 adds them exactly
    dense = one.code == Code.DENSE
    total = x.reshape(1, -1) @ kernel.T if dense else _convolved(one, x, kernel)
    total = total + bias.data
    return _rounded(total * (weights.scales.astype(np.float64) * scale / result.scales[0]), result)


def _convolved(one: Operator, x: Values, kernel: Values) -> Values:
    """Return what a window of the kernel's size gives at each step; zeros around (SAME)."""
    assert one.options is not None
    step = one.options.integer(2, 1)
    assert one.options.integer(1, 1) == step
    assert one.options.byte(0) == 0
    height, width = kernel.shape[1:3]
    out = [-(-side // step) for side in x.shape[1:3]]
    total = np.zeros((1, *out, kernel.shape[3 if one.code == Code.DEPTHWISE else 0]))
    missing = [
        max((n - 1) * step + k - side, 0)
        for n, k, side in zip(out, (height, width), x.shape[1:3], strict=True)
    ]
    x = np.pad(x, [(0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)])
    for row in range(height):
        for column in range(width):
            part = x[:, row::step, column::step][:, : out[0], : out[1]]
            if one.code == Code.DEPTHWISE:
                total += part * kernel[0, row, column]
            else:
                total += part @ kernel[:, row, column].T
    return total


def _rounded(steps: Values, result: Tensor) -> Values:
    """Return 8 bit: ReLU6 needs no step of its own, its ends are those of the scale."""
    zero = result.zeros[0]
    return np.clip(np.floor(steps + 0.5) + zero, -128, 127)


def _real(values: Values, tensor: Tensor) -> Values:
    return (values - tensor.zeros[0]) * np.float64(tensor.scales[0])
