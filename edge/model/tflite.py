# SPDX-License-Identifier: MIT
"""TensorFlow Lite files: tensors and operators, as far as a classifier needs them."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.errors import ModelError
from edge.model.flatbuffer import Table, root

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# Of schema.fbs: TensorType.
_KINDS: Final[Mapping[int, str]] = {0: "f4", 2: "i4", 3: "u1", 4: "i8", 7: "i2", 9: "i1"}
_EARLIER_CODES: Final = 127  # what an operator that came later has in the old, 8 bit wide field


MOST_AXES: Final = 8
MOST_INPUTS: Final = 100  # of an operator
_SCALES: Final = (1e-12, 1e6)  # beyond them nothing was ever measured


class Code(enum.IntEnum):
    """Operators that are known by name. Of schema.fbs: BuiltinOperator."""

    CONV = 3
    DEPTHWISE = 4
    DEQUANTIZE = 6
    DENSE = 9
    LOGISTIC = 14
    RESHAPE = 22
    MEAN = 40
    SPLIT = 49
    QUANTIZE = 114


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the graph.

    data : its values, if it is a constant, in its shape.
    scales, zeros : real = scale * (value - zero), (1,) or one per slice of `axis`; no scales:
        not quantized; no zeros: all 0. Not checked before they are used.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    data: NDArray[Any] | None
    scales: NDArray[Any]
    zeros: NDArray[Any]
    axis: int

    def is_quantized(self) -> bool:
        """Return whether it has one scale, and a zero within 8 bits."""
        zero = int(self.zeros[0]) if self.zeros.size == 1 else 0
        return self.scales.size == 1 and self._has_scales() and -128 <= zero <= 127

    def is_about_zero(self) -> bool:
        """Return whether its scales, one or more, are some, and 0 stands for 0."""
        return self._has_scales() and not self.zeros.any()

    def _has_scales(self) -> bool:
        low, high = _SCALES
        return bool(self.scales.size and np.all((self.scales > low) & (self.scales < high)))


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator; `code` is BuiltinOperator, tensors are numbers, -1 for one left out."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None


@dataclass(frozen=True, slots=True)
class Graph:
    """The only subgraph of a file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    outputs: tuple[int, ...]


def read_graph(content: bytes) -> Graph:
    """Return the graph of a file; constants are views of `content`.

    Raises `ModelError` for what is no TensorFlow Lite file of version 3, or a damaged one.

    Source: tensorflow/lite/schema/schema.fbs (Apache-2.0), whose field numbers stand here.
    """
    model = root(content, b"TFL3")
    if model.integer(0) != 3:
        raise ModelError(f"its schema has version {model.integer(0)}, not 3")
    subgraphs = model.tables(2)
    if len(subgraphs) != 1:
        raise ModelError(f"it has {len(subgraphs)} subgraphs, not 1")
    graph, buffers = subgraphs[0], model.tables(4)
    codes = [_code(one) for one in model.tables(1)]
    tensors = tuple(_tensor(one, buffers) for one in graph.tables(0))
    operators = tuple(_operator(one, codes, len(tensors)) for one in graph.tables(3))
    outputs = _numbers(graph, 2, len(tensors))
    return Graph(tensors, operators, outputs)


def _code(table: Table) -> int:
    early = table.byte(0)
    return table.integer(3) if early == _EARLIER_CODES else early


def _tensor(table: Table, buffers: list[Table]) -> Tensor:
    sizes = table.array(0, "i4")
    kind = _KINDS.get(table.byte(1), "")
    name, buffer = table.text(3), table.integer(2)
    if not 0 <= buffer < len(buffers):
        raise ModelError(f"tensor {name!r} is in buffer {buffer} of {len(buffers)}")
    if len(sizes) > MOST_AXES:
        raise ModelError(f"tensor {name!r} has {len(sizes)} axes")
    shape = tuple(int(size) for size in sizes)
    quantization = table.table(4)
    scales = quantization.array(2, "f4") if quantization else np.zeros(0, "f4")
    zeros = quantization.array(3, "i8") if quantization else np.zeros(0, "i8")
    axis = quantization.integer(6) if quantization else 0
    if len(zeros) not in {0, len(scales)}:
        raise ModelError(f"tensor {name!r} has {len(scales)} scales, {len(zeros)} zeros")
    return Tensor(
        name=name,
        shape=shape,
        kind=kind,
        data=_values(name, shape, kind, buffers[buffer].array(0, "u1")),
        scales=scales,
        zeros=zeros,
        axis=axis,
    )


def _values(name: str, shape: tuple[int, ...], kind: str, raw: NDArray[Any]) -> NDArray[Any] | None:
    if not raw.size:
        return None
    if not kind:
        raise ModelError(f"tensor {name!r} is of a type that is not read here")
    size = math.prod(shape) * np.dtype(kind).itemsize
    if min(shape, default=0) < 0 or size != raw.size:
        raise ModelError(f"tensor {name!r} of {shape} has {raw.size} bytes, not {size}")
    return np.frombuffer(raw, f"<{kind}").reshape(shape)


def _operator(table: Table, codes: list[int], n_tensors: int) -> Operator:
    code = table.integer(0)
    if not 0 <= code < len(codes):
        raise ModelError(f"an operator has code {code} of {len(codes)}")
    return Operator(
        code=codes[code],
        inputs=_numbers(table, 1, n_tensors),
        outputs=_numbers(table, 2, n_tensors),
        options=table.table(4),
    )


def _numbers(table: Table, field: int, n_tensors: int) -> tuple[int, ...]:
    asked = table.array(field, "i4")
    if len(asked) > MOST_INPUTS:
        raise ModelError(f"an operator has {len(asked)} tensors")
    found = tuple(int(one) for one in asked)
    if bad := [one for one in found if not -1 <= one < n_tensors]:
        raise ModelError(f"tensor {bad[0]} is asked for, there are {n_tensors}")
    return found
