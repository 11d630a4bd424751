# SPDX-License-Identifier: MIT
"""The trained weights as an ONNX graph, its batch norms folded into the convolutions.

Written node by node: the graph is a few kinds of plain operators, the same bytes for the
same weights, and no exporter's taste in it. Weights are stored in 8 bits with a scale for each
output and become float when the file is opened: an eighth of a percent of the loudest weight
is all that is lost, and no processor has to compute in integers.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edge.model.registry import METADATA_KEY
from edge.model.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tools.training.network import Network

OPSET: Final = 17
IR_VERSION: Final = 8  # what goes with opset 17, so that old runtimes read it
SCORES: Final = "scores"
EMBEDDING: Final = "embedding"
TOLERANCE: Final = 1e-3
MOST: Final = 127.0  # of the 8 bits
FLOAT: Final = int(TensorProto.FLOAT)


def export(
    network: Network,
    path: Path,
    *,
    n_frames: int,
    n_mels: int,
    rows: Sequence[int],
    temperature: float = 1.0,
) -> None:
    """Write the network: patches in, scores of the head's `rows` and embedding out, in batches.

    temperature : what the logits are divided by.

    Raises `ArithmeticError` if the file gives other scores than the network with its weights
    rounded.
    """
    graph = _Graph()
    graph.node("ReduceMean", ["log_mel"], "mean", axes=[1, 2], keepdims=1)
    graph.node("Sub", ["log_mel", "mean"], "centred")
    graph.node("Unsqueeze", ["centred", graph.constant("channel", np.array([1]))], "maps")
    last = "maps"
    network = _rounded(network, rows, temperature)
    for number, (conv, norm) in enumerate(_convolutions(network.body)):
        last = graph.convolution(last, number, conv, norm.bias.detach().numpy())
    graph.node("ReduceMean", [last], "average", axes=[2, 3], keepdims=0)
    graph.node("ReduceMax", [last], "highest", axes=[2, 3], keepdims=0)
    graph.node("Concat", ["average", "highest"], "pooled", axis=1)
    graph.linear("pooled", "neck", network.neck)
    graph.node("Relu", ["neck"], EMBEDDING)
    graph.linear(EMBEDDING, "head", network.head)
    graph.node("Sigmoid", ["head"], SCORES)
    size = int(network.neck.weight.shape[0])
    model = helper.make_model(
        graph.finish((n_frames, n_mels), {SCORES: len(rows), EMBEDDING: size}),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="edge",
    )
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    _compare(network, path, (n_frames, n_mels))


def add_aliases(path: Path, aliases: Mapping[str, str]) -> None:
    """Write other names of the labels' sounds into the description of a model file."""
    model = onnx.load(path)
    kept = {one.key: one.value for one in model.metadata_props}
    description = json.loads(kept[METADATA_KEY]) | {"aliases": dict(aliases)}
    kept[METADATA_KEY] = json.dumps(description, ensure_ascii=False)
    onnx.helper.set_model_props(model, kept)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _rounded(network: Network, rows: Sequence[int], temperature: float) -> Network:
    """Return a copy: batch norms folded, weights in steps of 8 bits, these rows of the head."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for conv, norm in _convolutions(network.body):
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            conv.weight.copy_(_on_grid(conv.weight * scale[:, None, None, None]))
            norm.bias.copy_(norm.bias - norm.running_mean * scale)
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0 - norm.eps)
            norm.weight.fill_(1.0)
        network.neck.weight.copy_(_on_grid(network.neck.weight))
        head = nn.Linear(network.head.in_features, len(rows))
        head.weight.copy_(_on_grid(network.head.weight[list(rows)] / temperature))
        head.bias.copy_(network.head.bias[list(rows)] / temperature)
    return dataclasses.replace(network, head=head)


def _step(weight: torch.Tensor) -> torch.Tensor:
    """Return the step of each output's weights, in the shape of the weights."""
    highest = weight.abs().flatten(1).amax(1).clamp(min=1e-12)
    return (highest / MOST).reshape(-1, *[1] * (weight.dim() - 1))


def _on_grid(weight: torch.Tensor) -> torch.Tensor:
    step = _step(weight)
    return torch.round(weight / step) * step


def _compare(network: Network, path: Path, patch: tuple[int, int]) -> None:
    """Refuse a file that does not compute what was trained."""
    # As wide as the logarithm of anything from silence to full scale.
    patches = np.random.default_rng(0).uniform(-9.0, 3.0, (16, *patch)).astype(np.float32)
    with torch.no_grad():
        embedding = network.embed(torch.from_numpy(patches))
        scores = torch.sigmoid(network.head(embedding))
    heard = Session(path).run([SCORES, EMBEDDING], patches)
    for name, got, wanted in zip((SCORES, EMBEDDING), heard, (scores, embedding), strict=True):
        if not np.allclose(got, wanted.numpy(), rtol=TOLERANCE, atol=TOLERANCE):
            worst = float(np.abs(got - wanted.numpy()).max())
            raise ArithmeticError(f"{name} of the ONNX file are off by {worst:.1e}")


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def node(
        self, kind: str, inputs: list[str], output: str, **attributes: int | list[int]
    ) -> None:
        node = helper.make_node(kind, inputs, [output], name=output)
        node.attribute.extend(helper.make_attribute(*one) for one in attributes.items())
        self._nodes.append(node)

    def weight(self, name: str, value: torch.Tensor) -> str:
        """Add weights as 8 bits and a scale; onnxruntime multiplies them once, on opening."""
        step = _step(value)
        steps = torch.round(value / step).to(torch.int8).contiguous().numpy()
        self.node("Cast", [self.constant(f"{name}.steps", steps)], f"{name}.float", to=FLOAT)
        scale = self.constant(f"{name}.scale", step.contiguous().numpy())
        self.node("Mul", [f"{name}.float", scale], name)
        return name

    def linear(self, source: str, name: str, layer: nn.Linear) -> None:
        bias = self.constant(f"{name}.bias", layer.bias.detach().numpy())
        inputs = [source, self.weight(f"{name}.weight", layer.weight.detach()), bias]
        self.node("Gemm", inputs, name, transB=1)

    def convolution(
        self, source: str, number: int, conv: nn.Conv2d, bias: NDArray[np.float32]
    ) -> str:
        name = f"conv{number}"
        inputs = [
            source,
            self.weight(f"{name}.weight", conv.weight.detach()),
            self.constant(f"{name}.bias", bias),
        ]
        self.node(
            "Conv",
            inputs,
            name,
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=[int(one) for one in conv.padding] * 2,
            group=conv.groups,
        )
        self.node("Relu", [name], f"{name}.relu")
        return f"{name}.relu"

    def finish(self, patch: tuple[int, int], outputs: dict[str, int]) -> onnx.GraphProto:
        def tensor(name: str, *shape: int) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])

        return helper.make_graph(
            self._nodes,
            "edge",
            [tensor("log_mel", *patch)],
            [tensor(name, size) for name, size in outputs.items()],
            self._constants,
        )


def _convolutions(body: nn.Sequential) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Return each convolution with the batch norm after it."""
    return [
        (conv, norm)
        for conv, norm in itertools.pairwise(body)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    ]
