# SPDX-License-Identifier: MIT
"""`edge model`: which models a box has, which it uses, and how others come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.errors import EXIT_CONFIG, EXIT_MODEL, EXIT_OK
from edge.model.registry import shipped_model
from edge.model.shelf import Shelf
from edge.service.figures import FiguresFile
from tests.model.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Done

    Edge = Callable[..., Done]


@pytest.fixture
def box(edge: Edge, tmp_path: Path) -> Edge:
    """Return `edge model` over a state directory with a copy of the shipped model in it."""
    Shelf(tmp_path).room("copy").write_bytes(shipped_model().read_bytes())

    def run(*arguments: str | Path) -> Done:
        return edge("model", *arguments, "--set", f'state.directory="{tmp_path}"')

    return run


def test_the_list_says_what_each_model_is_and_which_is_in_use(box: Edge, tmp_path: Path) -> None:
    Shelf(tmp_path).room("broken").write_bytes(b"no model")
    lines = box("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["*", "broken", "copy"]
    assert lines[0].startswith("* shipped ")
    for word in ("labels", "16000 Hz", " MB", "sha256"):
        assert word in lines[0]
    assert "can't be used: " in lines[1]
    assert box("use", "copy").returncode == EXIT_OK
    assert [line[0] for line in box("list").stdout.splitlines()] == [" ", " ", "*"]


def test_the_list_says_why_a_listener_that_runs_uses_another(
    box: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    figures = FiguresFile(tmp_path, "edge")
    figures.write({"model": "ok"})
    assert "listener" not in box("list").stdout
    figures.write({"model": "copy.onnx has 2 inputs"})
    assert box("list").stdout.splitlines()[-1] == "the listener that runs: copy.onnx has 2 inputs"


def test_one_bad_description_is_a_line_in_the_list(box: Edge, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(shipped_model())
    (entry,) = model.metadata_props
    for name, text in (
        ("digits", entry.value.replace('"schema": 1', f'"schema": {"1" * 5000}')),
        ("escape", entry.value.replace('"version": "', '"version": "\\u001b[2J')),
        ("offset", entry.value.replace('"offset": ', f'"offset": {"1" * 400}')),
    ):
        entry.value = text
        Shelf(tmp_path).room(name).write_bytes(model.SerializeToString())
        entry.value = onnx.load(shipped_model()).metadata_props[0].value
    done = box("list")
    assert done.returncode == EXIT_OK, done.stderr
    lines = {line[2:].split()[0]: line for line in done.stdout.splitlines()}
    for name in ("digits", "escape", "offset"):
        assert "can't be used: " in lines[name]
        assert lines[name].isprintable()


def test_a_model_in_use_is_shown_and_kept_and_the_others_may_go(box: Edge) -> None:
    assert "in use: copy" in box("use", "copy").stdout
    assert "models/copy.onnx" in box("show").stdout
    assert "shipped" in box("show", "shipped").stdout
    refused = box("remove", "copy")
    assert refused.returncode == EXIT_MODEL
    assert "in use" in refused.stderr
    assert box("use", "shipped").returncode == EXIT_OK
    assert box("remove", "copy").stdout == "removed: copy\n"
    assert len(box("list").stdout.splitlines()) == 1


@pytest.mark.parametrize("command", ["use", "remove", "show"])
@pytest.mark.parametrize("name", ["nothing", "../etc/passwd"])
def test_a_name_that_is_none_is_refused(box: Edge, command: str, name: str) -> None:
    done = box(command, name)
    assert done.returncode == EXIT_MODEL
    assert name in done.stderr


def test_a_model_that_can_not_be_used_is_not_put_in_use(box: Edge, tmp_path: Path) -> None:
    Shelf(tmp_path).room("broken").write_bytes(b"no model")
    done = box("use", "broken")
    assert done.returncode == EXIT_MODEL
    assert "not an ONNX model" in done.stderr
    assert Shelf(tmp_path).chosen() == "shipped"


def test_a_model_that_lacks_what_the_settings_name_is_not_put_in_use(
    edge: Edge, box: Edge, tmp_path: Path
) -> None:
    del box
    for setting in (
        'record.labels=["unicorn"]',
        'model.groups.pets=["unicorn"]',
        'detector.ignore=["unicorn"]',
    ):
        more = ("--set", f'state.directory="{tmp_path}"', "--set", setting)
        done = edge("model", "use", "copy", *more)
        assert done.returncode == EXIT_CONFIG
        assert "unicorn" in done.stderr
    assert Shelf(tmp_path).chosen() == "shipped"


def test_settings_that_name_a_model_are_not_overruled(edge: Edge, tmp_path: Path) -> None:
    settings = (
        *("--set", f'state.directory="{tmp_path}"'),
        *("--set", f'model.path="{shipped_model()}"'),
    )
    done = edge("model", "use", "shipped", *settings)
    assert done.returncode == EXIT_CONFIG
    assert "model.path" in done.stderr
    lines = edge("model", "list", *settings).stdout.splitlines()
    assert lines[0] == f"* {shipped_model()}"
    assert lines[1].startswith("  shipped")


@pytest.mark.data
class TestImport:
    def test_mn04_is_described_by_the_name_of_its_front_end_and_taken(
        self, box: Edge, edge: Edge, data: Path, tmp_path: Path
    ) -> None:
        models, out = data / "models", tmp_path / "mn04.onnx"
        labels = ("--labels", models / "audioset_class_labels_indices.csv")
        how = ("--front-end", "mn04", "--groups", "audioset", "--embedding-output", "embedding")
        done = edge("model", "describe", models / "mn04_as_fp32.onnx", *labels, *how, "--out", out)
        assert done.returncode == EXIT_OK, done.stderr
        assert "hears      32000 Hz, 128 mel bands" in done.stdout
        assert "patch      300 frames (3.000 s), a new one every 1.000 s" in done.stdout
        assert "groups     40: " in done.stdout
        assert box("import", out).returncode == EXIT_OK
        assert "527 labels, 40 groups, 32000 Hz" in box("list").stdout
        assert box("use", "mn04").returncode == EXIT_OK

    def test_yamnet_s_official_file_becomes_a_model_of_the_box(
        self, box: Edge, data: Path, tmp_path: Path
    ) -> None:
        done = box("import", data / "models" / "yamnet.tflite")
        assert done.returncode == EXIT_OK, done.stderr
        assert "labels     521: Speech" in done.stdout
        assert "outputs    scores, embedding" in done.stdout
        assert "groups     40: alarm (Alarm" in done.stdout
        assert "edge model use yamnet" in done.stdout
        assert box("use", "yamnet").returncode == EXIT_OK
        assert [one.name for one in Shelf(tmp_path).folder.iterdir()].count("yamnet.onnx") == 1

    def test_a_model_that_describes_itself_is_taken_as_it_is(
        self, box: Edge, tmp_path: Path
    ) -> None:
        assert box("import", shipped_model(), "--name", "mine").returncode == EXIT_OK
        assert Shelf(tmp_path).find("mine").read_bytes() == shipped_model().read_bytes()

    def test_one_that_does_not_is_told_how_and_leaves_what_was_there(
        self, box: Edge, data: Path, tmp_path: Path
    ) -> None:
        before = Shelf(tmp_path).find("copy").read_bytes()
        done = box("import", data / "models" / "mn04_as_fp32.onnx", "--name", "copy")
        assert done.returncode == EXIT_MODEL
        assert "edge model describe" in done.stderr
        assert Shelf(tmp_path).find("copy").read_bytes() == before
        assert {one.name for one in Shelf(tmp_path).folder.iterdir()} == {"copy.onnx"}

    @pytest.mark.parametrize("name", ["shipped", "../x", "a b"])
    def test_a_name_that_can_not_be_is_refused(self, box: Edge, name: str) -> None:
        done = box("import", shipped_model(), "--name", name)
        assert done.returncode == EXIT_MODEL
        assert name in done.stderr


@pytest.fixture(scope="module")
def server(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    for name in ("yamnet.tflite", "silero_vad.onnx"):
        made.files[name] = (data / "models" / name).read_bytes()
    made.files["my-model.onnx"] = shipped_model().read_bytes()
    yield made
    made.close()


@pytest.mark.data
class TestPull:
    def test_yamnet_is_fetched_checked_converted_and_ready(
        self, box: Edge, server: Server, tmp_path: Path
    ) -> None:
        where = ("--from", server.url("yamnet.tflite"), "--ca-file", server.ca_file)
        done = box("pull", "yamnet", *where)
        assert done.returncode == EXIT_OK, done.stderr
        assert "fetching yamnet" in done.stdout
        assert "labels     521: Speech" in done.stdout
        assert box("use", "yamnet").returncode == EXIT_OK
        assert {one.name for one in Shelf(tmp_path).folder.iterdir()} == {
            "yamnet.onnx",
            "copy.onnx",
        }

    def test_another_file_is_not_taken_for_yamnet(
        self, box: Edge, server: Server, tmp_path: Path
    ) -> None:
        where = ("--from", server.url("silero_vad.onnx"), "--ca-file", server.ca_file)
        done = box("pull", "yamnet", *where)
        assert done.returncode == EXIT_MODEL
        assert "2327524 bytes, not 4126810" in done.stderr
        assert {one.name for one in Shelf(tmp_path).folder.iterdir()} == {"copy.onnx"}

    def test_silero_is_put_where_the_speech_veto_finds_it(
        self, box: Edge, server: Server, tmp_path: Path
    ) -> None:
        where = ("--from", server.url("silero_vad.onnx"), "--ca-file", server.ca_file)
        done = box("pull", "silero", *where)
        assert done.returncode == EXIT_OK, done.stderr
        assert f'speech.model = "{Shelf(tmp_path).find("silero")}"' in done.stdout
        assert "voice model" in box("list").stdout
        assert box("use", "silero").returncode == EXIT_MODEL

    def test_an_address_will_do_with_or_without_a_digest(
        self, box: Edge, server: Server, tmp_path: Path
    ) -> None:
        import hashlib

        url, ca = server.url("my-model.onnx"), ("--ca-file", server.ca_file)
        digest = hashlib.sha256(shipped_model().read_bytes()).hexdigest()
        assert f"it has sha256 {digest}" in box("pull", url, *ca).stdout
        assert Shelf(tmp_path).find("my-model").is_file()
        done = box("pull", url, *ca, "--sha256", digest, "--name", "sure")
        assert "nobody said" not in done.stdout
        refused = box("pull", url, *ca, "--sha256", "0" * 64, "--name", "other")
        assert refused.returncode == EXIT_MODEL
        assert digest in refused.stderr

    def test_one_that_does_not_describe_itself_is_kept_for_that(
        self, box: Edge, server: Server, tmp_path: Path
    ) -> None:
        url, ca = server.url("silero_vad.onnx"), ("--ca-file", server.ca_file)
        done = box("pull", url, *ca, "--name", "bare")
        assert done.returncode == EXIT_MODEL
        kept = Shelf(tmp_path).folder / "bare.fetched"
        assert f"edge model describe {kept}" in done.stderr
        assert kept.read_bytes() == server.files["silero_vad.onnx"]
        assert "bare" not in box("list").stdout

    def test_what_is_no_model_is_named_by_its_address(
        self, box: Edge, server: Server, tmp_path: Path
    ) -> None:
        server.files["page.html"] = b"<html>"
        done = box("pull", server.url("page.html"), "--ca-file", server.ca_file)
        assert f"{server.url('page.html')} is not an ONNX model" in done.stderr
        assert {one.name for one in Shelf(tmp_path).folder.iterdir()} == {"copy.onnx"}

    def test_a_known_one_that_has_changed_may_come_by_another_digest(
        self, box: Edge, server: Server
    ) -> None:
        import hashlib

        content = server.files["silero_vad.onnx"] + b"\0"
        server.files["newer.onnx"] = content
        where = ("--from", server.url("newer.onnx"), "--ca-file", server.ca_file)
        refused = box("pull", "silero", *where)
        assert "edge model pull silero --from URL --sha256 DIGEST" in refused.stderr
        digest = hashlib.sha256(content).hexdigest()
        done = box("pull", "silero", *where, "--sha256", digest)
        assert "speech.model" in done.stdout

    @pytest.mark.parametrize("what", ["yamnot", "http://127.0.0.1/x.onnx", "ftp://x/y"])
    def test_what_is_neither_known_nor_https_is_refused(self, box: Edge, what: str) -> None:
        assert box("pull", what).returncode == EXIT_MODEL
