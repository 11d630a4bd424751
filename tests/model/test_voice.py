# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
import soxr
from onnx import TensorProto, helper, numpy_helper, save

from edge.errors import ModelError
from edge.model.registry import shipped_model
from edge.model.voice import RATE_HZ, WINDOW, VoiceModel

if TYPE_CHECKING:
    from pathlib import Path

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


@pytest.fixture(scope="module")
def voice(data: Path) -> VoiceModel:
    return VoiceModel(data / "models/silero_vad.onnx")


def speech(data: Path) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    samples, rate_hz = soundfile.read(data / "field/198-209-0000.ogg", dtype="float32")
    heard: np.ndarray[tuple[int], np.dtype[np.float32]] = soxr.resample(samples, rate_hz, RATE_HZ)
    return heard


@pytest.mark.data
def test_where_somebody_speaks_it_says_so_and_in_noise_it_does_not(
    voice: VoiceModel, data: Path
) -> None:
    heard = speech(data)
    voiced = voice.probabilities([heard])
    assert voiced.shape == (-(-len(heard) // WINDOW),)
    assert np.mean(voiced > 0.5) > 0.7
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * RATE_HZ).astype(np.float32)
    assert voice.probabilities([noise]).max() < 0.3
    assert voice.probabilities([np.zeros(RATE_HZ, np.float32)]).max() < 0.1


@pytest.mark.data
def test_speech_after_silence_is_found_in_its_own_windows(voice: VoiceModel, data: Path) -> None:
    silence = np.zeros(3 * RATE_HZ, np.float32)
    voiced = voice.probabilities([np.concatenate([silence, speech(data)[: 3 * RATE_HZ]])])
    n_silent = 3 * RATE_HZ // WINDOW
    assert voiced[:n_silent].max() < 0.2
    assert np.mean(voiced[n_silent:] > 0.5) > 0.5


@pytest.mark.data
def test_each_call_begins_from_silence(voice: VoiceModel, data: Path) -> None:
    heard = speech(data)
    first = voice.probabilities([heard])
    np.testing.assert_array_equal(first, voice.probabilities([heard]))


@pytest.mark.data
@pytest.mark.parametrize("n", [0, 1, WINDOW, WINDOW + 1])
def test_each_begun_window_has_an_answer(voice: VoiceModel, n: int) -> None:
    assert len(voice.probabilities([np.zeros(n, np.float32)])) == -(-n // WINDOW)


def test_a_model_that_gives_no_number_has_heard_a_voice(tmp_path: Path) -> None:
    """Nobody can say that nobody spoke."""
    path = tmp_path / "broken.onnx"
    nodes = [
        helper.make_node("Slice", ["input", "zero", "one", "one"], ["first"]),
        helper.make_node("Mul", ["first", "nothing"], ["output"]),
        helper.make_node("Identity", ["state"], ["stateN"]),
    ]
    constants = {"zero": [0], "one": [1], "nothing": [np.nan]}
    tensors = [
        numpy_helper.from_array(
            np.array(value, np.int64 if name != "nothing" else np.float32), name
        )
        for name, value in constants.items()
    ]
    inputs = (("input", FLOAT, [1, None]), ("state", FLOAT, [2, 1, 128]), ("sr", INT64, []))
    graph = helper.make_graph(
        nodes,
        "broken",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in ("output", "stateN")],
        tensors,
    )
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    assert VoiceModel(path).probabilities([np.zeros(WINDOW, np.float32)]).tolist() == [1.0]


def test_another_model_is_refused() -> None:
    with pytest.raises(ModelError, match="is no voice model"):
        VoiceModel(shipped_model())
