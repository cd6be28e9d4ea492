"""Settling, interrupted at every step: nothing is lost, and the next run finishes."""

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from deltalake import DeltaTable

from pipeline import storage
from pipeline.table import commits, datafiles, delta, retention, settling
from pipeline.table.address import Table
from tests.table.tables import (
    DAY_SECONDS,
    MONDAY,
    OTHER,
    TUESDAY,
    assert_settled,
    delta_rows,
    duckdb_rows,
    publish,
    rows_of,
    write_file,
)


class Killed(BaseException):
    """Nothing in the code under test catches this, as nothing catches SIGKILL."""


# Whatever changes the disk while files are settled.
STEPS = [(os, "link"), (os, "unlink"), (os, "rmdir"), (commits, "_write")]


def at_step(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> list[str]:
    """Call `act` before the step of this number; the list returned grows with the steps made."""
    made: list[str] = []

    def wrapped(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            made.append(name)
            if len(made) == number:
                act()
            return step(*arguments, **keywords)

        return call

    for module, name in STEPS:
        monkeypatch.setattr(module, name, wrapped(name, getattr(module, name)))
    return made


OLD = [("a", 1, "account"), ("b", 1, "account"), ("c", 1, "shop")]
NEW = [("a", 2, "account"), ("b", 1, "account"), ("c", 2, "account"), ("d", 2, "account")]


def before(
    act: Callable[[], None], patch: pytest.MonkeyPatch, step: Callable[..., Any]
) -> Callable[..., Any]:
    """A step that does something else first, once; undoes the patches."""

    def call(*arguments: Any) -> Any:
        patch.undo()
        act()
        return step(*arguments)

    return call


def unsettled(root: str) -> None:
    """A table whose last run has committed and done no more; from `OLD` to `NEW`."""
    add = [
        write_file(root, "r1", "0", {"a": 1, "b": 1}),
        write_file(root, "r1", "1", {"c": 1}, OTHER),
    ]
    commits.commit(Table(root), delta.load(Table(root)).version, "r1", add, [])
    snapshot = settling.settle(Table(root))
    add = [
        write_file(root, "r2", "0", {"a": 2, "b": 1}),
        write_file(root, "r2", "1", {"c": 2, "d": 2}, TUESDAY),
        write_file(root, "r2", "9", {"c": 2, "d": 2}, TUESDAY),  # a step that ran twice
    ]
    commits.commit(Table(root), snapshot.version, "r2", add[:2], snapshot.files)


SETTLE_STEPS = 13  # a link fails first where its folder is missing


class TestSettle:
    def test_the_number_of_steps(self, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The tests below interrupt every single step; this one notices if there are more."""
        unsettled(root)
        with monkeypatch.context() as patch:
            made = at_step(patch, 0, lambda: None)
            settling.settle(Table(root))
        kinds = [name for i, name in enumerate(made) if i == 0 or made[i - 1] != name]
        assert kinds == ["link", "unlink", "_write", "unlink", "rmdir"]
        assert made.index("rmdir") == 9
        assert len(made) >= SETTLE_STEPS
        assert_settled(root, NEW)

    @pytest.mark.parametrize("number", range(1, SETTLE_STEPS + 1))
    def test_killed_at_any_step_nothing_is_lost_and_the_next_run_finishes(
        self, root: str, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        """Delta readers see the new table throughout; plain readers old, both, or new."""
        unsettled(root)

        def die() -> None:
            raise Killed

        with monkeypatch.context() as patch:
            made = at_step(patch, number, die)
            with pytest.raises(Killed):
                settling.settle(Table(root))
        assert delta_rows(root) == NEW
        plain = duckdb_rows(root)
        assert set(plain) <= {*OLD, *NEW}
        assert {event_id for event_id, _, _ in plain} >= {"a", "b", "c"}
        if made == ["link"]:
            assert plain == OLD
        if made.count("unlink") >= 1:
            assert set(plain) >= set(NEW)
        if "_write" in made:
            assert plain == NEW
        settling.settle(Table(root))
        assert_settled(root, NEW)

    @pytest.mark.parametrize("number", range(1, SETTLE_STEPS + 1))
    def test_two_at_once_do_the_work_once(
        self, root: str, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        """Another process settles the table at any step of ours: no file is lost or comes back."""
        unsettled(root)
        with monkeypatch.context() as patch:
            at_step(patch, number, lambda: assert_settled(table_settled(root), NEW))
            settling.settle(Table(root))
        assert_settled(root, NEW)

    @pytest.mark.parametrize("number", range(1, SETTLE_STEPS + 1))
    def test_a_whole_run_at_any_step_is_safe(
        self, root: str, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        """A run that publishes while we settle keeps its files, and what it removed stays gone."""
        unsettled(root)

        def run() -> None:
            snapshot = delta.load(Table(root))
            add = [write_file(root, "r3", "0", {"a": 3, "e": 3})]
            old = [file for file in snapshot.files if file.destination == MONDAY]
            commits.commit(Table(root), snapshot.version, "r3", add, old)

        with monkeypatch.context() as patch:
            at_step(patch, number, run)
            settling.settle(Table(root))
        expected = [("a", 3, "account"), ("c", 2, "account"), ("d", 2, "account")]
        expected.append(("e", 3, "account"))
        assert delta_rows(root) == expected
        settling.settle(Table(root))
        assert_settled(root, expected)

    def test_a_compaction_before_the_second_commit_is_seen(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither changes any data: deltalake, left to itself, puts the one on top of the other.

        Seen to fail without `max_commit_retries` in `commit_places`: two rows were there twice.
        """
        unsettled(root)

        def compaction() -> None:
            snapshot = delta.load(Table(root))
            add = [write_file(root, "r3", "0", {"a": 2, "b": 1})]
            old = [file for file in snapshot.files if file.destination == MONDAY]
            commits.commit(Table(root), snapshot.version, "r3", add, old, same_rows=True)

        with monkeypatch.context() as patch:
            patch.setattr(commits, "_write", before(compaction, patch, commits._write))
            settling.settle(Table(root))
        assert_settled(root, NEW)

    def test_a_run_between_looking_and_reading_the_log_is_safe(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Files are listed before the log is read: what is newer than the log is no leftover."""
        publish(root, "r1", {"a": 1})

        def then_another_run(step: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                result = step(*arguments)
                patch.undo()
                publish(root, "r2", {"b": 2})
                return result

            return call

        with monkeypatch.context() as patch:
            for module, name in ((delta, "open_newest"), (storage, "list_files")):
                patch.setattr(module, name, then_another_run(getattr(module, name)))
            settling.settle(Table(root))
        assert_settled(root, [("a", 1, "account"), ("b", 2, "account")])

    def test_what_a_killed_run_has_done_is_not_done_again(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On an object store every copy is a request, so those that are there are kept."""
        unsettled(root)

        def die(*arguments: Any) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(commits, "_write", die)
            with pytest.raises(Killed):
                settling.settle(Table(root))
        with monkeypatch.context() as patch:
            made = at_step(patch, 0, lambda: None)
            settling.settle(Table(root))
        assert "link" not in made
        assert_settled(root, NEW)

    def test_a_settled_table_is_left_alone(self, root: str) -> None:
        """Settling at the start of every run costs no commit."""
        publish(root, "r1", {"a": 1})
        snapshot = delta.load(Table(root))
        assert settling.settle(Table(root)) == snapshot
        assert delta.load(Table(root)) == snapshot

    def test_a_run_still_working_keeps_its_files(self, root: str) -> None:
        """Files of a run that is not in the log may be committed any moment."""
        publish(root, "r1", {"a": 1})
        snapshot = delta.load(Table(root))
        add = [write_file(root, "r2", "0", {"b": 2})]
        settling.settle(Table(root))
        commits.commit(Table(root), snapshot.version, "r2", add, [])
        settling.settle(Table(root))
        assert_settled(root, [("a", 1, "account"), ("b", 2, "account")])

    def test_what_runs_that_died_left_behind_goes_when_it_is_old(self, root: str) -> None:
        """Neither unpublished files nor temporary ones fill the disk for ever."""
        publish(root, "r1", {"a": 1})
        folder = os.path.dirname(delta.load(Table(root)).files[0].path)
        left = [
            write_file(root, "dead", "0", {"b": 2}).path,
            datafiles.NEW_FOLDER + "/dead/.part-dead-1.parquet.0f.tmp",
            f"{folder}/.part-r1-0.parquet.{'0f' * 16}.tmp",
        ]
        for path in left[1:]:
            storage.write_bytes(f"{root}/{path}", b"")
        settling.settle(Table(root))
        assert [path for path in left if os.path.exists(f"{root}/{path}")] == left
        for path in left:
            old = time.time() - retention.ABANDONED_SECONDS - 60
            os.utime(f"{root}/{path}", (old, old))
        settling.settle(Table(root))
        assert_settled(root, [("a", 1, "account")])
        assert [path for path in left if os.path.exists(f"{root}/{path}")] == []

    def test_what_others_have_not_committed_yet_stays(self, root: str) -> None:
        """However old it is and whatever it is called: its writer may commit it any moment."""
        publish(root, "r1", {"a": 1})
        folder = os.path.dirname(delta.load(Table(root)).files[0].path)
        paths = [
            f"{folder}/part-00000-0f0e0d0c-0b0a-4908-8706-050403020100-c000.parquet",
            f"{folder}/part-00000-0f0e0d0c-0b0a-4908-8706-050403020100-c000.snappy.parquet",
            f"{folder}/part-notes-of-mine.parquet",
            f"{folder}/.other.tmp",
        ]
        for path in paths:
            storage.write_bytes(f"{root}/{path}", b"")
        settling.settle(Table(root))
        for path in paths:
            os.utime(f"{root}/{path}", (1, 1))
        settling.settle(Table(root))
        assert [path for path in paths if os.path.exists(f"{root}/{path}")] == paths

    def test_what_is_certainly_ours_goes_when_the_log_has_forgotten_it(self, root: str) -> None:
        """The log remembers removed files for a day; ours are known by their names for ever."""
        publish(root, "r1", {"a": 1})
        folder = os.path.dirname(delta.load(Table(root)).files[0].path)
        path = f"{root}/{folder}/part-20210108T101112-0a1b2c-0123456789abcdef.parquet"
        storage.write_bytes(path, b"")
        settling.settle(Table(root))
        assert not os.path.exists(path)

    def test_a_clock_that_jumps_makes_nothing_old(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A run that works while the clock goes ahead by a month keeps what it has written."""
        publish(root, "r1", {"a": 1})
        snapshot = delta.load(Table(root))
        add = [write_file(root, "r2", "0", {"b": 2})]
        ahead = time.time() + 30 * DAY_SECONDS
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: ahead)
            settling.settle(Table(root))
        commits.commit(Table(root), snapshot.version, "r2", add, [])
        settling.settle(Table(root))
        assert_settled(root, [("a", 1, "account"), ("b", 2, "account")])

    def test_only_data_files_are_tidied_up(self, root: str) -> None:
        """Records, dead letters and people's notes are nobody's leftovers, however old."""
        publish(root, "r1", {"a": 1})
        folder = os.path.dirname(delta.load(Table(root)).files[0].path)
        paths = [
            "_eventsift/runs/r1.json",
            "notes.txt",
            f"{folder}/notes.txt",
            "x/part-r0-0.parquet",
        ]
        for path in paths:
            storage.write_bytes(f"{root}/{path}", b"")
            os.utime(f"{root}/{path}", (0, 1))
        settling.settle(Table(root))
        assert [path for path in paths if os.path.exists(f"{root}/{path}")] == paths

    def test_superseded_files_can_be_kept_for_a_while(self, root: str) -> None:
        """A Delta reader of the version before still finds its files; later they go.

        A plain reader never sees them.
        """
        first = write_file(root, "r1", "0", {"a": 1})
        commits.commit(Table(root), delta.load(Table(root)).version, "r1", [first], [])
        snapshot = settling.settle(Table(root), keep_seconds=3600)
        add = [write_file(root, "r2", "0", {"a": 2})]
        version = commits.commit(Table(root), snapshot.version, "r2", add, snapshot.files)
        settling.settle(Table(root), keep_seconds=3600)
        assert delta_rows(root) == duckdb_rows(root) == [("a", 2, "account")]
        for old, held in ((snapshot.version, 1), (version, 2)):
            found = DeltaTable(root, version=old).to_pyarrow_table()
            assert rows_of(found) == [("a", held, "account")]
        for file in storage.list_files(f"{root}/_delta_log"):
            os.utime(file.path, (time.time() - 4000,) * 2)
        settling.settle(Table(root), keep_seconds=3600)
        assert not os.path.exists(f"{root}/{first.path}")
        assert os.path.exists(f"{root}/{add[0].path}")
        settling.settle(Table(root))
        assert_settled(root, [("a", 2, "account")])

    def test_no_longer_than_the_log_remembers(self, root: str) -> None:
        """A longer time could not be kept, so it is refused."""
        with pytest.raises(ValueError, match="keep_seconds must be 0 to 7 days"):
            settling.settle(Table(root), keep_seconds=8 * DAY_SECONDS)

    def test_a_missing_live_file_is_reported(self, root: str) -> None:
        """What cannot be repaired is an error that names the file, not an endless attempt."""
        add = write_file(root, "r1", "0", {"a": 1})
        commits.commit(Table(root), delta.load(Table(root)).version, "r1", [add], [])
        os.unlink(f"{root}/{add.path}")
        with pytest.raises(datafiles.TableError, match=r"could not be settled.*part-r1-0 "):
            settling.settle(Table(root))

    def test_without_hard_links_files_are_copied(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some file systems have no links; the result is the same."""

        def refuses(*arguments: Any) -> None:
            raise PermissionError(1, "Operation not permitted")

        unsettled(root)
        monkeypatch.setattr(os, "link", refuses)
        settling.settle(Table(root))
        assert_settled(root, NEW)

    def test_files_rewritten_by_another_delta_tool_stay_right(self, root: str) -> None:
        """After a compaction with deltalake its files are live, ours go, and runs go on."""
        publish(root, "r1", {"a": 1})
        publish(root, "r2", {"b": 2})
        DeltaTable(root).optimize.compact()
        expected = [("a", 1, "account"), ("b", 2, "account")]
        settling.settle(Table(root))
        assert_settled(root, expected)
        snapshot = delta.load(Table(root))
        add = [write_file(root, "r3", "0", {"a": 3, "b": 3})]
        commits.commit(Table(root), snapshot.version, "r3", add, snapshot.files)
        assert delta_rows(root) == [("a", 3, "account"), ("b", 3, "account")]


def table_settled(root: str) -> str:
    """Settle the table, as another process would."""
    settling.settle(Table(root))
    return root
