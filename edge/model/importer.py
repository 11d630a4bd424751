# SPDX-License-Identifier: MIT
"""From YAMNet's TensorFlow Lite file to ONNX: patch in, scores and embedding out."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.dsp.melbank import mel_filterbank
from edge.errors import ModelError
from edge.model.converter import Network
from edge.model.frontend import PRESETS
from edge.model.tflite import Code, read_graph

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.tflite import Graph, Operator

MOST_BYTES: Final = 64_000_000
MOST_LABEL_BYTES: Final = 1_000_000
MOST_STEPS: Final = 200
# Of the others one entry of a few hundred bytes may take half a gigabyte to unpack.
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)
_HELP: Final = "what is read is YAMNet's official file, yamnet.tflite"


@dataclass(frozen=True, slots=True)
class Imported:
    """A model as ONNX, with the labels that were in its file."""

    onnx: bytes
    labels: tuple[str, ...]


def import_tflite(path: Path) -> Imported:
    """Return YAMNet of a TensorFlow Lite file as an ONNX model of float arithmetic.

    The weights stay in 8 bit and are made real when the model is opened; what lies between the
    layers is real, and bounded as the file's 8 bits were. The waveform's part is left out, once
    it is seen to be the front end of the preset `yamnet`.

    Raises `ModelError` for another file, a damaged or a hostile one.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelError(f"{path} is larger than {MOST_BYTES // 10**6} MB", _HELP)
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}") from error
    try:
        graph = read_graph(content)
        chain = _chain(graph)
        _check_front_end(graph, chain[0].inputs[0])
        made = Network(graph).convert(chain)
    except ModelError as error:
        raise ModelError(
            f"{path} can't be imported: {error.message}", error.help or _HELP
        ) from error
    return Imported(made, _labels(path))


def _labels(path: Path) -> tuple[str, ...]:
    """Return the labels from the archive behind the model; none: (). One per line."""
    try:
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                if item.filename.endswith("label_list.txt") and item.compress_type in _METHODS:
                    with archive.open(item) as file:
                        content = file.read(MOST_LABEL_BYTES + 1)
                    if len(content) > MOST_LABEL_BYTES:
                        break
                    lines = content.decode().splitlines()
                    return tuple(line.strip() for line in lines if line.strip())
    except _DAMAGED:
        pass  # no archive, or a damaged one: then the labels have to be named
    return ()


def _chain(graph: Graph) -> list[Operator]:
    """Return the operators that lead from the quantized patch to the only output, in order."""
    if len(graph.outputs) != 1:
        raise ModelError(f"it has {len(graph.outputs)} outputs, not 1")
    makers = {made: one for one in graph.operators for made in one.outputs}
    chain: list[Operator] = []
    wanted = graph.outputs[0]
    while not (chain and chain[-1].code == Code.QUANTIZE):
        if wanted not in makers or len(chain) >= MOST_STEPS:
            raise ModelError("no patch of 8 bit leads to its output")
        chain.append(makers[wanted])
        heard = chain[-1].inputs
        if not heard or not chain[-1].outputs:
            raise ModelError(f"operator {chain[-1].code} has no input or output")
        wanted = heard[-1 if chain[-1].code == Code.SPLIT else 0]
    return chain[::-1]


def _check_front_end(graph: Graph, patch: int) -> None:
    """Refuse a file that hears otherwise than the preset `yamnet`."""
    yamnet = PRESETS["yamnet"]
    sides = (1, yamnet.patch_frames, yamnet.front_end.n_mels)
    if not patch >= 0 or graph.tensors[patch].shape != sides:
        raise ModelError(f"its patch is not {sides[1]} frames of {sides[2]} bands")
    makers = {made: one for one in graph.operators for made in one.outputs}
    wanted, bank = patch, None
    for _ in range(MOST_STEPS):
        bank = makers.get(wanted)
        if bank is None or bank.code == Code.DENSE or not bank.inputs:
            break
        wanted = bank.inputs[0]
    if bank is None or bank.code != Code.DENSE or len(bank.inputs) != 3:
        raise ModelError("it has no mel bands of its own")
    bands, offset = (graph.tensors[k].data if k >= 0 else None for k in bank.inputs[1:])
    expected = mel_filterbank(yamnet.front_end).T
    if bands is None or not _alike(bands, expected):
        raise ModelError("its mel bands are not those of YAMNet")
    if offset is None or not _alike(offset, np.full(sides[2], yamnet.front_end.offset)):
        raise ModelError("it adds another offset to its mel bands than YAMNet")


def _alike(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    return found.shape == expected.shape and np.allclose(found, expected, rtol=1e-3, atol=1e-4)
