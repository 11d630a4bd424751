# SPDX-License-Identifier: MIT
"""The trained weights as an ONNX graph, its batch norms folded into the convolutions.

Written node by node: the graph is eight kinds of plain operators, the same bytes for the
same weights, and no exporter's taste in it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edge.model.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tools.training.network import Network

OPSET: Final = 17
IR_VERSION: Final = 8  # what goes with opset 17, so that old runtimes read it
SCORES: Final = "scores"
EMBEDDING: Final = "embedding"
TOLERANCE: Final = 1e-4


def export(network: Network, path: Path, *, n_frames: int, n_mels: int, n_labels: int) -> None:
    """Write the network: patches in, scores and embedding out, both with a batch axis.

    Raises `ArithmeticError` if the file gives other scores than the network.
    """
    graph = _Graph()
    graph.node("ReduceMean", ["log_mel"], "mean", axes=[1, 2], keepdims=1)
    graph.node("Sub", ["log_mel", "mean"], "centred")
    graph.node("Unsqueeze", ["centred", graph.constant("channel", np.array([1]))], "maps")
    last = "maps"
    for number, (weight, bias, conv) in enumerate(_folded(network.body)):
        last = graph.convolution(last, number, weight, bias, conv)
    graph.node("ReduceMean", [last], "average", axes=[2, 3], keepdims=0)
    graph.node("ReduceMax", [last], "highest", axes=[2, 3], keepdims=0)
    graph.node("Concat", ["average", "highest"], EMBEDDING, axis=1)
    weight, bias = (one.detach().numpy() for one in (network.head.weight, network.head.bias))
    head = [graph.constant("head.weight", weight), graph.constant("head.bias", bias)]
    graph.node("Gemm", [EMBEDDING, *head], "logits", transB=1)
    graph.node("Sigmoid", ["logits"], SCORES)
    model = helper.make_model(
        graph.finish((n_frames, n_mels), {SCORES: n_labels, EMBEDDING: weight.shape[1]}),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="edge",
    )
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    _compare(network, path, (n_frames, n_mels))


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

    def convolution(
        self,
        source: str,
        number: int,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        conv: nn.Conv2d,
    ) -> str:
        name = f"conv{number}"
        inputs = [
            source,
            self.constant(f"{name}.weight", weight),
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


def _folded(
    body: nn.Sequential,
) -> list[tuple[NDArray[np.float32], NDArray[np.float32], nn.Conv2d]]:
    """Return weight and bias of each convolution with the batch norm after it folded in."""
    layers = list(body)
    folded = []
    for conv, norm in itertools.pairwise(layers):
        if not (isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
            continue
        with torch.no_grad():
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = (conv.weight * scale[:, None, None, None]).contiguous().numpy()
            bias = (norm.bias - norm.running_mean * scale).numpy()
        folded.append((weight, bias, conv))
    return folded
