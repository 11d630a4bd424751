# SPDX-License-Identifier: MIT
"""Models as people bring them: an odd one gets a sentence with what to do, and changes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge.dsp.spec import LogMelSpec
from edge.errors import ModelError, StorageError
from edge.model.bring import bring
from edge.model.classifier import OnnxClassifier
from edge.model.registry import describe, read_model, shipped_model
from edge.model.session import MOST_BYTES
from tests.conftest import UNTIMED

LABELS = ["a", "b", "c"]


def make(path: Path, node: str = "Add", **changes: Any) -> Path:  # noqa: ANN401 - onnx's own
    """Write a small model whose scores are the patch's first value, by `node`, with 0.1 0.2 0.3."""
    how: dict[str, Any] = {
        "shape": ("N", 96, 64),
        "opset": 17,
        "ir_version": 8,
        "kind": TensorProto.FLOAT,
    } | changes
    constants = {
        "flat": np.array([1, -1]),
        "from": np.array([0]),
        "to": np.array([1]),
        "axis": np.array([1]),
        "bias": np.array([[0.1, 0.2, 0.3]], np.float32),
    }
    nodes = [
        helper.make_node("Reshape", ["patch", "flat"], ["values"]),
        helper.make_node("Slice", ["values", "from", "to", "axis"], ["first"]),
        helper.make_node(node, ["first", "bias"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["scores"], to=how["kind"]),
    ]
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("patch", TensorProto.FLOAT, how["shape"])],
        [helper.make_tensor_value_info("scores", how["kind"], ("N", 3))],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    opset = helper.make_opsetid("", how["opset"])
    model = helper.make_model(graph, opset_imports=[opset], ir_version=how["ir_version"])
    onnx.save(model, path)
    return path


def described(path: Path, **changes: object) -> Path:
    wanted: dict[str, Any] = {
        "labels": LABELS,
        "front_end": LogMelSpec(),
        "patch_frames": 96,
        "patch_hop": 48,
        "name": "odd",
        "version": "1",
    }
    return describe(path, path, **(wanted | changes)).path


@pytest.mark.parametrize(
    ("changes", "reason", "mend"),
    [
        ({"opset": 99}, "Opset 99", "opset 17"),
        ({"ir_version": 99}, "IR version: 99", "IR version 8"),
        ({"node": "Frobnicate"}, "Frobnicate", "operators that onnxruntime does not have"),
        ({"shape": None}, "a shape that it does not tell", "front end"),
        ({"shape": ()}, "a shape that it does not tell", "front end"),
        ({"shape": (1, 64, 96)}, "1 x 64 x 96", "their order"),
        ({"kind": TensorProto.DOUBLE}, r"tensor\(double\)", "32 bit"),
        ({"kind": TensorProto.INT64}, r"tensor\(int64\)", "32 bit"),
        ({"kind": TensorProto.STRING}, r"tensor\(string\)", "32 bit"),
    ],
)
def test_an_odd_model_is_refused_with_what_to_do(
    tmp_path: Path, changes: dict[str, Any], reason: str, mend: str
) -> None:
    path = make(tmp_path / "odd.onnx", **changes)
    before = path.read_bytes()
    with pytest.raises(ModelError, match=reason) as caught:
        described(path)
    assert mend in caught.value.help
    assert "onnxruntime_src" not in caught.value.message
    assert path.read_bytes() == before


@pytest.mark.parametrize("shape", [("N", 96, 64), ("a", "b", "c"), ("a", 1, "b", "c")])
def test_open_dimensions_are_filled_by_the_description(
    tmp_path: Path, shape: tuple[str | int, ...]
) -> None:
    path = described(make(tmp_path / "open.onnx", shape=shape))
    assert OnnxClassifier(path).info.labels == tuple(LABELS)


@pytest.mark.parametrize(("node", "bias"), [("Div", 0.0), ("Pow", 0.5)])
def test_scores_that_are_no_numbers_are_found_before_it_is_used(
    tmp_path: Path, node: str, bias: float
) -> None:
    """0 / 0 on silence; a root of what is negative in noise, while silence goes well."""
    path = make(tmp_path / "nan.onnx", node=node)
    model = onnx.load(path)
    place = next(k for k, one in enumerate(model.graph.initializer) if one.name == "bias")
    values = np.full((1, 3), bias, np.float32)
    model.graph.initializer[place].CopyFrom(numpy_helper.from_array(values, "bias"))
    if node == "Pow":  # of the negative of the patch, so that the first noise value is under 0
        minus = helper.make_node("Neg", ["first"], ["minus"])
        model.graph.node.insert(2, minus)
        model.graph.node[3].input[0] = "minus"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="no numbers") as caught:
        OnnxClassifier(described(path))
    assert caught.value.help


def test_a_model_too_large_for_any_box_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(2**31 + 1)
    with pytest.raises(ModelError, match=f"2147 MB, more than the {MOST_BYTES // 10**6}"):
        read_model(path)
    with pytest.raises(ModelError, match="2147 MB"):
        bring(path, tmp_path / "out.onnx", name="large")
    assert [one.name for one in tmp_path.iterdir()] == ["large.onnx"]


class TestWeightsInOtherFiles:
    @pytest.fixture
    def split(self, tmp_path: Path) -> Path:
        """Return the shipped model with its larger weights in a file beside it."""
        model = onnx.load(shipped_model())
        path = tmp_path / "split" / "model.onnx"
        path.parent.mkdir()
        onnx.save(model, path, save_as_external_data=True, location="weights.bin")
        assert path.stat().st_size < shipped_model().stat().st_size / 2
        return path

    def test_they_are_taken_in(self, split: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.onnx"
        bring(split, out, name="whole")
        for one in split.parent.iterdir():
            one.unlink()
        patch = np.random.default_rng(3).standard_normal((96, 64), dtype=np.float32)
        from edge.types import Patch

        whole, shipped = OnnxClassifier(out), OnnxClassifier(shipped_model())
        mine, theirs = (model.classify(Patch(0, 15600, patch)) for model in (whole, shipped))
        np.testing.assert_array_equal(mine.values, theirs.values)

    @pytest.mark.parametrize("content", [None, b"short"])
    def test_one_that_is_missing_or_cut_off_is_named(
        self, split: Path, tmp_path: Path, content: bytes | None
    ) -> None:
        weights = split.with_name("weights.bin")
        weights.unlink()
        if content:
            weights.write_bytes(content)
        with pytest.raises(ModelError, match=r"(?i)external"):
            bring(split, tmp_path / "out.onnx", name="whole")
        assert not (tmp_path / "out.onnx").exists()

    def test_what_is_too_large_with_them_is_not_even_read(
        self, split: Path, tmp_path: Path
    ) -> None:
        model = onnx.load(split, load_external_data=False)
        weights = split.with_name("weights.bin")
        with weights.open("r+b") as file:
            file.truncate(MOST_BYTES // 2)
        for one in model.graph.initializer:
            kept = [entry for entry in one.external_data if entry.key == "location"]
            del one.external_data[:]
            one.external_data.extend(kept)
        onnx.save(model, split)
        with pytest.raises(ModelError, match="MB of weights in files beside it"):
            bring(split, tmp_path / "out.onnx", name="whole")

    def test_they_are_not_fetched_from_elsewhere(self, split: Path, tmp_path: Path) -> None:
        model = onnx.load(split, load_external_data=False)
        for one in model.graph.initializer:
            for entry in one.external_data:
                if entry.key == "location":
                    entry.value = "../../secret.bin"
        onnx.save(model, split)
        with pytest.raises(ModelError):
            bring(split, tmp_path / "out.onnx", name="whole")


def test_what_takes_a_name_is_on_the_disk_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut leaves an empty file under the name of a model."""
    synced: list[str] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    described(make(tmp_path / "odd.onnx"))
    assert synced == [".odd.onnx.part", tmp_path.name]
    synced.clear()
    bring(tmp_path / "odd.onnx", tmp_path / "mine.onnx", name="mine")
    assert synced == [".mine.draft.onnx", tmp_path.name]


@pytest.mark.parametrize(
    "label", ["\x1b[31mred", "two\nlines", "\0", "\ud800", "x" * 201, "\u202eright to left"]
)
def test_a_label_that_no_terminal_should_see_is_refused(tmp_path: Path, label: str) -> None:
    path = described(make(tmp_path / "odd.onnx"))
    model = onnx.load(path)
    document = json.loads(model.metadata_props[0].value) | {"labels": [label, "b", "c"]}
    helper.set_model_props(model, {"edge": json.dumps(document)})
    onnx.save(model, path)
    with pytest.raises(ModelError, match="can't be printed") as caught:
        read_model(path)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("label", ["Möwe", "犬", "a/b #+", "Vehicle horn, car horn, honking"])
def test_a_label_in_any_language_is_welcome(tmp_path: Path, label: str) -> None:
    path = described(make(tmp_path / "odd.onnx"), labels=[label, "b", "c"])
    assert read_model(path).labels[0] == label


def test_a_description_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "deep.onnx")
    model = onnx.load(path)
    helper.set_model_props(model, {"edge": "[" * 100_000})
    onnx.save(model, path)
    with pytest.raises(ModelError, match="not JSON"):
        read_model(path)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, *UNTIMED],
)
@given(
    picks=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5
    ),
    where=st.sampled_from(["begin", "end", "all"]),
)
def test_a_damaged_model_is_used_or_refused_and_prints_nothing(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    picks: list[tuple[float, int]],
    where: str,
) -> None:
    content = bytearray(shipped_model().read_bytes())
    first, last = {"begin": (0, 3000), "end": (-5000, 0), "all": (0, 0)}[where]
    first, last = first % len(content), last or len(content)
    for place, value in picks:
        content[first + int(place * (last - first))] = value
    path, out = tmp_path / "damaged.onnx", tmp_path / "out.onnx"
    path.write_bytes(bytes(content))
    out.write_bytes(b"the old one")
    try:
        bring(path, out, name="damaged")
    except ModelError:
        assert out.read_bytes() == b"the old one"
    assert not list(tmp_path.glob(".*"))
    assert capfd.readouterr() == ("", "")


def test_what_can_not_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx can't be read"):
        bring(tmp_path / "none.onnx", tmp_path / "out.onnx", name="x")
    with pytest.raises(ModelError, match="can't be read"):
        bring(tmp_path, tmp_path / "out.onnx", name="x")
    with pytest.raises(StorageError, match="nowhere"):
        bring(shipped_model(), tmp_path / "nowhere" / "out.onnx", name="x")


@pytest.mark.parametrize("name", [b"Reshape", b"scores"])
def test_a_name_that_is_no_text_is_refused_without_chatter(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: bytes
) -> None:
    """Else the wrapper of onnxruntime would print, and try the same again."""
    path = make(tmp_path / "odd.onnx")
    path.write_bytes(path.read_bytes().replace(name, b"\xff\xfe" + name[2:]))
    with pytest.raises(ModelError, match="not UTF-8"):
        described(path)
    assert capfd.readouterr() == ("", "")
