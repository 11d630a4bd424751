# SPDX-License-Identifier: MIT
from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import StorageError
from edge.record.store import ClipStore
from tests.conftest import may_mount, small_disk
from tests.record.shelf import names, shelve, sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

AUDIO = b"not really sound"
STEM = "0000001_20261122T221736Z_rain"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ClipStore]:
    with ClipStore(tmp_path / "clips") as opened:
        yield opened


@contextmanager
def calls(*functions: str) -> Iterator[list[str]]:
    """Note the calls of functions of the system, in order."""
    noted: list[str] = []

    def note(_: FrameType, event: str, what: Callable[..., object]) -> None:
        if event == "c_call" and what.__name__ in functions:
            noted.append(what.__name__)

    sys.setprofile(note)
    try:
        yield noted
    finally:
        sys.setprofile(None)


class TestSave:
    def test_a_clip_is_its_sidecar_and_its_sound(self, store: ClipStore) -> None:
        path = store.save(sidecar(), AUDIO, "flac")
        assert names(store.directory) == {f"0000/{STEM}.json", f"0000/{STEM}.flac"}
        assert json.loads(path.read_text()) == {
            **sidecar(),
            "number": 1,
            "file": f"{STEM}.flac",
        }
        assert path.with_suffix(".flac").read_bytes() == AUDIO

    def test_a_clip_without_its_sound_is_a_sidecar_that_says_so(self, store: ClipStore) -> None:
        path = store.save(sidecar(), None, "flac")
        assert names(store.directory) == {f"0000/{STEM}.json"}
        assert json.loads(path.read_text())["file"] is None
        (entry,) = store.entries()
        assert entry.audio is None
        store.close()
        assert store.open() == 0, "it is no leftover"

    def test_contents_are_on_the_disk_before_they_have_names_and_names_after(
        self, store: ClipStore
    ) -> None:
        """What a real power cut asks for, and no killed process can show."""
        with calls("mkdir", "fsync", "replace") as first:
            store.save(sidecar(), AUDIO, "flac")
        assert first[:2] == ["mkdir", "fsync"], "the folder has a name, too"
        with calls("mkdir", "fsync", "replace") as second:
            store.save(sidecar(), AUDIO, "flac")
        assert second == first[2:] == ["fsync", "fsync", "replace", "replace", "fsync"]

    def test_clips_are_their_owners_alone_whatever_the_umask_says(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            with ClipStore(tmp_path / "clips") as store:
                store.save(sidecar(), AUDIO, "flac")
                store.set_keep(store.find("1"), keep=True)
        finally:
            os.umask(before)
        made = [tmp_path / "clips", *(tmp_path / "clips").rglob("*")]
        modes = {path.name: path.stat().st_mode & 0o777 for path in made}
        assert modes == {path.name: 0o700 if path.is_dir() else 0o600 for path in made}
        assert len(made) == 7

    @pytest.mark.parametrize("extension", ["flac", "wav", "flac.age", "wav.age"])
    def test_every_kind_of_sound_is_found_again(self, store: ClipStore, extension: str) -> None:
        store.save(sidecar(), AUDIO, extension)
        (entry,) = store.entries()
        assert entry.audio is not None
        assert entry.audio.name == f"{STEM}.{extension}"
        assert entry.audio.read_bytes() == AUDIO
        assert entry.sealed is extension.endswith("age")

    @pytest.mark.parametrize("extension", ["mp3", "", "../x", "json"])
    def test_another_extension_is_a_programmers_mistake(
        self, store: ClipStore, extension: str
    ) -> None:
        with pytest.raises(ValueError, match="is none of"):
            store.save(sidecar(), AUDIO, extension)
        assert not names(store.directory)

    def test_what_json_can_not_say_leaves_nothing(self, store: ClipStore) -> None:
        with pytest.raises(ValueError, match="JSON"):
            store.save(sidecar(score=float("nan")), AUDIO, "flac")
        assert not names(store.directory)

    def test_numbers_grow_over_folders_of_a_thousand(self, store: ClipStore) -> None:
        folder = store.directory / "0000"
        folder.mkdir()
        for number in (997, 998):
            (folder / f"{number:07}_untimed_rain.json").write_text('{"file": null}')
        store.close()
        store.open()
        paths = [store.save(sidecar(), AUDIO, "flac") for _ in range(3)]
        assert [path.parent.name for path in paths] == ["0000", "0001", "0001"]
        assert [entry.number for entry in store.entries()] == [997, 998, 999, 1000, 1001]
        newest = store.entries(newest_first=True)
        assert [entry.number for entry in newest] == [1001, 1000, 999, 998, 997]

    def test_who_has_not_opened_may_not_save(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="open"):
            ClipStore(tmp_path).save(sidecar(), AUDIO, "flac")

    def test_a_number_never_comes_twice(self, tmp_path: Path) -> None:
        """Not even when the newest clip is deleted and the box starts again."""
        seen = []
        for _ in range(4):
            with ClipStore(tmp_path) as store:
                store.save(sidecar(), AUDIO, "flac")
                store.save(sidecar(), AUDIO, "flac")
                for entry in list(store.entries()):
                    seen.append(entry.number)
                    store.delete(entry)
        assert seen == list(range(1, 9))

    def test_a_damaged_counter_does_no_harm(self, tmp_path: Path) -> None:
        with ClipStore(tmp_path) as store:
            store.save(sidecar(), AUDIO, "flac")
            store.save(sidecar(), AUDIO, "flac")
            (tmp_path / ".number").write_bytes(b"\xff\0nonsense")
            store.delete(store.find("2"))
        with ClipStore(tmp_path) as store:
            assert store.save(sidecar(), AUDIO, "flac").name.startswith("0000003_")


class TestOneWriter:
    def test_a_second_writer_is_refused_with_the_reason(self, store: ClipStore) -> None:
        with pytest.raises(StorageError, match="another process writes") as refused:
            ClipStore(store.directory).open()
        assert "edge listen" in refused.value.help

    def test_a_disk_that_must_be_mounted_and_is_not_gets_no_folder_in_its_place(self) -> None:
        place = Path(f"/no-such-disk-{os.getpid()}")
        store = ClipStore(place / "clips", require_mount=True)
        with pytest.raises(StorageError, match="is not mounted") as failure:
            store.open()
        assert isinstance(failure.value.__cause__, OSError)
        assert "record.require_mount" in failure.value.help
        assert not place.exists()

    def test_the_next_one_may_when_the_first_has_closed(self, store: ClipStore) -> None:
        store.save(sidecar(), AUDIO, "flac")
        store.close()
        store.close()
        with ClipStore(store.directory) as second:
            assert second.save(sidecar(), AUDIO, "flac").name.startswith("0000002_")

    def test_readers_need_no_leave(self, store: ClipStore) -> None:
        store.save(sidecar(), AUDIO, "flac")
        reader = ClipStore(store.directory)
        (entry,) = reader.entries()
        reader.set_keep(entry, keep=True)
        assert reader.find("1").kept
        assert reader.delete(reader.find("1")) > 0

    def test_a_reader_of_nothing_sees_nothing(self, tmp_path: Path) -> None:
        assert not list(ClipStore(tmp_path / "none").entries())


class TestLeftovers:
    @pytest.mark.parametrize(
        "left",
        [
            [f".{STEM}.json.part"],
            [f".{STEM}.json.part", f".{STEM}.flac.part"],
            [f"{STEM}.json", f".{STEM}.flac.part"],
            [f"{STEM}.flac"],
            [f"{STEM}.wav.age"],
            [f"{STEM}.json"],
            [f"{STEM}.analysis.json", f"{STEM}.analysis.png", f".{STEM}.analysis.png.part"],
        ],
    )
    def test_what_a_power_cut_left_is_no_clip_and_goes(
        self, tmp_path: Path, left: list[str]
    ) -> None:
        folder = tmp_path / "0000"
        folder.mkdir()
        for name in left:
            (folder / name).write_text('{"file": "x.flac"}')
        store = ClipStore(tmp_path)
        assert not list(store.entries())
        assert store.open() == len(left)
        assert not names(tmp_path)
        store.close()

    def test_whole_clips_and_what_was_made_of_them_stay(self, store: ClipStore) -> None:
        store.save(sidecar(), AUDIO, "flac")
        store.save(sidecar(), None, "flac")
        folder = store.directory / "0000"
        (folder / f"{STEM}.analysis.json").write_text("{}")
        (folder / f".{STEM}.analysis.png.part").write_text("the analysis is at it")
        before = names(store.directory)
        store.close()
        assert store.open() == 0
        assert names(store.directory) == before

    def test_strangers_files_stay(self, tmp_path: Path) -> None:
        strange = [
            "notes.txt",
            "0000/notes.txt",
            "0000/.hidden.part",
            f"0000/{STEM}.txt",
            f"0000/{STEM}",
            f"0007/{STEM}.flac",
            f"{STEM}.flac",
            "12/x.flac",
        ]
        for name in strange:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "0000" / "0000002_untimed_rain.flac").mkdir()
        with ClipStore(tmp_path) as store:
            assert not list(store.entries())
        assert names(tmp_path) == set(strange)

    def test_of_a_clip_that_somebody_marked_the_rest_stays(self, store: ClipStore) -> None:
        path = store.save(sidecar(), AUDIO, "flac")
        store.set_keep(store.find("1"), keep=True)
        path.unlink()
        store.close()
        assert store.open() == 0
        assert path.with_suffix(".flac").exists()

    def test_links_out_of_the_store_are_neither_followed_nor_removed(self, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        (outside / "0001").mkdir(parents=True)
        (outside / "0001" / "0001000_untimed_rain.flac").write_bytes(AUDIO)
        (outside / "song.flac").write_bytes(AUDIO)
        with ClipStore(tmp_path / "clips") as store:
            store.save(sidecar(), AUDIO, "flac")
            (store.directory / "0001").symlink_to(outside / "0001")
            sound = store.directory / "0000" / f"{STEM}.flac"
            sound.unlink()
            sound.symlink_to(outside / "song.flac")
            assert not list(store.entries())
        with ClipStore(tmp_path / "clips") as store:
            assert sound.is_symlink()
            assert store.save(sidecar(), AUDIO, "flac").name.startswith("0000002_")
        assert names(outside) == {"song.flac", "0001/0001000_untimed_rain.flac"}


class TestFind:
    @pytest.fixture
    def filled(self, store: ClipStore) -> ClipStore:
        for number in (1, 2, 3):
            store.save(sidecar(clip_id=f"edge-1-clip-{number}"), AUDIO, "flac")
        return store

    @pytest.mark.parametrize(
        "wanted",
        [
            "2",
            "0000002",
            "0000002_20261122T221736Z_rain",
            "0000002_20261122T221736Z_rain.flac",
            "0000002_20261122T221736Z_rain.analysis.png",
            "0000/0000002_20261122T221736Z_rain.json",
            "edge-1-clip-2",
        ],
    )
    def test_a_clip_is_found_by_any_of_its_names(self, filled: ClipStore, wanted: str) -> None:
        assert filled.find(wanted).number == 2

    def test_a_path_is_found_absolute_and_from_where_one_stands(
        self, filled: ClipStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = filled.find("3").sidecar
        monkeypatch.chdir(path.parent)
        assert filled.find(str(path)).number == 3
        assert filled.find(f"./{path.name}").number == 3
        assert filled.find(f"../0000/{path.name}").number == 3

    @pytest.mark.parametrize(
        "wanted",
        [
            "4",
            "0",
            "-1",
            "9" * 5000,
            "",
            ".",
            "..",
            "/",
            "../../etc/passwd",
            f"../{STEM}.flac",
            f"../../clips/{STEM}.flac",
            f"/tmp/{STEM}.flac",  # noqa: S108 - a name only
            f"\0/{STEM}.flac",
            f"{STEM}\0",
            "0000001_20261122T221736Z_siren",
            "²",
        ],
    )
    def test_anything_else_is_said_not_to_be_there(self, filled: ClipStore, wanted: str) -> None:
        with pytest.raises(StorageError, match="there is no clip"):
            filled.find(wanted)

    def test_a_number_that_two_clips_have_is_ambiguous(self, filled: ClipStore) -> None:
        folder = filled.directory / "0000"
        (folder / "0000002_untimed_siren.json").write_text('{"file": null}')
        with pytest.raises(StorageError, match=r"names 2 clips: .*siren"):
            filled.find("2")
        assert filled.find("0000002_untimed_siren").label == "siren"

    @pytest.mark.parametrize(
        "wanted", ["2", f"{STEM[:6]}2{STEM[7:]}", f"{STEM[:6]}2{STEM[7:]}.flac"]
    )
    def test_by_name_alone_only_the_clips_of_its_number_are_looked_at(
        self, filled: ClipStore, monkeypatch: pytest.MonkeyPatch, wanted: str
    ) -> None:
        for entry in filled.entries():  # without its sound a clip costs a look into its sidecar
            if entry.audio:
                entry.audio.unlink()
            entry.sidecar.write_text('{"file": null}')
        read: list[str] = []
        monkeypatch.setattr(
            "edge.record.folder.read_sidecar", lambda path: read.append(path.name) or {"file": None}
        )
        assert filled.find(wanted, by_id=False).number == 2
        assert read == ["0000002_20261122T221736Z_rain.json"]

    @pytest.mark.parametrize(
        "wanted",
        [
            "edge-1-clip-2",
            "1234567890123456789",
            "\N{ARABIC-INDIC DIGIT THREE}",
            f"{STEM}.x/y",
            f"{STEM}.txt",
            f"0000/{STEM}.flac",
            f"\ud800/{STEM}.flac",
            f"{STEM}.\0",
            "",
            "4",
        ],
    )
    def test_by_name_alone_what_is_no_name_is_looked_for_nowhere(
        self, filled: ClipStore, wanted: str
    ) -> None:
        for entry in filled.entries():
            entry.sidecar.write_text(json.dumps({"clip_id": wanted}))
        with pytest.raises(StorageError, match="there is no clip"):
            filled.find(wanted, by_id=False)

    def test_a_path_in_a_circle_is_no_clip(self, filled: ClipStore, tmp_path: Path) -> None:
        (tmp_path / "circle").symlink_to("circle")
        for wanted in (f"{tmp_path}/circle/{STEM}.flac", f"\ud800/{STEM}.flac"):
            with pytest.raises(StorageError, match="there is no clip"):
                filled.find(wanted)

    @given(wanted=st.text(max_size=30))
    def test_no_text_makes_it_fall(self, wanted: str) -> None:
        with pytest.raises(StorageError, match="there is no clip"):
            ClipStore(Path("/nowhere/clips")).find(wanted)


class TestSidecar:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe",
            b"[" * 200_000,
            b'{"a": "%b"}' % bytes(5 << 20).replace(b"\0", b"x"),
            b'{"a": "\xc3',
        ],
        ids=["empty", "half", "list", "null", "bytes", "deep", "large", "cut"],
    )
    def test_a_damaged_one_says_so_and_the_clip_stays_listed(
        self, store: ClipStore, content: bytes
    ) -> None:
        store.save(sidecar(), AUDIO, "flac").write_bytes(content)
        (entry,) = store.entries()
        with pytest.raises(StorageError, match="is damaged"):
            store.sidecar(entry)
        with pytest.raises(StorageError, match="there is no clip"):
            store.find("edge-1-clip")
        store.close()
        assert store.open() == 0

    def test_one_that_is_gone_says_so(self, store: ClipStore) -> None:
        store.save(sidecar(), AUDIO, "flac")
        (entry,) = store.entries()
        store.delete(entry)
        with pytest.raises(StorageError, match="can't be read"):
            store.sidecar(entry)


class TestDelete:
    def test_all_files_of_a_clip_go_and_their_bytes_are_told(self, store: ClipStore) -> None:
        path = store.save(sidecar(), AUDIO, "flac")
        other = store.save(sidecar("siren"), AUDIO, "flac")
        (entry, _) = store.entries()
        for ending in ("analysis.json", "analysis.png", "harmonic.flac", "percussive.flac"):
            (path.parent / f"{STEM}.{ending}").write_bytes(bytes(1000))
        (path.parent / f".{STEM}.analysis.json.part").write_bytes(bytes(1000))
        sizes = path.stat().st_size + len(AUDIO) + 5000
        assert store.delete(entry) == sizes
        assert names(store.directory) == {
            f"0000/{other.name}",
            f"0000/{other.with_suffix('.flac').name}",
        }
        assert store.delete(entry) == 0

    def test_the_number_is_on_the_disk_before_its_clip_goes(self, store: ClipStore) -> None:
        """Or a power cut would let it come again."""
        store.save(sidecar(), AUDIO, "flac")
        entry = store.find("1")
        with calls("pwrite", "fsync", "unlink") as done:
            store.delete(entry)
        assert done[:3] == ["pwrite", "fsync", "unlink"]

    def test_a_mark_made_since_it_was_listed_holds(self, store: ClipStore) -> None:
        store.save(sidecar(), AUDIO, "flac")
        (entry,) = store.entries()
        store.set_keep(entry, keep=True)
        assert store.delete(entry) == 0
        assert store.delete(store.find("1")) > 0
        assert not names(store.directory)

    @pytest.mark.parametrize("ending", [".wav", ".analysis.png"])
    def test_a_folder_of_such_a_name_is_no_part_of_it(self, store: ClipStore, ending: str) -> None:
        path = store.save(sidecar(), AUDIO, "flac")
        path.with_suffix(ending).mkdir()
        path.with_suffix(".percussive.flac").touch()
        assert store.delete(store.find("1")) > 0
        assert not names(store.directory)
        store.close()
        assert store.open() == 0

    @pytest.fixture
    def spoil(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        """Let no file of an ending be deleted: what root may not do differs between disks."""
        unlink = os.unlink

        def spoil(ending: str) -> None:
            def fail(path: str | Path) -> None:
                if str(path).endswith(ending):
                    raise PermissionError(errno.EPERM, "Operation not permitted")
                unlink(path)

            monkeypatch.setattr("os.unlink", fail)

        return spoil

    def test_cut_short_it_leaves_no_mark_on_what_is_no_clip(
        self, store: ClipStore, spoil: Callable[[str], None]
    ) -> None:
        """A marked rest would stay for ever."""
        store.save(sidecar(), AUDIO, "flac")
        store.set_keep(store.find("1"), keep=True)
        spoil(".flac")
        with pytest.raises(StorageError, match="not permitted"):
            store.delete(store.find("1"))
        assert names(store.directory) == {f"0000/{STEM}.json", f"0000/{STEM}.flac"}

    def test_what_was_made_of_it_and_can_not_go_holds_up_nothing(
        self, store: ClipStore, spoil: Callable[[str], None]
    ) -> None:
        path = store.save(sidecar(), AUDIO, "flac")
        for ending in (".analysis.json", ".percussive.flac"):
            path.with_suffix(ending).touch()
        spoil(".analysis.json")
        assert store.delete(store.find("1")) > 0
        assert names(store.directory) == {f"0000/{STEM}.analysis.json"}
        store.close()
        assert store.open() == 0, "nor the next start"
        assert store.save(sidecar(), AUDIO, "flac").exists()

    def test_a_folder_that_is_done_with_goes_with_its_last_clip(self, store: ClipStore) -> None:
        for folder, number in (("0000", 998), ("0001", 1001)):
            (store.directory / folder).mkdir()
            (store.directory / folder / f"{number:07}_untimed_rain.json").write_text(
                '{"file": null}'
            )
        for entry in list(store.entries()):
            store.delete(entry)
        assert not (store.directory / "0000").exists()
        assert (store.directory / "0001").exists(), "the next clip may be on its way there"


class TestKeep:
    def test_a_mark_is_set_and_taken_away(self, store: ClipStore) -> None:
        store.save(sidecar(), AUDIO, "flac")
        store.set_keep(store.find("1"), keep=True)
        store.set_keep(store.find("1"), keep=True)
        assert store.find("1").kept
        store.set_keep(store.find("1"), keep=False)
        store.set_keep(store.find("1"), keep=False)
        assert not store.find("1").kept

    def test_what_is_gone_can_not_be_marked(self, store: ClipStore) -> None:
        store.save(sidecar(), AUDIO, "flac")
        entry = store.find("1")
        store.delete(entry)
        with pytest.raises(StorageError, match="was deleted"):
            store.set_keep(entry, keep=True)
        assert not names(store.directory)

    def test_nor_where_its_folder_is_gone_too(self, store: ClipStore) -> None:
        for number in (1, 1001):
            shelve(store.directory, number)
        entry = store.find("1")
        store.delete(store.find("1001"))
        store.delete(entry)
        assert not entry.bucket.exists()
        with pytest.raises(StorageError, match="clip 1 was deleted"):
            store.set_keep(entry, keep=True)


class TestTrouble:
    @pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not allowed here")
    def test_a_full_disk_is_told_and_nothing_is_left(self, tmp_path: Path) -> None:
        code = """
import errno, sys
from pathlib import Path
from edge.errors import StorageError
from edge.record.store import ClipStore
from tests.record.shelf import names, sidecar

with ClipStore(Path(sys.argv[1])) as store:
    before = names(store.directory)
    for _ in range(20):
        try:
            store.save(sidecar(), bytes(150_000), "wav")
        except StorageError as error:
            assert error.__cause__.errno == errno.ENOSPC, error
            break
        before = names(store.directory)
    else:
        sys.exit("the disk was never full")
    assert names(store.directory) == before != set()
    store.delete(store.find("1"))
    path = store.save(sidecar(), bytes(150_000), "wav")
    print(path.name, len(before))
"""
        done = subprocess.run(
            [*small_disk(tmp_path, "1m"), sys.executable, "-c", code, tmp_path],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("0000007_"), "six fit, the seventh did after one had gone"

    def test_a_sound_that_can_not_get_its_name_takes_its_sidecar_along(
        self, store: ClipStore
    ) -> None:
        folder = store.directory / "0000"
        folder.mkdir()
        (folder / f"{STEM}.flac").mkdir()  # a rename onto a folder fails
        with pytest.raises(StorageError, match="can't be written"):
            store.save(sidecar(), AUDIO, "flac")
        assert not names(store.directory)
        (folder / f"{STEM}.flac").rmdir()
        assert store.save(sidecar(), AUDIO, "flac").name == f"{STEM}.json"

    @pytest.mark.parametrize("spoilt", ["/proc/edge", "/dev/null/clips"])
    def test_a_folder_that_can_not_be_made_is_said(self, spoilt: str) -> None:
        with pytest.raises(StorageError, match="can't be used") as said:
            ClipStore(Path(spoilt)).open()
        assert isinstance(said.value.__cause__, OSError)

    def test_a_folder_without_permission_is_said(self, tmp_path: Path) -> None:
        """As another user: root may read everything."""
        with ClipStore(tmp_path / "clips") as store:
            store.save(sidecar(), AUDIO, "flac")
        (tmp_path / "clips" / "0000").chmod(0)
        code = """
import os, sys
from pathlib import Path
from edge.errors import StorageError
from edge.record.store import ClipStore
if os.geteuid() == 0:
    os.setuid(65534)
store = ClipStore(Path(sys.argv[1]))
for use in (lambda: list(store.entries()), store.open, lambda: store.find("1")):
    try:
        use()
    except StorageError as error:
        assert "Permission denied" in str(error), error
    else:
        sys.exit("not refused")
"""
        for parent in (tmp_path, *tmp_path.parents[:2]):
            parent.chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "clips"],
            capture_output=True,
            text=True,
            check=False,
        )
        (tmp_path / "clips" / "0000").chmod(0o755)
        assert done.returncode == 0, done.stderr

    def test_listing_while_another_deletes_falls_over_nothing(self, store: ClipStore) -> None:
        for _ in range(120):
            store.save(sidecar(), AUDIO, "flac")
        reader = ClipStore(store.directory)
        entries = list(reader.entries())
        eraser = threading.Thread(target=lambda: [reader.delete(entry) for entry in entries])
        eraser.start()
        while eraser.is_alive():
            for entry in ClipStore(store.directory).entries():
                assert entry.stem in {each.stem for each in entries}
        eraser.join()
        assert not list(store.entries())
