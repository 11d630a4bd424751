# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import StorageError
from edge.record.census import Census
from edge.record.retention import MOST_AT_ONCE, Excess, Limits, Outcome, Retention, choose
from edge.record.store import ClipStore, Entry
from edge.trust import HOLD_S
from edge.types import Utc
from tests.record.shelf import freeze, names, shelve, sidecar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MB = 1_000_000
NOW = Utc("2026-11-22T12:00:00.000Z", synchronised=True)
UNSURE = Utc("2026-11-22T12:00:00.000Z", synchronised=False)
A_MONTH_AGO = "20261022T120000Z"
YESTERDAY = "20261121T120000Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ClipStore]:
    with ClipStore(tmp_path) as opened:
        yield opened


def left(store: ClipStore) -> list[int]:
    return [entry.number for entry in store.entries()]


def no_disk(_: Path) -> int:
    pytest.fail("nobody asked for the free space")


def entry(number: int, label: str, size_bytes: int, *, kept: bool) -> Entry:
    return Entry(
        number, f"{number:07}_untimed_{label}", Path(), "untimed", label, size_bytes, kept, ()
    )


def delete(clips: Iterable[Entry], counts: Counter[str], excess: Excess, least: int) -> list[Entry]:
    gone = []
    for clip in choose(clips, counts, excess, least):
        excess.size_bytes -= clip.size_bytes
        gone.append(clip)
    return gone


class TestRule:
    @given(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.booleans())),
        st.integers(0, 60),
        st.integers(0, 12),
        st.integers(0, 3),
    )
    def test_the_oldest_that_may_go_and_no_more_than_must(
        self, clips: list[tuple[str, int, bool]], size_bytes: int, too_old: int, least: int
    ) -> None:
        shelf = [entry(n, label, size, kept=kept) for n, (label, size, kept) in enumerate(clips, 1)]
        counts = Counter(clip.label for clip in shelf)
        gone = delete(shelf, counts, Excess(size_bytes, too_old), least)
        assert gone == [clip for clip in shelf if clip in gone], "oldest first"
        may_go = [
            clip
            for clip in shelf
            if not clip.kept
            and sum(other.label == clip.label for other in shelf[clip.number :]) >= least
        ]
        assert gone == may_go[: len(gone)], "only what may go, and none is passed over"
        freed = sum(clip.size_bytes for clip in gone)
        if len(gone) < len(may_go):
            assert freed >= size_bytes
            assert may_go[len(gone)].number > too_old
        if gone:
            last = gone[-1]
            assert freed - last.size_bytes < size_bytes or last.number <= too_old

    def test_clips_are_taken_no_further_than_needed(self) -> None:
        clips = iter([entry(n, "rain", 10, kept=False) for n in range(1, 100)])
        gone = delete(clips, Counter(rain=99), Excess(size_bytes=25), 0)
        assert [clip.number for clip in gone] == [1, 2, 3]
        assert next(clips).number == 5


class TestSize:
    def test_the_oldest_go_until_all_fit_with_what_is_to_come(self, store: ClipStore) -> None:
        for number in range(1, 11):
            shelve(store.directory, number, size_bytes=MB // 5)
        retention = Retention(store, Limits(max_total_mb=2), free_bytes=no_disk)
        assert retention.make_room(0, None) == Outcome(0, 0, enough=True)
        assert retention.make_room(MB // 5 + 1, None) == Outcome(2, 2 * MB // 5, enough=True)
        assert left(store) == list(range(3, 11))

    def test_marked_clips_and_the_newest_of_each_label_stay(self, store: ClipStore) -> None:
        shelve(store.directory, 1, label="siren", size_bytes=MB)
        shelve(store.directory, 2, size_bytes=MB, kept=True)
        for number in range(3, 8):
            shelve(store.directory, number, size_bytes=MB)
        retention = Retention(store, Limits(max_total_mb=1, min_per_label=2), free_bytes=no_disk)
        assert retention.make_room(0, None) == Outcome(
            3, 3 * MB, enough=False, why="no clip is left that may be deleted"
        )
        assert left(store) == [1, 2, 6, 7]
        shelve(store.directory, 8, label="siren", size_bytes=MB)
        shelve(store.directory, 9, label="siren", size_bytes=MB)
        assert retention.make_room(0, None).deleted == 1
        assert left(store) == [2, 6, 7, 8, 9], "two newer ones of its label set the oldest free"

    def test_nothing_goes_for_what_would_never_fit(self, store: ClipStore) -> None:
        shelve(store.directory, 1)
        retention = Retention(store, Limits(max_total_mb=1), free_bytes=no_disk)
        outcome = retention.make_room(2 * MB, None)
        assert (outcome.deleted, outcome.enough) == (0, False)
        assert outcome.why == "retention.max_total_mb = 1 is less than the 2.0 MB of one clip"
        assert left(store) == [1]

    def test_it_goes_on_over_folders_and_past_marked_ones(self, store: ClipStore) -> None:
        for number in (998, 999):
            shelve(store.directory, number, size_bytes=MB, kept=True)
        for number in (1000, 2000, 3000):
            shelve(store.directory, number, size_bytes=MB)
        retention = Retention(store, Limits(max_total_mb=3), free_bytes=no_disk)
        assert retention.make_room(0, None).deleted == 2
        assert left(store) == [998, 999, 3000]

    def test_many_go_in_several_calls(self, store: ClipStore) -> None:
        for number in range(1, MOST_AT_ONCE + 101):
            shelve(store.directory, number, size_bytes=MB // 100)
        retention = Retention(store, Limits(max_total_mb=1), free_bytes=no_disk)
        freed = MOST_AT_ONCE * MB // 100
        assert retention.make_room(MB, None) == Outcome(MOST_AT_ONCE, freed, enough=True)
        assert retention.make_room(MB, None) == Outcome(100, MB, enough=True)
        assert retention.make_room(MB, None) == Outcome(0, 0, enough=True)

    def test_marked_clips_of_another_folder_are_no_newer_ones(self, store: ClipStore) -> None:
        for number in (998, 999):
            shelve(store.directory, number, size_bytes=MB, kept=True)
        shelve(store.directory, 1000, size_bytes=MB)
        retention = Retention(store, Limits(max_total_mb=1, min_per_label=1), free_bytes=no_disk)
        assert retention.make_room(0, None).deleted == 0

    def test_no_limit_deletes_nothing(self, store: ClipStore) -> None:
        shelve(store.directory, 1, "19990101T000000Z", size_bytes=MB)
        retention = Retention(store, Limits(), free_bytes=no_disk)
        assert retention.make_room(10**15, NOW) == Outcome(0, 0, enough=True)

    def test_without_a_folder_there_is_nothing_to_delete(self, tmp_path: Path) -> None:
        retention = Retention(ClipStore(tmp_path / "none"), Limits(max_total_mb=1, max_age_days=1))
        assert retention.make_room(0, NOW) == Outcome(0, 0, enough=True)


class TestFreeSpace:
    def test_the_oldest_go_until_so_much_is_free(self, store: ClipStore) -> None:
        for number in range(1, 6):
            shelve(store.directory, number, size_bytes=MB)
        free = {store.directory: 7 * MB}
        retention = Retention(store, Limits(min_free_mb=8), free_bytes=free.__getitem__)
        assert retention.make_room(MB, None) == Outcome(2, 2 * MB, enough=True)
        assert left(store) == [3, 4, 5]

    @pytest.mark.parametrize(("max_total_mb", "free_mb"), [(4, 6), (3, 7), (3, 6)])
    def test_both_limits_share_what_goes(
        self, store: ClipStore, max_total_mb: int, free_mb: int
    ) -> None:
        for number in range(1, 6):
            shelve(store.directory, number, size_bytes=MB)
        limits = Limits(min_free_mb=8, max_total_mb=max_total_mb)
        retention = Retention(store, limits, free_bytes=lambda _: free_mb * MB)
        assert retention.make_room(0, None).deleted == 2

    def test_the_disk_itself_is_asked(self, store: ClipStore) -> None:
        shelve(store.directory, 1)
        disk = os.statvfs(store.directory)
        free_mb = disk.f_bavail * disk.f_frsize // MB
        plenty = Retention(store, Limits(min_free_mb=max(free_mb // 2, 1)))
        assert plenty.make_room(0, None) == Outcome(0, 0, enough=True)
        greedy = Retention(store, Limits(min_free_mb=2 * free_mb + 1000))
        assert not greedy.make_room(0, None).enough

    @pytest.mark.parametrize("least", [0, 20])
    def test_where_others_fill_the_disk_nothing_goes_in_vain(
        self, store: ClipStore, least: int
    ) -> None:
        for number in range(1, 31):
            shelve(store.directory, number, size_bytes=MB)
        limits = Limits(min_free_mb=31 if not least else 11, min_per_label=least)
        outcome = Retention(store, limits, free_bytes=lambda _: 0).make_room(0, None)
        assert (outcome.deleted, outcome.enough) == (0, False)
        assert "other files fill the disk" in outcome.why
        assert "retention.min_free_mb" in outcome.why
        assert left(store) == list(range(1, 31))

    @pytest.mark.parametrize("least", [0, 20])
    def test_where_just_all_that_may_go_are_enough_they_go(
        self, store: ClipStore, least: int
    ) -> None:
        for number in range(1, 31):
            shelve(store.directory, number, size_bytes=MB)
        limits = Limits(min_free_mb=30 - least, min_per_label=least)
        outcome = Retention(store, limits, free_bytes=lambda _: 0).make_room(0, None)
        assert outcome == Outcome(30 - least, (30 - least) * MB, enough=True)

    def test_the_other_limits_hold_though_others_fill_the_disk(self, store: ClipStore) -> None:
        shelve(store.directory, 1, A_MONTH_AGO, size_bytes=MB)
        for number in range(2, 31):
            shelve(store.directory, number, YESTERDAY, size_bytes=MB)
        limits = Limits(min_free_mb=1000, max_total_mb=30, max_age_days=7)
        retention = Retention(store, limits, free_bytes=lambda _: 0)
        assert (retention.make_room(0, NOW).deleted, left(store)[0]) == (1, 2), "too old"
        outcome = retention.make_room(2 * MB, NOW)
        assert (outcome.deleted, outcome.enough) == (1, False), "too much in all"
        assert left(store) == list(range(3, 31))

    def test_a_disk_that_refuses_is_a_storage_error(self, tmp_path: Path) -> None:
        retention = Retention(ClipStore(tmp_path / "none"), Limits(min_free_mb=1))
        with pytest.raises(StorageError, match="no room can be made") as said:
            retention.make_room(0, None)
        assert isinstance(said.value.__cause__, FileNotFoundError)


class TestStuck:
    """Of ten clips the first three can't be deleted: their folder may not be changed."""

    @pytest.fixture
    def clips(self, store: ClipStore) -> Iterator[ClipStore]:
        for number in range(997, 1007):
            shelve(store.directory, number, A_MONTH_AGO, size_bytes=MB)
        with freeze(store.directory / "0000"):
            yield store

    def test_the_next_ones_go_instead_and_it_is_said_once(
        self, clips: ClipStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        retention = Retention(clips, Limits(max_total_mb=8), free_bytes=no_disk)
        assert retention.make_room(0, None) == Outcome(2, 2 * MB, enough=True, stuck=3)
        assert left(clips) == [997, 998, 999, *range(1002, 1007)], "whole as they were"
        assert retention.make_room(MB, None).deleted == 1
        (said,) = caplog.messages
        assert said.startswith("3 clips can't be deleted, 0000997_")

    def test_what_is_too_old_keeps_nobody_from_recording(self, clips: ClipStore) -> None:
        shelve(clips.directory, 1007, YESTERDAY)
        retention = Retention(clips, Limits(max_age_days=7))
        assert retention.make_room(0, UNSURE).deleted == 0
        assert retention.make_room(0, NOW).deleted == 7
        assert retention.make_room(0, NOW) == Outcome(0, 0, enough=True, stuck=3)

    def test_where_none_can_go_and_one_must_it_is_an_error(self, clips: ClipStore) -> None:
        retention = Retention(clips, Limits(max_total_mb=1, min_per_label=7), free_bytes=no_disk)
        with pytest.raises(StorageError, match="can't be used") as said:
            retention.make_room(0, None)
        assert isinstance(said.value.__cause__, PermissionError)

    def test_a_disk_that_can_only_be_read_is_not_asked_for_each_clip(
        self, clips: ClipStore
    ) -> None:
        with pytest.raises(StorageError):
            Retention(clips, Limits(max_total_mb=1), most_stuck=3).make_room(0, None)
        assert len(left(clips)) == 10


class TestOrphans:
    def test_what_was_made_of_a_clip_after_it_went_goes_too(self, store: ClipStore) -> None:
        """An analysis takes minutes: meanwhile its clip may have been deleted."""
        shelve(store.directory, 1)
        shelve(store.directory, 2)
        retention = Retention(store, Limits(max_total_mb=1), free_bytes=no_disk)
        retention.make_room(0, None)
        store.delete(store.find("1"))
        before = names(store.directory)
        folder = store.directory / "0000"
        for ending in ("analysis.json", "harmonic.flac"):
            (folder / f"0000001_untimed_rain.{ending}").write_bytes(b"{}")
            (folder / f"0000002_untimed_rain.{ending}").write_bytes(b"{}")
        (folder / ".0000003_untimed_rain.json.part").write_bytes(b"on its way")
        (folder / "0000004_untimed_rain.keep").touch()
        (folder / "notes.txt").touch()
        others = {
            "0000/0000002_untimed_rain.analysis.json",
            "0000/0000002_untimed_rain.harmonic.flac",
            "0000/.0000003_untimed_rain.json.part",
            "0000/0000004_untimed_rain.keep",
            "0000/notes.txt",
        }
        assert retention.make_room(0, None) == Outcome(0, 0, enough=True)
        assert names(store.directory) == before | others

    def test_the_folder_goes_with_the_last_of_it(self, store: ClipStore) -> None:
        shelve(store.directory, 1)
        shelve(store.directory, 1001)
        store.delete(store.find("1001"))
        store.delete(store.find("1"))
        folder = store.directory / "0000"
        folder.mkdir()
        (folder / "0000001_untimed_rain.analysis.json").touch()
        Retention(store, Limits()).make_room(0, None)
        assert not folder.exists()

    def test_a_folder_of_such_a_name_hinders_nobody(self, store: ClipStore) -> None:
        for number in range(1, 4):
            shelve(store.directory, number, size_bytes=MB)
        (store.directory / "0000" / "0000001_untimed_rain.analysis.png").mkdir()
        retention = Retention(store, Limits(max_total_mb=1), free_bytes=no_disk)
        assert retention.make_room(0, None) == Outcome(2, 2 * MB, enough=True)
        assert retention.make_room(0, None) == Outcome(0, 0, enough=True)
        assert left(store) == [3]


class TestAge:
    LIMITS = Limits(max_age_days=7)

    def left(self, store: ClipStore, now: Utc | None, times: list[str]) -> list[int]:
        for number, time in enumerate(times, 1):
            shelve(store.directory, number, time)
        Retention(store, self.LIMITS).make_room(0, now)
        return left(store)

    def test_what_is_too_old_goes(self, store: ClipStore) -> None:
        times = [A_MONTH_AGO, "20261115T115959Z", "20261115T120000Z", YESTERDAY]
        assert self.left(store, NOW, times) == [3, 4]

    @pytest.mark.parametrize("now", [None, UNSURE])
    def test_without_a_clock_nothing_is(self, store: ClipStore, now: Utc | None) -> None:
        assert self.left(store, now, [A_MONTH_AGO, YESTERDAY]) == [1, 2]

    def test_an_unsure_time_counts_by_later_clips_only(self, store: ClipStore) -> None:
        times = ["19700101T000000U", "untimed", A_MONTH_AGO, "19700101T000000U", YESTERDAY]
        assert self.left(store, NOW, times) == [4, 5]

    def test_unsure_times_alone_are_never_too_old(self, store: ClipStore) -> None:
        assert self.left(store, NOW, ["19700101T000000U", "untimed"]) == [1, 2]

    def test_a_time_from_the_future_is_none(self, store: ClipStore) -> None:
        """Recorded while the clock was wrong: it must not hold up what is behind it."""
        times = ["20400101T000000Z", A_MONTH_AGO, "20400101T000000Z", YESTERDAY]
        assert self.left(store, NOW, times) == [3, 4]

    def test_one_false_time_among_later_clips_condemns_nothing(self, store: ClipStore) -> None:
        assert self.left(store, NOW, [YESTERDAY, "19990101T000000Z", YESTERDAY]) == [1, 2, 3]

    def test_it_reaches_over_folders(self, store: ClipStore) -> None:
        for number, time in ((5, A_MONTH_AGO), (1005, "untimed"), (2005, A_MONTH_AGO)):
            shelve(store.directory, number, time)
        shelve(store.directory, 2006, YESTERDAY)
        Retention(store, self.LIMITS).make_room(0, NOW)
        assert left(store) == [2006]

    def test_a_clock_that_leaps_ahead_deletes_nothing_at_once(self, store: ClipStore) -> None:
        for number in range(1, 4):
            shelve(store.directory, number, YESTERDAY)
        seconds = iter([0.0, 0.0, 60.0, 60.0 + HOLD_S])
        retention = Retention(store, Limits(max_age_days=7), mono_s=lambda: next(seconds))
        leapt = Utc("2040-01-01T00:00:00.000Z", synchronised=True)
        assert retention.make_room(0, NOW).deleted == 0
        assert retention.make_room(0, leapt).deleted == 0
        assert retention.make_room(0, leapt).deleted == 3, "it lasted: the box was in a drawer"

    def test_nor_does_one_that_is_ahead_from_the_start(self, store: ClipStore) -> None:
        shelve(store.directory, 1, YESTERDAY)
        leapt = Utc("2040-01-01T00:00:00.000Z", synchronised=True)
        assert Retention(store, self.LIMITS).make_room(0, leapt).deleted == 0

    def test_whatever_the_clock_says_the_protected_stay(self, store: ClipStore) -> None:
        for number in range(1, 6):
            shelve(store.directory, number, "19990101T000000Z", kept=number == 1)
        limits = Limits(max_age_days=7, min_per_label=2)
        seconds = iter([0.0, 0.0, HOLD_S])
        retention = Retention(store, limits, mono_s=lambda: next(seconds))
        retention.make_room(0, NOW)
        retention.make_room(0, NOW)
        assert left(store) == [1, 4, 5]


class TestCensus:
    def test_what_others_delete_and_make_is_seen_at_once(self, store: ClipStore) -> None:
        for number in (1, 2, 1001):
            shelve(store.directory, number, size_bytes=MB)
        retention = Retention(store, Limits(max_total_mb=2), free_bytes=no_disk)
        other = ClipStore(store.directory)
        other.delete(other.find("2"))
        assert retention.make_room(0, None).deleted == 0
        (store.directory / "0001" / "0001001_untimed_rain.analysis.png").write_bytes(b"x")
        assert retention.make_room(0, None).deleted == 1
        assert left(store) == [1001]

    def test_a_clip_right_after_a_look_is_seen_though_the_stamp_is_the_same(
        self, store: ClipStore
    ) -> None:
        census = Census(store.directory)
        folder = store.save(sidecar(), b"x", "flac").parent
        stamp_ns = folder.stat().st_mtime_ns
        assert census.take()[0].clips == 1
        store.save(sidecar(), b"x", "flac")
        os.utime(folder, ns=(stamp_ns, stamp_ns))  # as a file system with coarse times
        assert census.take()[0].clips == 2

    def test_a_folder_that_nobody_changed_is_not_read_again(self, store: ClipStore) -> None:
        shelve(store.directory, 1, size_bytes=MB)
        folder = store.directory / "0000"
        os.utime(folder, (1e9, 1e9))
        census = Census(store.directory)
        assert census.take()[0].size_bytes == MB
        # Files of a store are never written in place: who does it makes the difference visible.
        (folder / "0000001_untimed_rain.flac").write_bytes(b"")
        assert census.take()[0].size_bytes == MB
        os.utime(folder, (2e9, 2e9))
        assert census.take()[0].size_bytes == 2

    def test_a_tally_counts(self, store: ClipStore) -> None:
        shelve(store.directory, 1, A_MONTH_AGO)
        shelve(store.directory, 2, YESTERDAY, "siren", kept=True)
        shelve(store.directory, 3, "20301121T120000U")
        (tally,) = Census(store.directory).take()
        assert (tally.clips, tally.kept, tally.size_bytes) == (3, 1, 3000)
        assert tally.labels == {"rain": 2, "siren": 1}
        assert (tally.newest_time, tally.last_timed) == (YESTERDAY, 2)
