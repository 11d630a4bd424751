# SPDX-License-Identifier: MIT
"""Files over https: cut off, swapped, too long, from elsewhere; whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.errors import ModelError, StorageError
from edge.model.fetch import KEPT_S, KNOWN, MOST_BYTES, Fetch
from tests.conftest import free_port
from tests.model.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LENGTH = len(CONTENT)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.close()


@pytest.fixture
def server(running: Server) -> Server:
    running.files, running.moved, running.asked = {"model.onnx": CONTENT}, {}, []
    running.cut, running.ranges, running.says, running.etag = None, True, None, '"one"'
    running.partial = False
    return running


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return where the model goes: something is there already, which only a whole one replaces."""
    path = tmp_path / "models" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(b"the old one")
    return path


def fetch(server: Server, out: Path, path: str = "model.onnx", **how: Any) -> str:  # noqa: ANN401 - as `Fetch`
    return Fetch(server.url(path), out, ca_file=server.ca_file, **how).run()


def test_a_file_comes_whole_and_is_told_on_its_way(server: Server, out: Path) -> None:
    told: list[tuple[int, int | None]] = []
    digest = fetch(server, out, told=lambda here, total: told.append((here, total)))
    assert digest == DIGEST
    assert out.read_bytes() == CONTENT
    assert told[-1] == (LENGTH, LENGTH)
    assert [one.name for one in out.parent.iterdir()] == ["model.onnx"], "nothing is left over"


@pytest.mark.parametrize("etag", ['"one"', "", 'W/"weak"'])
def test_what_broke_off_goes_on_where_it_was(server: Server, out: Path, etag: str) -> None:
    server.cut, server.etag = 100_000, etag
    for k in range(1, 3):
        with pytest.raises(ModelError, match=f"broke off after {k}00000 of {LENGTH}") as caught:
            fetch(server, out, sha256=DIGEST, n_bytes=LENGTH)
        assert "again" in caught.value.help
        assert out.read_bytes() == b"the old one"
    server.cut = None
    assert fetch(server, out, sha256=DIGEST.upper(), n_bytes=LENGTH) == DIGEST
    assert server.asked == ["", "bytes=100000-", "bytes=200000-"]
    assert out.read_bytes() == CONTENT


def test_without_a_digest_only_what_is_surely_the_same_is_joined(server: Server, out: Path) -> None:
    for etag, asked in (('"one"', "bytes=100000-"), ("", "")):
        server.cut, server.etag, server.asked = 100_000, etag, []
        with pytest.raises(ModelError, match="broke off"):
            fetch(server, out)
        server.cut = None
        assert fetch(server, out) == DIGEST
        assert server.asked == ["", asked]


def test_a_file_swapped_half_way_is_fetched_anew_where_the_server_tells(
    server: Server, out: Path
) -> None:
    server.cut = 100_000
    with pytest.raises(ModelError, match="broke off"):
        fetch(server, out)
    other = CONTENT[::-1]
    server.files["model.onnx"], server.cut, server.etag = other, None, '"two"'
    assert fetch(server, out) == hashlib.sha256(other).hexdigest()
    assert out.read_bytes() == other


def test_a_file_swapped_half_way_is_found_by_its_digest_and_not_kept(
    server: Server, out: Path
) -> None:
    server.cut, server.etag = 100_000, ""
    with pytest.raises(ModelError, match="broke off"):
        fetch(server, out, sha256=DIGEST)
    server.files["model.onnx"], server.cut = CONTENT[::-1], None
    with pytest.raises(ModelError, match=f"not {DIGEST}") as caught:
        fetch(server, out, sha256=DIGEST)
    assert "swapped" in caught.value.help
    assert out.read_bytes() == b"the old one"
    server.files["model.onnx"] = CONTENT
    assert fetch(server, out, sha256=DIGEST) == DIGEST, "and the next try begins anew"
    assert server.asked[-1] == ""


def test_a_server_without_parts_sends_all_of_it_again(server: Server, out: Path) -> None:
    server.cut = 100_000
    with pytest.raises(ModelError, match="broke off"):
        fetch(server, out, sha256=DIGEST)
    server.cut, server.ranges = None, False
    assert fetch(server, out, sha256=DIGEST) == DIGEST


def test_a_file_that_was_whole_but_not_yet_in_its_place_needs_no_byte_more(
    server: Server, out: Path
) -> None:
    """As a power cut leaves it: the server has nothing that follows."""
    server.cut = LENGTH - 1
    with pytest.raises(ModelError, match="broke off"):
        fetch(server, out, sha256=DIGEST, n_bytes=LENGTH)
    (part,) = out.parent.glob(".*.part")
    part.write_bytes(CONTENT)
    assert fetch(server, out, sha256=DIGEST, n_bytes=LENGTH) == DIGEST
    assert out.read_bytes() == CONTENT


def test_a_file_of_another_length_is_refused_before_it_comes(server: Server, out: Path) -> None:
    with pytest.raises(ModelError, match=f"{LENGTH} bytes, not 1000"):
        fetch(server, out, sha256=DIGEST, n_bytes=1000)
    assert [one.name for one in out.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("says", [0, 5000])
def test_more_than_was_said_is_not_taken(server: Server, out: Path, says: int) -> None:
    server.says = says
    if says:  # what follows the length that was said is not read
        with pytest.raises(ModelError, match="sha256"):
            fetch(server, out, sha256=DIGEST)
    else:
        with pytest.raises(ModelError, match="more than 1000 bytes"):
            fetch(server, out, sha256=DIGEST, n_bytes=1000)
    assert out.read_bytes() == b"the old one"


def test_a_length_that_is_none_is_refused(server: Server, out: Path) -> None:
    server.says = "9" * 5000
    with pytest.raises(ModelError, match="a length of '999"):
        fetch(server, out)


def test_a_file_whose_end_nobody_tells_needs_a_digest(server: Server, out: Path) -> None:
    server.says = ""
    with pytest.raises(ModelError, match="where the file ends") as caught:
        fetch(server, out)
    assert "--sha256" in caught.value.help
    assert out.read_bytes() == b"the old one"
    assert fetch(server, out, sha256=DIGEST) == DIGEST


def test_a_part_that_nobody_asked_for_is_refused(server: Server, out: Path) -> None:
    server.partial = True
    with pytest.raises(ModelError, match="not what follows 0 bytes"):
        fetch(server, out)


def test_a_full_disk_is_told_before_anything_comes(
    server: Server, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(out.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ModelError, match=f"{LENGTH} bytes are to come, and 1000 are free"):
        fetch(server, out)


def test_what_broke_off_a_week_ago_is_removed(server: Server, out: Path) -> None:
    old, new = out.with_name(".a.0.part"), out.with_name(".b.0.part")
    for one in (old, new):
        one.write_bytes(b"half")
    past_s = time.time() - KEPT_S - 60.0
    os.utime(old, (past_s, past_s))
    fetch(server, out)
    assert {one.name for one in out.parent.iterdir()} == {"model.onnx", ".b.0.part"}


def test_an_endless_file_is_refused(server: Server, out: Path) -> None:
    server.says = MOST_BYTES + 1
    with pytest.raises(ModelError, match=f"{MOST_BYTES + 1} bytes"):
        fetch(server, out)
    assert [one.name for one in out.parent.iterdir()] == ["model.onnx"]


def test_a_wrong_digest_is_told_with_the_right_one(server: Server, out: Path) -> None:
    with pytest.raises(ModelError, match=f"{DIGEST}, not {'0' * 64}"):
        fetch(server, out, sha256="0" * 64)
    assert out.read_bytes() == b"the old one"


def test_a_redirection_is_followed_to_https_alone(
    server: Server, out: Path, tmp_path: Path
) -> None:
    server.moved["here"] = server.url("model.onnx")
    assert fetch(server, out, "here") == DIGEST
    plain = Server(tmp_path, scheme="http")
    plain.files["model.onnx"] = CONTENT
    out.write_bytes(b"the old one")
    for elsewhere in (plain.url("model.onnx"), "file:///etc/passwd"):
        server.moved["there"] = elsewhere
        with pytest.raises(ModelError):
            fetch(server, out, "there")
    plain.close()
    assert plain.asked == []
    assert out.read_bytes() == b"the old one"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/m.onnx",
        "file:///etc/passwd",
        "https://",
        "ftp://x/y",
        "https://[",
        "https://a b/",
    ],
)
def test_what_is_no_https_address_is_refused(out: Path, url: str) -> None:
    with pytest.raises(ModelError, match="https"):
        Fetch(url, out)


def test_a_server_nobody_vouches_for_is_refused(server: Server, out: Path) -> None:
    with pytest.raises(ModelError, match="certificate"):
        Fetch(server.url("model.onnx"), out).run()


def test_what_is_not_there_is_said(server: Server, out: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the server says 404"):
        fetch(server, out, "nothing.onnx")
    with pytest.raises(ModelError, match="can't be reached"):
        Fetch(f"https://127.0.0.1:{free_port()}/m.onnx", out).run()
    with pytest.raises(ModelError, match=r"none\.pem is no list of certificates"):
        Fetch(server.url("model.onnx"), out, ca_file=tmp_path / "none.pem")


def test_a_folder_that_can_not_be_written_is_named(server: Server) -> None:
    with pytest.raises(StorageError, match="/proc/models"):
        fetch(server, Path("/proc/models/model.onnx"))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "file"), [("yamnet", "yamnet.tflite"), ("silero", "silero_vad.onnx")]
)
def test_known_digests_are_those_of_the_known_files(data: Path, name: str, file: str) -> None:
    content = (data / "models" / file).read_bytes()
    known = KNOWN[name]
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (known.sha256, known.n_bytes)
    assert known.url.startswith("https://")


def test_a_file_in_chunks_that_breaks_off_is_not_taken_for_a_whole_one(
    server: Server, out: Path
) -> None:
    """No length is said and no digest known: the end that is missing is all that tells."""
    server.says, server.cut = 0, 100_000
    with pytest.raises(ModelError, match="broke off"):
        fetch(server, out)
    assert out.read_bytes() == b"the old one"
    server.cut = None
    assert fetch(server, out) == DIGEST


@pytest.mark.parametrize("digest", ["abc", "g" * 64, f"{'0' * 64}\n"])
def test_a_digest_that_is_none_is_refused_at_once(server: Server, out: Path, digest: str) -> None:
    with pytest.raises(ModelError, match="is no sha256"):
        fetch(server, out, sha256=digest)
    assert server.asked == []
