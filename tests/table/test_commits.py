"""Commits: one of two wins, none is made twice, and the log stays small."""

import json
import os
import time
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from pipeline import storage
from pipeline.table import commits, datafiles, delta, retention, settling
from pipeline.table.address import Table
from tests.table.tables import DAY_SECONDS, assert_settled, delta_rows, publish, write_file


class TestCommit:
    def test_any_commit_in_between_is_a_conflict(self, root: str) -> None:
        """Two blind appends could hold the same event: the second must look again."""
        publish(root, "r1", {"a": 1})
        snapshot = delta.load(Table(root))
        publish(root, "r2", {"b": 2})
        add = [write_file(root, "r3", "0", {"b": 3})]
        with pytest.raises(datafiles.ConflictError, match="3 while run r3 worked on version 1"):
            commits.commit(Table(root), snapshot.version, "r3", add, [])
        settling.settle(Table(root))
        assert delta_rows(root) == [("a", 1, "account"), ("b", 2, "account")]

    def test_settling_in_between_is_a_conflict(self, root: str) -> None:
        """The paths that the run has read are gone; it must not remove what it cannot name."""
        add = [write_file(root, "r1", "0", {"a": 1})]
        commits.commit(Table(root), delta.load(Table(root)).version, "r1", add, [])
        snapshot = delta.load(Table(root))
        settling.settle(Table(root))
        with pytest.raises(datafiles.ConflictError):
            commits.commit(Table(root), snapshot.version, "r2", [], snapshot.files)

    def test_a_conflict_at_the_last_moment_is_seen(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not our look at the version but the log itself decides who was first."""
        publish(root, "r1", {"a": 1})
        snapshot = delta.load(Table(root))
        add = [write_file(root, "r3", "0", {"b": 3})]
        write = commits._write

        def overtaken(*arguments: Any) -> None:
            monkeypatch.setattr(commits, "_write", write)
            publish(root, "r2", {"b": 2})
            write(*arguments)

        monkeypatch.setattr(commits, "_write", overtaken)
        with pytest.raises(datafiles.ConflictError):
            commits.commit(Table(root), snapshot.version, "r3", add, [])
        assert delta_rows(root) == [("a", 1, "account"), ("b", 2, "account")]

    def test_both_creating_the_table_is_a_conflict(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first commit is as exclusive as any other."""
        snapshot = delta.load(Table(root))
        add = [write_file(root, "r2", "0", {"a": 2})]
        create = commits.create_table_with_add_actions

        def overtaken(*arguments: Any, **keywords: Any) -> None:
            monkeypatch.setattr(commits, "create_table_with_add_actions", create)
            publish(root, "r1", {"a": 1})
            create(*arguments, **keywords)

        monkeypatch.setattr(commits, "create_table_with_add_actions", overtaken)
        with pytest.raises(datafiles.ConflictError, match="while run r2 was making the table"):
            commits.commit(Table(root), snapshot.version, "r2", add, [])
        assert delta_rows(root) == [("a", 1, "account")]

    @pytest.mark.parametrize("first", [True, False])
    def test_a_run_is_committed_once(self, root: str, first: bool) -> None:
        """A retry finds its transaction in the log, also behind later commits and a checkpoint."""
        if not first:
            publish(root, "r0", {"z": 0})
        snapshot = delta.load(Table(root))
        add = [write_file(root, "r1", "0", {"a": 1})]
        version = commits.commit(Table(root), snapshot.version, "r1", add, [])
        assert commits.commit(Table(root), snapshot.version, "r1", add, []) == version
        assert delta.load(Table(root)).version == version
        publish(root, "r2", {"b": 2})
        DeltaTable(root).create_checkpoint()
        assert commits.commit(Table(root), snapshot.version, "r1", add, []) == version
        assert ("a", 1, "account") in delta_rows(root)

    @pytest.mark.parametrize("first", [True, False])
    def test_a_lost_answer_is_not_a_lost_commit(
        self, root: str, monkeypatch: pytest.MonkeyPatch, first: bool
    ) -> None:
        """An error after the commit was made (a failing checkpoint, the network) is no error."""
        if not first:
            publish(root, "r0", {"z": 0})

        def fails_after(step: Callable[..., None]) -> Callable[..., None]:
            def call(*arguments: Any, **keywords: Any) -> None:
                step(*arguments, **keywords)
                raise DeltaError("connection reset")

            return call

        for name in ("_write", "create_table_with_add_actions"):
            monkeypatch.setattr(commits, name, fails_after(getattr(commits, name)))
        snapshot = delta.load(Table(root))
        add = [write_file(root, "r1", "0", {"a": 1})]
        assert commits.commit(Table(root), snapshot.version, "r1", add, []) == snapshot.version + 1

    def test_a_failing_commit_is_reported(self, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error without a commit, and without another run to blame, says what went wrong."""
        publish(root, "r1", {"a": 1})

        def fails(*arguments: Any) -> None:
            raise DeltaError("disk full")

        monkeypatch.setattr(commits, "_write", fails)
        add = [write_file(root, "r2", "0", {"b": 1})]
        with pytest.raises(datafiles.TableError, match="r2 could not be committed: disk full"):
            commits.commit(Table(root), delta.load(Table(root)).version, "r2", add, [])

    def test_a_run_that_changes_nothing_makes_no_commit(self, root: str) -> None:
        """A delivery of duplicates leaves the log as it is."""
        publish(root, "r1", {"a": 1})
        snapshot = delta.load(Table(root))
        assert commits.commit(Table(root), snapshot.version, "r2", [], []) == snapshot.version
        assert delta.load(Table(root)) == snapshot

    @pytest.mark.parametrize("fault", ["missing", "size", "twice", "elsewhere"])
    def test_files_that_are_not_there_are_not_committed(self, root: str, fault: str) -> None:
        """The log takes any path as added; a live file that is missing would break the table."""
        file = write_file(root, "r1", "0", {"a": 1})
        add = [file]
        if fault == "missing":
            os.unlink(f"{root}/{file.path}")
        elif fault == "size":
            add = [file._replace(bytes=file.bytes + 1)]
        elif fault == "twice":
            add = [file, file]
        else:
            add = [write_file(root, "r2", "0", {"a": 1})]
        with pytest.raises(datafiles.TableError, match="run r1 has lost 1 of"):
            commits.commit(Table(root), delta.load(Table(root)).version, "r1", add, [])
        assert delta.load(Table(root)).version == -1

    def test_only_live_files_can_be_removed(self, root: str) -> None:
        """The log takes any path as removed; the count of rows would be off."""
        publish(root, "r1", {"a": 1})
        snapshot = delta.load(Table(root))
        gone = snapshot.files[0]._replace(path="domain=x/part-r0-0.parquet")
        with pytest.raises(datafiles.TableError, match="cannot be superseded"):
            commits.commit(Table(root), snapshot.version, "r2", [], [gone])


class TestLog:
    def test_it_stays_small_and_right(self, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """250 commits, most of them long ago: few log files, few ids, no plain checkpoint."""
        long_ago = (retention.LOG_DAYS + 1) * DAY_SECONDS
        snapshot = delta.load(Table(root))
        for number in range(250):
            if number == 200:
                monkeypatch.undo()
                for file in storage.list_files(f"{root}/_delta_log"):
                    os.utime(file.path, (file.modified - long_ago,) * 2)
            elif number == 0:
                now = (time.time() - long_ago) * 1000
                monkeypatch.setattr(commits, "_now_millis", lambda now=int(now): now)
            add = write_file(root, f"r{number}", "0", {"a": number})
            version = commits.commit(
                Table(root),
                snapshot.version,
                f"r{number}",
                [add],
                snapshot.files,
                rebuild=number == 5,
            )
            snapshot = delta.Snapshot(delta.Lineage(version=version), (add,))
        names = sorted(os.listdir(f"{root}/_delta_log"))
        assert len([name for name in names if name.endswith(".json")]) <= 250 - 180
        checkpoint = pq.read_table(
            f"{root}/_delta_log/{max(name for name in names if name.endswith('.parquet'))}"
        )
        assert checkpoint.num_rows < 100
        for file in storage.list_files(f"{root}/{datafiles.NEW_FOLDER}"):
            os.utime(file.path, (file.modified - long_ago,) * 2)
        assert settling.settle(Table(root)).version == 250
        assert_settled(root, [("a", 249, "account")])
        # The runs of the last days are still known, those of long ago are not.
        latest = DeltaTable(root)
        assert latest.transaction_version("eventsift/r249") == 249
        assert latest.transaction_version("eventsift/r205") == 205
        assert latest.transaction_version("eventsift/r5") is None
        # But that a table was rebuilt is never forgotten: older entries of the ledger are void.
        assert delta.load(Table(root)).lineage.rebuilt == 5

    def test_the_table_carries_its_limits(self, root: str) -> None:
        """Whoever writes to the table, with whatever tool, keeps its log as small."""
        commits.commit(Table(root), delta.load(Table(root)).version, "r1", [], [])
        assert DeltaTable(root).metadata().configuration == commits.TABLE_PROPERTIES

    def test_it_says_which_run_made_a_version(self, root: str) -> None:
        """People who look at the table's history find the run's records."""
        publish(root, "r1", {"a": 1})
        history = DeltaTable(root).history()
        assert [entry.get("run") for entry in history] == [None, "r1"]

    def test_settling_is_no_change_of_data(self, root: str) -> None:
        """Whoever follows the log as a stream gets each row once (Delta protocol, dataChange)."""
        publish(root, "r1", {"a": 1})
        changes = []
        for version in (0, 1):
            lines = storage.read_bytes(f"{root}/_delta_log/{version:020}.json").splitlines()
            actions = [json.loads(line) for line in lines]
            changes.append(
                {
                    (kind, action[kind]["dataChange"])
                    for action in actions
                    for kind in ("add", "remove")
                    if kind in action
                }
            )
        assert changes == [{("add", True)}, {("add", False), ("remove", False)}]
