# SPDX-License-Identifier: MIT
"""A chain of YAMNet's quantized operators as an ONNX model of float arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.errors import ModelError
from edge.model.tflite import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edge.model.flatbuffer import Table
    from edge.model.tflite import Graph, Operator, Tensor

    Float32 = NDArray[np.float32]

SCORES: Final = "scores"
EMBEDDING: Final = "embedding"
PATCH: Final = "log_mel"
MOST_BYTES: Final = 64_000_000  # of weights: a hostile file may name the same ones many times

_SAME: Final = 0  # Padding, of schema.fbs
_BOUNDS: Final[Mapping[int, tuple[float, float]]] = {  # ActivationFunctionType
    0: (-np.inf, np.inf),
    1: (0.0, np.inf),
    2: (-1.0, 1.0),
    3: (0.0, 6.0),
}


class Network:
    """Makes the model, channels first; `_shape` is that of what was made last."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._made = PATCH
        self._shape: tuple[int, ...] = ()
        self._embedded: tuple[int, ...] = ()
        self._n_bytes = 0
        self._steps: Mapping[int, Callable[[Operator], None]] = {
            Code.QUANTIZE: self._begin,
            Code.DEQUANTIZE: self._pass,
            Code.SPLIT: self._split,
            Code.RESHAPE: self._reshape,
            Code.CONV: self._conv,
            Code.DEPTHWISE: self._conv,
            Code.MEAN: self._mean,
            Code.DENSE: self._dense,
            Code.LOGISTIC: self._logistic,
        }

    def convert(self, chain: list[Operator]) -> bytes:
        """Return the model of a chain from the quantized patch to the scores, as a file has it.

        Raises `ModelError` for operators, forms and sizes that are not YAMNet's.
        """
        for one in chain:
            if one.code not in self._steps:
                raise ModelError(f"operator {one.code} of schema.fbs is not known here")
            self._steps[one.code](one)
        made = {name for node in self._nodes for name in node.output}
        if not {SCORES, EMBEDDING} <= made:
            raise ModelError("it ends in no scores by a sigmoid, or has no embedding before them")
        return self._model(self._graph.tensors[chain[0].inputs[0]].shape)

    def _model(self, patch: tuple[int, ...]) -> bytes:
        sizes = {SCORES: self._shape, EMBEDDING: self._embedded}
        graph = helper.make_graph(
            self._nodes,
            "yamnet",
            [helper.make_tensor_value_info(PATCH, TensorProto.FLOAT, patch)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
                for name, size in sizes.items()
            ],
            self._constants,
        )
        # The oldest that onnxruntime 1.20 and later read alike.
        opset = helper.make_opsetid("", 17)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _begin(self, one: Operator) -> None:
        """Bound the patch as its 8 bits do."""
        patch = self._graph.tensors[one.inputs[0]]
        self._shape = patch.shape
        self._bound(one, 0)

    def _pass(self, one: Operator) -> None:
        del one

    def _split(self, one: Operator) -> None:
        if len(one.outputs) != 1:
            raise ModelError("it splits what it hears")

    def _reshape(self, one: Operator) -> None:
        """Give the patch its axis of one channel: first, not last."""
        wanted = self._graph.tensors[one.outputs[0]].shape
        if wanted != (*self._shape, 1):
            raise ModelError(f"it changes the shape {self._shape} to {wanted}")
        self._shape = (1, 1, *self._shape[1:])
        self._node("Reshape", [self._constant("patch_shape", np.array(self._shape))])

    def _conv(self, one: Operator) -> None:
        deep = one.code == Code.DEPTHWISE
        weights, values, bias = self._parameters(one)
        options = one.options
        if options is None or len(self._shape) != 4:
            raise ModelError("a convolution has no options, or hears no picture")
        strides, activation = _steps_of(options, deep=deep)
        # Depthwise (1, h, w, outputs), else (outputs, h, w, inputs).
        kernel = values.transpose(*((3, 0, 1, 2) if deep else (0, 3, 1, 2)))
        channels = self._shape[1]
        if kernel.shape[1] != (1 if deep else channels) or (deep and kernel.shape[0] != channels):
            raise ModelError(f"a convolution of {weights.shape} hears {channels} channels")
        pads, sides = _padded(self._shape[2:], kernel.shape[2:], strides, options.byte(0))
        self._shape = (1, kernel.shape[0], *sides)
        self._node(
            "Conv",
            [self._real(weights, kernel), self._constant("bias", bias)],
            strides=strides,
            pads=pads,
            group=channels if deep else 1,
        )
        self._bound(one, activation)

    def _mean(self, one: Operator) -> None:
        axes = self._graph.tensors[one.inputs[1]].data if len(one.inputs) == 2 else None
        if axes is None or sorted(axes.reshape(-1).tolist()) != [1, 2] or len(self._shape) != 4:
            raise ModelError("its mean is not over time and bands")
        self._node("GlobalAveragePool", [])
        self._shape = (1, self._shape[1])
        self._node("Flatten", [], name=EMBEDDING)
        self._embedded = self._shape

    def _dense(self, one: Operator) -> None:
        weights, values, bias = self._parameters(one)
        options = one.options
        if options is None or options.byte(0) or options.byte(1):
            raise ModelError("its last layer has a form that is not read")
        if values.shape[1:] != self._shape[1:]:
            raise ModelError(f"its last layer of {weights.shape} hears {self._shape}")
        self._shape = (1, values.shape[0])
        inputs = [self._real(weights, values), self._constant("bias", bias)]
        self._node("Gemm", inputs, transB=1)

    def _logistic(self, one: Operator) -> None:
        del one
        self._node("Sigmoid", [], name=SCORES)

    def _parameters(self, one: Operator) -> tuple[Tensor, NDArray[Any], Float32]:
        """Return the weights of a layer, checked, as they are and as stored, and its real bias."""
        if len(one.inputs) != 3 or min(one.inputs) < 0:
            raise ModelError("a layer has no weights or no bias")
        weights, bias = (self._graph.tensors[k] for k in one.inputs[1:])
        axis = 3 if one.code == Code.DEPTHWISE else 0
        rank = 2 if one.code == Code.DENSE else 4
        values, offsets = weights.data, bias.data
        if values is None or values.ndim != rank or weights.kind != "i1":
            raise ModelError(f"{weights.name!r} of {weights.shape} are no weights of 8 bit")
        outputs = values.shape[axis]
        if offsets is None or offsets.shape != (outputs,):
            raise ModelError(f"{bias.name!r} of {bias.shape} is no bias for {weights.shape}")
        for tensor in (weights, bias):
            if len(tensor.scales) not in {1, outputs} or not tensor.is_about_zero():
                raise ModelError(f"{tensor.name!r} is not quantized about 0")
        if len(weights.scales) > 1 and weights.axis != axis:
            raise ModelError(f"{weights.name!r} has its scales along axis {weights.axis}")
        return weights, values, offsets.astype(np.float32) * bias.scales

    def _real(self, tensor: Tensor, values: NDArray[Any]) -> str:
        """Return the name of weights made real, by the first axis of `values`.

        Not by DequantizeLinear: onnxruntime would do that for each patch anew, and take four
        times as long; this it does once, as it opens the model.
        """
        stored = self._constant("weights", np.ascontiguousarray(values))
        scales = tensor.scales.reshape(-1, *[1] * (values.ndim - 1))
        whole, real = f"whole_{stored}", f"real_{stored}"
        self._nodes += [
            helper.make_node("Cast", [stored], [whole], to=TensorProto.FLOAT),
            helper.make_node("Mul", [whole, self._constant("scales", scales)], [real]),
        ]
        return real

    def _bound(self, one: Operator, activation: int) -> None:
        """Apply the activation, and the ends of what the 8 bits of the result can say."""
        result = self._graph.tensors[one.outputs[0]]
        if activation not in _BOUNDS or result.kind != "i1" or not result.is_quantized():
            raise ModelError(f"activation {activation} of {result.name!r} is not read")
        zero = int(result.zeros[0]) if result.zeros.size else 0
        ends = result.scales[0] * np.array([-128.0 - zero, 127.0 - zero])
        low, high = np.clip(_BOUNDS[activation], *ends).astype(np.float32)
        self._node("Clip", [self._constant("low", low), self._constant("high", high)])

    def _constant(self, role: str, values: NDArray[Any] | np.generic) -> str:
        self._n_bytes += values.nbytes
        if self._n_bytes > MOST_BYTES:
            raise ModelError(f"its weights are more than {MOST_BYTES // 10**6} MB")
        name = f"{role}_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def _node(self, kind: str, others: list[str], *, name: str = "", **how: Any) -> None:  # noqa: ANN401 - onnx's own
        """Add a node on what was made last."""
        made = name or f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, [self._made, *others], [made], **how))
        self._made = made


def _steps_of(options: Table, *, deep: bool) -> tuple[tuple[int, int], int]:
    """Return strides (height, width) and activation of a convolution."""
    strides = options.integer(2, 1), options.integer(1, 1)
    later = 4 if deep else 3  # the depth multiplier is in between
    dilations = options.integer(later + 1, 1), options.integer(later + 2, 1)
    if dilations != (1, 1) or min(strides) < 1 or max(strides) > 16:
        raise ModelError(f"a convolution has strides {strides} and dilations {dilations}")
    return strides, options.byte(later)


def _padded(
    sides: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, int], padding: int
) -> tuple[list[int], tuple[int, ...]]:
    """Return the zeros before both axes and behind them, and the sides of the result."""
    if padding == _SAME:
        out = tuple(-(-side // step) for side, step in zip(sides, strides, strict=True))
    else:
        out = tuple((s - k) // step + 1 for s, k, step in zip(sides, kernel, strides, strict=True))
    if min(out) < 1 or min(kernel) < 1:
        raise ModelError(f"a convolution of {kernel} does not fit {sides}")
    missing = [
        max((o - 1) * step + k - s, 0)
        for o, step, k, s in zip(out, strides, kernel, sides, strict=True)
    ]
    before = [one // 2 for one in missing]
    return [*before, *(m - b for m, b in zip(missing, before, strict=True))], out
