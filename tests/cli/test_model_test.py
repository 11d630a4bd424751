# SPDX-License-Identifier: MIT
"""`edge model test` on small data sets made here, good ones and bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from edge.errors import EXIT_DEVICE, EXIT_MODEL, EXIT_OK, EXIT_STORAGE, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.cli.conftest import Done

    Edge = Callable[..., Done]

RATE_HZ = 16000
ROWS = (("a.flac", "dog_bark"), ("b.flac", "rain"), ("c.flac", "other"))


def write(
    rows: Sequence[tuple[str, str]] = ROWS,
    *,
    head: str = "flac,class",
    rate_hz: int = RATE_HZ,
    channels: int = 1,
    seconds: float = 2.0,
) -> Path:
    """Make a data set of noise in the current folder."""
    folder = Path("data")
    (folder / "audio").mkdir(parents=True)
    (folder / "meta.csv").write_text("\n".join([head, *map(",".join, rows)]) + "\n")
    rng = np.random.default_rng(0)
    for name, _ in rows:
        noise = 0.1 * rng.standard_normal((round(seconds * rate_hz), channels))
        soundfile.write(folder / "audio" / name, noise, rate_hz)
    return folder


def report(edge: Edge, *options: str) -> dict[str, Any]:
    done = edge("model", "test", "data", "--json", *options)
    assert done.returncode == EXIT_OK, done.stderr
    return dict(json.loads(done.stdout))


def refused(edge: Edge, *options: str, code: int = EXIT_STORAGE) -> str:
    done = edge("model", "test", "data", *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) == 2, "what is wrong, and how to mend it"
    return done.stderr


def test_the_document_has_the_figures_of_every_label(edge: Edge) -> None:
    write()
    document = report(edge)
    assert set(document["per_class"]) == {"dog_bark", "rain"}
    assert document["clips"] == 2
    assert document["hours"] == pytest.approx(6 / 3600, abs=1e-4)
    for value in (document["accuracy"], document["detected"], document["mean_average_precision"]):
        assert 0.0 <= value <= 1.0
    assert document["false_events_per_hour"] >= 0.0
    assert document["per_class"]["rain"]["classes"] == ["rain"]


def test_people_get_a_table(edge: Edge) -> None:
    write()
    done = edge("model", "test", "data")
    assert done.returncode == EXIT_OK
    assert "false events" in done.stdout
    assert any(line.startswith("dog_bark") for line in done.stdout.splitlines())


def test_a_picture_is_drawn(edge: Edge) -> None:
    write()
    report(edge, "--picture", "trial.png")
    assert Path("trial.png").read_bytes().startswith(b"\x89PNG")
    assert "can't be written" in refused_once(edge, "--picture", "no/where.png")


def refused_once(edge: Edge, *options: str) -> str:
    done = edge("model", "test", "data", *options)
    assert done.returncode == EXIT_STORAGE
    return done.stderr


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_a_clip_of_another_rate_is_resampled(edge: Edge, rate_hz: int) -> None:
    write(rate_hz=rate_hz, channels=2)
    assert report(edge)["hours"] == pytest.approx(6 / 3600, abs=1e-4)


def test_a_clip_shorter_than_a_patch_is_heard_too(edge: Edge) -> None:
    write(seconds=0.05)
    assert report(edge)["clips"] == 2


def test_the_rules_of_the_settings_hold(edge: Edge) -> None:
    write()
    document = report(edge, "--set", "detector.threshold=0.01", "--set", "detector.min_hits=1")
    assert document["per_class"]["rain"]["threshold"] == 0.01
    assert document["per_class"]["rain"]["min_hits"] == 1


def test_a_class_of_another_name_is_given_its_label(edge: Edge) -> None:
    write([("a.flac", "woof"), ("b.flac", "rain"), ("c.flac", "chatter")])
    document = report(edge, "--class", "woof=dog_bark", "--class", "chatter=other")
    assert document["per_class"]["dog_bark"]["classes"] == ["woof"]
    assert document["clips"] == 2


def test_names_that_the_model_knows_beside_its_labels_are_understood(edge: Edge) -> None:
    write([("a.flac", "dog"), ("b.flac", "crackling_fire"), ("c.flac", "keyboard")])
    assert set(report(edge)["per_class"]) == {"dog_bark", "fire_crackling"}


def test_a_folder_without_meta_csv_is_refused(edge: Edge) -> None:
    Path("data").mkdir()
    said = refused(edge)
    assert "data/meta.csv is not there" in said
    assert "columns flac and class" in said


def test_a_folder_that_is_not_there_is_refused(edge: Edge) -> None:
    assert "data/meta.csv is not there" in refused(edge)


@pytest.mark.parametrize(
    ("head", "lacking"), [("file,class", "flac"), ("flac,label", "class"), ("a,b", "flac and no")]
)
def test_wrong_columns_are_named(edge: Edge, head: str, lacking: str) -> None:
    write(head=head)
    said = refused(edge)
    assert f"has no column {lacking}" in said
    assert head in said


def test_an_empty_list_is_refused(edge: Edge) -> None:
    write([])
    assert "lists no clips" in refused(edge)


def test_a_list_that_is_no_text_is_refused(edge: Edge) -> None:
    write()
    Path("data/meta.csv").write_bytes(b"flac,class\n\xff\xfe\x00,rain\n")
    assert "can't be read" in refused(edge)


@pytest.mark.parametrize(("row", "what"), [((",", "rain"), "class"), (("", "rain"), "flac")])
def test_a_line_with_a_hole_is_named(edge: Edge, row: tuple[str, str], what: str) -> None:
    write()
    with Path("data/meta.csv").open("a") as file:
        file.write("d.flac,\n" if what == "class" else f",{row[1]}\n")
    assert f"line 5 of data/meta.csv has no {what}" in refused(edge)


def test_missing_clips_are_counted_and_named(edge: Edge) -> None:
    write()
    Path("data/audio/b.flac").unlink()
    assert "lacks 1 of the 3 clips that meta.csv lists: 'b.flac'" in refused(edge)


def test_a_clip_that_is_no_recording_is_named(edge: Edge) -> None:
    write()
    Path("data/audio/b.flac").write_bytes(b"nothing of the kind")
    assert "b.flac" in refused(edge, code=EXIT_DEVICE)


def test_an_unknown_class_gets_advice(edge: Edge) -> None:
    write([("a.flac", "rain"), ("b.flac", "helicopters"), ("c.flac", "kazoo")])
    said = refused(edge)
    assert "has no label for the class 'helicopters', 'kazoo'" in said
    assert "--class helicopters=helicopter" in said
    assert "--class helicopters=other" in said


def test_a_data_set_without_any_of_the_labels_is_refused(edge: Edge) -> None:
    write([("a.flac", "other"), ("b.flac", "other")])
    assert "no class of the data set is one that the model" in refused(edge)


def test_a_label_that_the_model_lacks_is_refused(edge: Edge) -> None:
    write()
    assert "has no label 'kazoo'" in refused(edge, "--class", "rain=kazoo")


def test_a_class_that_no_clip_has_is_refused(edge: Edge) -> None:
    write()
    assert "no clip is of the class 'rian'" in refused(edge, "--class", "rian=rain")


def test_half_a_pair_is_refused(edge: Edge) -> None:
    write()
    assert edge("model", "test", "data", "--class", "rain").returncode == EXIT_USAGE


def test_a_model_that_is_none_is_refused(edge: Edge) -> None:
    write()
    Path("model.onnx").write_bytes(b"no model")
    done = edge("model", "test", "data", "--model", "model.onnx")
    assert done.returncode == EXIT_MODEL
    assert "model.onnx" in done.stderr


@pytest.mark.data
def test_the_shipped_model_knows_the_clips_that_it_learned_from(edge: Edge, data: Path) -> None:
    done = edge("model", "test", data / "esc10-dev", "--json")
    assert done.returncode == EXIT_OK, done.stderr
    document = json.loads(done.stdout)
    assert document["clips"] == 238
    assert document["accuracy"] > 0.95
    assert document["detected"] > 0.8


@pytest.mark.data
def test_the_field_recordings_are_understood_without_a_word(edge: Edge, data: Path) -> None:
    done = edge("model", "test", data / "field-dev", "--json")
    assert done.returncode == EXIT_OK, done.stderr
    assert json.loads(done.stdout)["clips"] > 100
