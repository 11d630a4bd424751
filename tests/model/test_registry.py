# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dsp.spec import LogMelSpec
from edge.errors import ModelError
from edge.model.frontend import PRESETS, front_end_to_json
from edge.model.registry import (
    METADATA_KEY,
    ModelInfo,
    describe,
    read_labels,
    read_model,
    shipped_model,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LABELS = ("dog", "rain, light", "other")


def _describe(path: Path, out: Path | None = None, **changes: object) -> ModelInfo:
    wanted: dict[str, Any] = {
        "labels": LABELS,
        "front_end": LogMelSpec(),
        "patch_frames": 96,
        "patch_hop": 48,
        "name": "test",
        "version": "1.2",
    }
    return describe(path, out or path, **(wanted | changes))


def _rewrite(path: Path, text: str) -> Path:
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, path)
    return path


def _change(path: Path, **changes: object) -> Path:
    document = json.loads(onnx.load(path).metadata_props[0].value)
    return _rewrite(path, json.dumps(document | changes))


@pytest.fixture
def described(make_model: Callable[..., Path]) -> Path:
    path = make_model()
    _describe(path)
    return path


def test_a_description_is_read_back_as_it_was_written(make_model: Callable[..., Path]) -> None:
    info = _describe(
        make_model(),
        licence="MIT",
        source="here",
        activation="sigmoid",
        scores_output="scores",
        embedding_output="first",
        thresholds={"dog": 0.25},
        min_hits={"dog": 3},
        negative_labels=["other"],
    )
    assert info == read_model(info.path)
    assert (info.name, info.version, info.licence, info.source) == ("test", "1.2", "MIT", "here")
    assert info.labels == LABELS
    assert info.front_end == LogMelSpec()
    assert (info.patch_frames, info.patch_hop) == (96, 48)
    assert (info.activation, info.scores_output) == ("sigmoid", "scores")
    assert info.embedding_output == "first"
    assert info.thresholds == {"dog": 0.25}
    assert info.min_hits == {"dog": 3}
    assert info.negative_labels == ("other",)


def test_the_digest_is_that_of_the_file(described: Path) -> None:
    import hashlib

    assert read_model(described).sha256 == hashlib.sha256(described.read_bytes()).hexdigest()


def test_describing_keeps_the_original_and_other_metadata(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_model()
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"author": "somebody"})
    onnx.save(model, path)
    before = path.read_bytes()
    out = tmp_path / "out.onnx"
    _describe(path, out)
    assert path.read_bytes() == before
    assert {one.key for one in onnx.load(out).metadata_props} == {"author", METADATA_KEY}


def test_describing_again_replaces_the_description(described: Path) -> None:
    assert _describe(described, name="anew").name == "anew"
    assert len(onnx.load(described).metadata_props) == 1


def test_a_description_that_does_not_fit_leaves_the_file_alone(described: Path) -> None:
    before = described.read_bytes()
    with pytest.raises(ModelError, match="names 2 labels"):
        _describe(described, labels=["dog", "rain"])
    assert described.read_bytes() == before
    assert [one.name for one in described.parent.iterdir()] == [described.name]


def test_a_folder_that_is_not_there_is_named(described: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be written"):
        _describe(described, tmp_path / "nowhere" / "out.onnx")


def test_a_missing_file_is_named_with_help(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx is not there") as caught:
        read_model(tmp_path / "none.onnx")
    assert caught.value.help


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not there"):
        read_model(tmp_path)


@given(content=st.binary(max_size=300))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_model(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_model_is_refused(described: Path, kept: float) -> None:
    content = described.read_bytes()
    described.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ModelError):
        read_model(described)


def test_a_model_without_description_says_how_to_write_one(
    make_model: Callable[..., Path],
) -> None:
    with pytest.raises(ModelError) as caught:
        read_model(make_model())
    assert "edge model describe" in caught.value.help


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"edge"', "{}", '{"schema": "1"}', "null"])
def test_a_description_that_is_none_is_refused(make_model: Callable[..., Path], text: str) -> None:
    with pytest.raises(ModelError, match="description"):
        read_model(_rewrite(make_model(), text))


def test_a_later_schema_is_refused_by_its_number(described: Path) -> None:
    with pytest.raises(ModelError, match="schema 2"):
        read_model(_change(described, schema=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["dog", "rain", "dog"]}, "twice: dog"),
        ({"labels": ["dog", "", "other"]}, "empty label"),
        ({"labels": ["dog", 3, "other"]}, "empty label"),
        ({"labels": []}, "no labels"),
        ({"labels": ["dog", "rain"]}, "3 scores but names 2"),
        ({"labels": "dog"}, "labels is 'dog'"),
        ({"name": None}, "name is None"),
        ({"patch_frames": 48, "patch_hop": 48}, "48 frames x 64 bands"),
        ({"patch_frames": 96.0}, r"patch_frames is 96\.0"),
        ({"patch_hop": 0}, "patch_hop is 0"),
        ({"patch_hop": 97}, "patch_hop is 97"),
        ({"patch_hop": True}, "patch_hop is True"),
        ({"activation": "relu"}, "'relu'"),
        ({"scores_output": "logits"}, "no output 'logits'"),
        ({"embedding_output": "features"}, "no output 'features'"),
        ({"embedding_output": 3}, "no output 3"),
        ({"thresholds": {"cat": 0.5}}, "no label 'cat'"),
        ({"thresholds": {"dog": 0}}, "threshold of dog is 0"),
        ({"thresholds": {"dog": 1.5}}, r"threshold of dog is 1\.5"),
        ({"thresholds": {"dog": "high"}}, "threshold of dog is 'high'"),
        ({"min_hits": {"cat": 2}}, "no label 'cat'"),
        ({"min_hits": {"dog": 0}}, "min_hits of dog is 0"),
        ({"min_hits": {"dog": 51}}, "min_hits of dog is 51"),
        ({"min_hits": {"dog": 2.0}}, r"min_hits of dog is 2\.0"),
        ({"min_hits": {"dog": True}}, "min_hits of dog is True"),
        ({"min_hits": 3}, "min_hits is 3"),
        ({"min_hits": None}, "min_hits is None"),
        ({"negative_labels": ["cat"]}, "no label 'cat'"),
        ({"negative_labels": [["dog"], 3]}, r"no label 3, \['dog'\]"),
        ({"front_end": front_end_to_json(LogMelSpec(n_mels=40))}, "96 frames x 40 bands"),
        (
            {
                "front_end": front_end_to_json(LogMelSpec(centring="reflect")),
                "patch_frames": 2,
                "patch_hop": 1,
            },
            "shorter than a window",
        ),
        ({"bands_first": 1}, "bands_first is 1"),
        ({"bands_first": True}, "64 bands x 96 frames does not fit"),
        ({"front_end": front_end_to_json(LogMelSpec()) | {"rate_hz": 8000}}, "fmax_hz"),
        ({"front_end": front_end_to_json(LogMelSpec()) | {"rate_hz": 10**12}}, "rate_hz must be"),
        ({"front_end": front_end_to_json(LogMelSpec()) | {"n_fft": 2**34}}, "n_fft must be 1 to"),
        ({"front_end": front_end_to_json(LogMelSpec()) | {"n_mels": 10**6}}, "n_mels must be 1"),
        ({"front_end": front_end_to_json(LogMelSpec()) | {"offset": 10**400}}, "a finite number"),
        ({"patch_frames": 10**12}, "longer than 30 s"),
        ({"patch_frames": 10**400}, "longer than 30 s"),
        (
            {
                "front_end": front_end_to_json(LogMelSpec(centring="reflect")),
                "patch_frames": 1001,
            },
            "longer than 10 s",
        ),
        (
            {
                "front_end": front_end_to_json(LogMelSpec()) | {"hop_length": 1, "n_fft": 4096},
                "patch_frames": 1000,
            },
            "2000000 values",
        ),
        ({"name": "\x1b[2J"}, "name can't be printed"),
        ({"version": "\ud800"}, "version can't be printed"),
        ({"licence": "x" * 3_000_000}, "licence can't be printed"),
        ({"source": "a\nb"}, "source can't be printed"),
    ],
)
def test_a_description_that_does_not_fit_says_where(
    described: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read_model(_change(described, **changes))
    assert len(str(caught.value)) < 1000


def test_a_number_of_thousands_of_digits_is_no_description(described: Path) -> None:
    text = onnx.load(described).metadata_props[0].value
    longer = text.replace('"schema": 1', f'"schema": {"1" * 5000}')
    with pytest.raises(ModelError, match="not JSON"):
        read_model(_rewrite(described, longer))


def test_a_description_from_before_hits_were_learned_is_read(described: Path) -> None:
    document = json.loads(onnx.load(described).metadata_props[0].value)
    del document["min_hits"]
    assert read_model(_rewrite(described, json.dumps(document))).min_hits == {}


def test_hits_at_the_limits_are_read(described: Path) -> None:
    hits = {"dog": 1, "other": 50}
    assert read_model(_change(described, min_hits=hits)).min_hits == hits


def test_several_inputs_are_refused(make_model: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="several inputs"):
        _describe(make_model(inputs=2))


@pytest.mark.parametrize("shape", [("N", 64, 96), ("N", 96 * 64), (2, 96, 64), ("N", 3, 96, 64)])
def test_an_input_that_takes_no_patch_is_refused(
    make_model: Callable[..., Path], shape: tuple[int | str, ...]
) -> None:
    with pytest.raises(ModelError, match="does not fit"):
        _describe(make_model(shape=shape))


def test_labels_are_read_one_per_line(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("dog\r\n rain, light \n\nother\n", encoding="utf-8")
    assert read_labels(path) == LABELS


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00", b"index,display_name\n"])
def test_a_file_without_labels_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="labels"):
        read_labels(path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("yamnet_class_map.csv", 521, ("Speech", "Child speech, kid speaking")),
        ("audioset_class_labels_indices.csv", 527, ("Speech", "Male speech, man speaking")),
    ],
)
def test_published_class_maps_are_read(
    data: Path, name: str, count: int, first: tuple[str, str]
) -> None:
    labels = read_labels(data / "models" / name)
    assert len(labels) == count
    assert labels[:2] == first


def test_the_shipped_model_says_what_it_hears() -> None:
    info = read_model(shipped_model())
    assert info.negative_labels == ("other",)
    assert len(info.labels) > 11
    assert set(info.thresholds) == set(info.labels) - {"other"}
    assert set(info.min_hits) == set(info.thresholds)
    assert info.front_end == PRESETS["edge"].front_end
    assert (info.patch_frames, info.patch_hop) == (96, 48)
    assert info.licence == "MIT"
