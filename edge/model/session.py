# SPDX-License-Identifier: MIT
"""The only import of onnxruntime: one thread, no spinning, no chatter, no telemetry."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.errors import ModelError

# Else it keeps an id of this device in the home, and a thread that sends what models are run
# to its maker. Read once, at import; `disable_telemetry_events` comes too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_FATAL: Final = 4
# What onnxruntime raises; its classes have no base of their own.
_ERRORS: Final = (
    _state.EPFail,
    _state.Fail,
    _state.InvalidArgument,
    _state.InvalidGraph,
    _state.InvalidProtobuf,
    _state.NoModel,
    _state.NoSuchFile,
    _state.NotImplemented,
    _state.RuntimeException,
    UnicodeDecodeError,  # a name in the file that is no text
)
MOST_BYTES: Final = 500_000_000
# What a person can do about a reason that has such words in it.
_HELP: Final = {
    "opset": "export the model anew with opset 17",
    "IR version": "save the model anew with IR version 8",
    "external": "put all of it into one file: onnx.save(onnx.load(FILE), OUT)",
    "No Op registered": "export it without operators that onnxruntime does not have",
    "parsing failed": "it is damaged or cut off, or no ONNX file: fetch it again",
}
_WHERE: Final = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Exception during initialization: "
    r"|\w+\.cc:\d+ \w+ |/onnxruntime_src/\S+ .+?\) (?=[A-Z\[])"
)
_LONGEST: Final = 300  # letters of a reason


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output: dimensions that are not fixed are None."""

    name: str
    shape: tuple[int | None, ...]
    kind: str


class Session:
    """An open ONNX model.

    One thread and no spinning: with two spinning threads an inference burns 14 times the
    CPU time. No arena: it would keep the largest patch's work space for life.

    Raises `ModelError` if the file is missing or not an ONNX model that can be run.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ModelError(f"{path} is not there", "set model.path to an ONNX file")
        if (n_bytes := path.stat().st_size) > MOST_BYTES:
            raise ModelError(
                f"{path} has {n_bytes / 1e6:.0f} MB, more than the {MOST_BYTES / 1e6:.0f} of which"
                " a box can make use",
                "take a smaller model, or one with weights of 8 bits",
            )
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), _options(), providers=["CPUExecutionProvider"], enable_fallback=0
            )
            self.inputs = tuple(map(_tensor, self._session.get_inputs()))
            self.outputs = tuple(map(_tensor, self._session.get_outputs()))
            self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
            """What the file says of itself, by key."""
        except _ERRORS as error:
            reason = _reason(error)
            told = (text for word, text in _HELP.items() if word.lower() in reason.lower())
            raise ModelError(
                f"{path} is not an ONNX model that can be run: {reason}", next(told, "")
            ) from error

    def run(self, names: list[str], value: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the named outputs for the only input; arrays of the caller's own.

        Raises `ModelError` if the model can't be run on it.
        """
        return self.run_all(names, {self.inputs[0].name: value})

    def run_all(
        self, names: list[str], values: Mapping[str, NDArray[Any]]
    ) -> list[NDArray[np.float32]]:
        """Return the named outputs for inputs by name; as `run`."""
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(names, values)
        except _ERRORS as error:
            reason = _reason(error)
            shapes = " and ".join(str(value.shape) for value in values.values())
            raise ModelError(f"the model failed on an input of {shapes}: {reason}") from error
        return outputs


def _reason(error: Exception) -> str:
    """Return what onnxruntime says without where in its source it says so."""
    if isinstance(error, UnicodeDecodeError):
        return "a name in it is not UTF-8 text; parsing failed"
    text = str(error).splitlines()[0].rpartition(" failed:")[2]
    return _WHERE.sub("", text)[:_LONGEST]


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _FATAL
    return options


def _tensor(node: Any) -> Tensor:  # noqa: ANN401 - onnxruntime ships no types
    shape = tuple(one if isinstance(one, int) else None for one in node.shape)
    return Tensor(node.name, shape, node.type)
