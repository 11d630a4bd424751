# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.errors import ModelError, StorageError
from edge.model.registry import shipped_model
from edge.model.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    made = Shelf(tmp_path / "state")
    made.room("yamnet").write_bytes(b"a model")
    made.room("Mn_04.v2").write_bytes(b"another")
    return made


def test_the_shipped_model_is_in_use_until_another_is_chosen(shelf: Shelf) -> None:
    assert shelf.chosen() == "shipped"
    assert shelf.find("shipped") == shipped_model()
    shelf.choose("yamnet")
    assert Shelf(shelf.folder.parent).chosen() == "yamnet"
    shelf.choose("shipped")
    assert shelf.chosen() == "shipped"


def test_choosing_returns_the_stamp_of_what_was_chosen(shelf: Shelf) -> None:
    first = shelf.choose("yamnet")
    assert shelf.stamp() == first
    assert shelf.choose("shipped") != first


def test_a_draft_of_another_process_is_left_alone(shelf: Shelf) -> None:
    other = shelf.folder.parent / ".model.part"
    other.write_bytes(b"half")
    shelf.choose("yamnet")
    assert other.read_bytes() == b"half"


def test_models_are_listed_by_name_and_nothing_else_is(shelf: Shelf) -> None:
    for stray in (".yamnet.onnx.part", "notes.txt", "-x.onnx", "shipped.onnx"):
        (shelf.folder / stray).write_bytes(b"")
    assert shelf.names() == ["shipped", "Mn_04.v2", "yamnet"]
    assert shelf.find("yamnet").read_bytes() == b"a model"


def test_an_empty_box_has_the_shipped_model(tmp_path: Path) -> None:
    assert Shelf(tmp_path / "nowhere").names() == ["shipped"]
    assert Shelf(tmp_path / "nowhere").chosen() == "shipped"


def test_a_model_that_is_not_there_is_refused_with_those_that_are(shelf: Shelf) -> None:
    with pytest.raises(ModelError, match="no model 'silero'") as caught:
        shelf.choose("silero")
    assert caught.value.help == "there are: shipped, Mn_04.v2, yamnet"
    assert shelf.chosen() == "shipped"


@pytest.mark.parametrize("name", ["", ".", "..", "../model", "a/b", "-x", "a\nb", "x" * 65, "é"])
def test_a_name_that_could_lead_elsewhere_is_refused(shelf: Shelf, name: str) -> None:
    with pytest.raises(ModelError, match="can't be the name"):
        shelf.find(name)


def test_a_model_in_use_stays_and_any_other_goes(shelf: Shelf) -> None:
    shelf.choose("yamnet")
    with pytest.raises(ModelError, match="in use"):
        shelf.remove("yamnet")
    with pytest.raises(ModelError, match="shipped model"):
        shelf.remove("shipped")
    shelf.remove("Mn_04.v2")
    assert shelf.names() == ["shipped", "yamnet"]
    with pytest.raises(ModelError, match="no model"):
        shelf.remove("Mn_04.v2")


def test_the_package_s_own_name_is_taken(shelf: Shelf) -> None:
    with pytest.raises(ModelError, match="in the package"):
        shelf.room("shipped")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00", b"a/../b\n", b"x" * 500])
def test_a_choice_that_is_damaged_is_no_model(shelf: Shelf, content: bytes) -> None:
    (shelf.folder.parent / "model").write_bytes(content)
    with pytest.raises(ModelError):
        shelf.find(shelf.chosen())


def test_a_folder_that_can_not_be_made_is_named() -> None:
    from pathlib import Path

    with pytest.raises(StorageError, match="/proc/edge"):
        Shelf(Path("/proc/edge")).room("yamnet")
