"""The table through the eyes of its readers: before, between and after the steps of publishing."""

import datetime
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, TableFeatures, write_deltalake
from deltalake.exceptions import DeltaError

from pipeline import storage
from pipeline.keys.partitions import Destination
from pipeline.table import commits, datafiles, delta, retention, settling
from pipeline.table.address import Table

DAY_SECONDS = 86_400
MONDAY = Destination("account", "created", 2021, 1, 8)
TUESDAY = Destination("account", "created", 2021, 1, 9)
OTHER = Destination("shop", "sale", 2021, 1, 8)

Rows = list[tuple[str, int, str]]
"""(event_id, version, domain) of each row, sorted: who is there, how often, and where."""


def write_file(
    root: str,
    run_id: str,
    name: str,
    rows: dict[str, int],
    destination: Destination = MONDAY,
    micros: int = 1_610_064_000_000_000,
) -> datafiles.DataFile:
    """One unpublished data file with these event ids and versions, a microsecond apart."""
    count = len(rows)
    times = [micros + i for i in range(count)]
    columns = {
        "event_id": pa.array(list(rows)),
        "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
        "data": pa.array([str(version) for version in rows.values()]),
    }
    content = pa.table(
        [columns.get(field.name, pa.nulls(count, field.type)) for field in datafiles.FILE_SCHEMA],
        schema=datafiles.FILE_SCHEMA,
    )
    path = datafiles.new_path(run_id, name)
    with storage.create(storage.join(root, path)) as file:
        pq.write_table(content, file)
    size = os.path.getsize(storage.join(root, path))
    return datafiles.DataFile(path, destination, count, size, times[0], times[-1])


def publish(root: str, run_id: str, rows: dict[str, int], destination: Destination = MONDAY) -> int:
    """A whole run that adds one file."""
    snapshot = settling.settle(Table(root))
    add = [write_file(root, run_id, "0", rows, destination)]
    version = commits.commit(Table(root), snapshot.version, run_id, add, [])
    settling.settle(Table(root))
    return version


def delta_rows(root: str) -> Rows:
    """What deltalake hands to Arrow."""
    return rows_of(DeltaTable(root).to_pyarrow_table())


def rows_of(found: pa.Table) -> Rows:
    """The rows of a table in memory."""
    ids, versions, domains = (found[name].to_pylist() for name in ("event_id", "data", "domain"))
    # Some readers make a number of a folder's name that looks like one.
    return sorted(zip(ids, map(int, versions), map(str, domains), strict=True))


def parquet_files(root: str) -> list[str]:
    """What a plain reader finds, relative to the table."""
    return sorted(str(path.relative_to(root)) for path in Path(root).glob("domain=*/**/*.parquet"))


def duckdb_rows(root: str) -> Rows:
    """What DuckDB finds in the Parquet files."""
    if not parquet_files(root):
        return []
    return sorted(
        duckdb.sql(
            f"SELECT event_id, data::INT, domain FROM read_parquet('{root}/domain=*/**/*.parquet', "
            "hive_partitioning = true, hive_types_autocast = false)"
        ).fetchall()
    )


def pandas_rows(root: str) -> Rows:
    """What pandas finds in the folder."""
    frame = pd.read_parquet(root)
    return sorted(
        zip(frame.event_id, frame.data.astype(int), frame.domain.astype(str), strict=True)
    )


def dataset_rows(root: str) -> Rows:
    """What a PyArrow dataset finds in the folder."""
    return rows_of(ds.dataset(root, partitioning="hive").to_table())


def polars_rows(root: str) -> Rows:
    """What Polars finds in the Parquet files."""
    frame = pl.read_parquet(f"{root}/domain=*/**/*.parquet", hive_partitioning=True)
    return rows_of(frame.to_arrow())


def delta_scan_rows(root: str) -> Rows:
    """What deltalake's own query engine reads."""
    return rows_of(pa.table(DeltaTable(root).scan().read_all()))


ALL_READERS = [
    delta_rows,
    delta_scan_rows,
    duckdb_rows,
    pandas_rows,
    dataset_rows,
    polars_rows,
]


def assert_settled(root: str, expected: Rows) -> None:
    """Every reader sees exactly these rows, and there is no file but the live ones."""
    live = sorted(file.path for file in delta.load(Table(root)).files)
    assert parquet_files(root) == live
    hidden = storage.list_files(storage.join(root, datafiles.NEW_FOLDER))
    assert [file.path for file in hidden] == []
    assert {reader.__name__: reader(root) for reader in ALL_READERS} == {
        reader.__name__: expected for reader in ALL_READERS
    }


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Where the test's table will be."""
    return str(tmp_path / "table")


class TestReaders:
    def test_a_published_run_is_the_same_for_every_reader(self, root: str) -> None:
        """Delta and plain Parquet readers, six of them, see the same rows and partition values."""
        add = [
            write_file(root, "r1", "0", {"a": 1, "b": 2}),
            write_file(root, "r1", "1", {"c": 3}, OTHER),
        ]
        assert commits.commit(Table(root), delta.load(Table(root)).version, "r1", add, []) == 0
        settling.settle(Table(root))
        assert_settled(root, [("a", 1, "account"), ("b", 2, "account"), ("c", 3, "shop")])
        assert parquet_files(root) == [
            "domain=account/event_type=created/year=2021/month=01/day=08/part-r1-0.parquet",
            "domain=shop/event_type=sale/year=2021/month=01/day=08/part-r1-1.parquet",
        ]

    def test_before_the_commit_nothing_has_changed(self, root: str) -> None:
        """Files written but not committed are seen by nobody."""
        publish(root, "r1", {"a": 1})
        write_file(root, "r2", "0", {"b": 2})
        assert [reader(root) for reader in ALL_READERS] == [[("a", 1, "account")]] * 6

    def test_between_commit_and_settle_plain_readers_see_the_old_table(self, root: str) -> None:
        """After the commit Delta readers see all of it, plain readers none of it."""
        publish(root, "r1", {"a": 1})
        snapshot = delta.load(Table(root))
        add = [write_file(root, "r2", "0", {"a": 2, "b": 2})]
        commits.commit(Table(root), snapshot.version, "r2", add, snapshot.files)
        new = [("a", 2, "account"), ("b", 2, "account")]
        assert [reader(root) for reader in ALL_READERS] == [new] * 2 + [[("a", 1, "account")]] * 4
        settling.settle(Table(root))
        assert_settled(root, new)

    def test_an_event_that_moves_leaves_its_old_partition(self, root: str) -> None:
        """The superseded file's folder disappears with it, the table itself never does."""
        publish(root, "r1", {"a": 1}, OTHER)
        snapshot = delta.load(Table(root))
        commits.commit(
            Table(root),
            snapshot.version,
            "r2",
            [write_file(root, "r2", "0", {"a": 2})],
            snapshot.files,
        )
        settling.settle(Table(root))
        assert_settled(root, [("a", 2, "account")])
        assert storage.folders(root) == ["_delta_log", "_eventsift", "domain=account"]

    def test_a_rebuild_is_a_commit_that_removes_all(self, root: str) -> None:
        """Readers go from the old table to the rebuilt one without an empty one in between."""
        publish(root, "r1", {"a": 1})
        publish(root, "r2", {"b": 2}, OTHER)
        snapshot = delta.load(Table(root))
        add = [write_file(root, "r3", "0", {"a": 3, "b": 3})]
        version = commits.commit(Table(root), snapshot.version, "r3", add, snapshot.files)
        assert delta_rows(root) == [("a", 3, "account"), ("b", 3, "account")]
        assert version == snapshot.version + 1
        settling.settle(Table(root))
        assert_settled(root, [("a", 3, "account"), ("b", 3, "account")])

    def test_a_run_without_events_makes_an_empty_table(self, root: str) -> None:
        """Readers of the log get no rows instead of an error, and the next run goes on."""
        assert commits.commit(Table(root), delta.load(Table(root)).version, "r1", [], []) == 0
        assert DeltaTable(root).to_pyarrow_table().num_rows == 0
        settled = settling.settle(Table(root))
        assert (settled.version, settled.files) == (0, ())
        publish(root, "r2", {"a": 1})
        assert_settled(root, [("a", 1, "account")])

    def test_a_table_emptied_of_rows_is_still_a_table(self, root: str) -> None:
        """Removing every file leaves an empty snapshot, not an error."""
        publish(root, "r1", {"a": 1})
        snapshot = delta.load(Table(root))
        commits.commit(Table(root), snapshot.version, "r2", [], snapshot.files)
        assert settling.settle(Table(root)).files == ()
        assert parquet_files(root) == []

    @pytest.mark.parametrize(
        "domain",
        ["a/b", "%", "a%2Fb", "..", ".", "A", "ü", "a b", "x=y", "null", "*[?]", '"\\\n', "1"],
    )
    def test_no_partition_value_is_lost_or_misread(self, root: str, domain: str) -> None:
        """Hostile values survive the folder, the log's encoding, all readers, and a removal."""
        destination = Destination(domain, domain, 2021, 1, 8)
        publish(root, "r1", {"a": 1}, destination)
        assert_settled(root, [("a", 1, domain)])
        snapshot = delta.load(Table(root))
        assert [file.destination for file in snapshot.files] == [destination]
        add = [write_file(root, "r2", "0", {"a": 2}, destination)]
        commits.commit(Table(root), snapshot.version, "r2", add, snapshot.files)
        settling.settle(Table(root))
        assert_settled(root, [("a", 2, domain)])

    def test_the_name_of_null_is_a_value(self, root: str) -> None:
        """Delta readers and DuckDB get it; for PyArrow, pandas and Polars it is null.

        They decode a folder's name before they look for null, so no encoding can help.
        """
        null = "__HIVE_DEFAULT_PARTITION__"
        publish(root, "r0", {"z": 0})
        publish(root, "r1", {"a": 1}, Destination(null, "created", 2021, 1, 8))
        expected = [("a", 1, null), ("z", 0, "account")]
        for reader in (delta_rows, delta_scan_rows, duckdb_rows):
            assert reader(root) == expected


class TestSnapshot:
    def test_it_has_what_was_committed(self, root: str) -> None:
        """Paths as on disk, counts and times are those of the writer, before and after settling."""
        add = write_file(root, "r1", "0", {"a": 1, "b": 2}, Destination("a/b", "%", 2021, 1, 8))
        commits.commit(Table(root), delta.load(Table(root)).version, "r1", [add], [])
        loaded = delta.load(Table(root))
        assert (loaded.version, loaded.files) == (0, (add,))
        settled = settling.settle(Table(root))
        assert settled.origin == loaded.origin._replace(version=1)
        assert settled.files == (add._replace(path=datafiles.settled_path(add)),)
        assert delta.load(Table(root)) == settled

    def test_times_let_readers_skip_files_but_never_rows(self, root: str) -> None:
        """A filter on the very first and last microsecond finds its row, also by a checkpoint."""
        first = 1_610_064_000_123_456
        add = write_file(root, "r1", "0", {"a": 1, "b": 2, "c": 3}, micros=first)
        commits.commit(Table(root), delta.load(Table(root)).version, "r1", [add], [])
        settling.settle(Table(root))
        DeltaTable(root).create_checkpoint()
        assert [file[4:] for file in delta.load(Table(root)).files] == [(first, first + 2)]
        dataset = DeltaTable(root).to_pyarrow_dataset()
        for micros, event_id in ((first, "a"), (first + 2, "c")):
            instant = pa.scalar(micros, pa.timestamp("us", "UTC"))
            found = dataset.to_table(filter=pc.field("timestamp") == instant)
            assert found["event_id"].to_pylist() == [event_id]

    @pytest.mark.parametrize("year", [1, 1969, 9999])
    def test_any_year_can_be_committed(self, root: str, year: int) -> None:
        """Dates before 1970 and at the ends of the calendar are written and read alike."""
        start = datetime.datetime(year, 1, 8, tzinfo=datetime.timezone.utc)
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        micros = (start - epoch) // datetime.timedelta(microseconds=1)
        destination = Destination("account", "created", year, 1, 8)
        add = write_file(root, "r1", "0", {"a": 1}, destination, micros)
        commits.commit(Table(root), delta.load(Table(root)).version, "r1", [add], [])
        assert settling.settle(Table(root)).files == delta.load(Table(root)).files
        assert delta.load(Table(root)).files == (add._replace(path=datafiles.settled_path(add)),)

    def test_where_nothing_is_there_is_no_table(self, root: str) -> None:
        """A missing, an empty and an only just begun folder are the start of a new table."""
        assert delta.load(Table(root)) == delta.NO_TABLE
        os.makedirs(root)
        assert delta.load(Table(root)) == delta.NO_TABLE
        write_file(root, "r1", "0", {"a": 1})
        assert delta.load(Table(root)) == delta.NO_TABLE
        assert settling.settle(Table(root)) == delta.NO_TABLE

    def test_a_folder_with_other_files_is_refused(self, root: str) -> None:
        """Nobody's documents get mixed into a table."""
        storage.write_bytes(f"{root}/letter.txt", b"Dear")
        with pytest.raises(datafiles.TableError, match=r"no Delta table.*: it has 'letter.txt'"):
            delta.load(Table(root))

    def test_a_file_is_not_a_table(self, root: str) -> None:
        """The message names the path that was given."""
        storage.write_bytes(root, b"")
        with pytest.raises(datafiles.TableError, match=root):
            delta.load(Table(root))

    def test_another_table_is_refused(self, root: str) -> None:
        """A Delta table with other columns is not written to, nor tidied up."""
        write_deltalake(root, pa.table({"id": [1], "name": ["x"]}), partition_by=["name"])
        for use in (delta.load, settling.settle):
            with pytest.raises(datafiles.TableError, match=r"not of eventsift: .* id, nam"):
                use(Table(root))

    def test_features_we_do_not_know_are_refused(self, root: str) -> None:
        """With deletion vectors a rewritten file would bring deleted rows back."""
        publish(root, "r1", {"a": 1})
        DeltaTable(root).alter.add_feature(
            TableFeatures.DeletionVectors, allow_protocol_versions_increase=True
        )
        with pytest.raises(datafiles.TableError, match="reader version 3"):
            delta.load(Table(root))

    def test_a_broken_log_is_reported(self, root: str) -> None:
        """A log that cannot be read is an error with the table's name, never an empty table."""
        publish(root, "r1", {"a": 1})
        storage.write_bytes(f"{root}/_delta_log/{0:020}.json", b"{")
        with pytest.raises(datafiles.TableError, match=root):
            delta.load(Table(root))

    @pytest.mark.parametrize("name", ["a%20b", "a[b", "a]b", "a|b", "a^b", "a\\b", "a\nb"])
    def test_folder_names_that_deltalake_misreads_are_refused(
        self, tmp_path: Path, name: str
    ) -> None:
        """Without the check deltalake panics, or writes the log next to the table."""
        with pytest.raises(datafiles.TableError, match="plainer name"):
            delta.load(Table(str(tmp_path / name)))

    @pytest.mark.parametrize("name", ["a b", "ü日本", "100%", "a#b?c&d", "a'b", "{a}$(b)"])
    def test_other_folder_names_work(self, tmp_path: Path, name: str) -> None:
        """Spaces and letters of any language may be in the table's path."""
        root = str(tmp_path / name)
        publish(root, "r1", {"a": 1})
        assert delta_rows(root) == [("a", 1, "account")]
        assert parquet_files(root) == [file.path for file in delta.load(Table(root)).files]

    def test_relative_paths_and_file_urls_are_the_same_table(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However the table is named, it is one table."""
        publish(root, "r1", {"a": 1})
        monkeypatch.chdir(Path(root).parent)
        publish("table/", "r2", {"b": 2})
        publish(f"file://{root}", "r3", {"c": 3})
        assert_settled(root, [("a", 1, "account"), ("b", 2, "account"), ("c", 3, "account")])


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


class Killed(BaseException):
    """Nothing in the code under test catches this, as nothing catches SIGKILL."""


STEPS = [(os, "link"), (os, "unlink"), (os, "rmdir"), (commits, "_write")]
"""Whatever changes the disk while files are settled."""


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
            snapshot = delta.Snapshot(delta.Origin(version=version), (add,))
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
        # But that a table was made afresh is never forgotten: older entries of the ledger are void.
        assert delta.load(Table(root)).origin.rebuilt == 5

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


ROUNDS = 10
_barrier: Any = None


def _start_racer(barrier: Any) -> None:
    global _barrier
    _barrier = barrier
    delta.load(Table("/nonexistent"))  # imports and threads are up before the race begins


def _race(root: str, run_id: str, remove: bool) -> int | None:
    """Read, write, wait for the other, commit; None is a conflict."""
    snapshot = delta.load(Table(root))
    add = [write_file(root, run_id, "0", {"a": 1})]
    _barrier.wait(30)
    try:
        return commits.commit(
            Table(root), snapshot.version, run_id, add, snapshot.files if remove else []
        )
    except datafiles.ConflictError:
        return None


def _count(root: str, name: str, runs: int) -> int:
    """Runs that each add one to the number in a row, and start again after a conflict."""
    conflicts = 0
    _barrier.wait(30)
    for number in range(runs):
        for attempt in range(1000):
            snapshot = settling.settle(Table(root))
            run_id = f"{name}.{number}.{attempt}"
            try:
                count = 0
                for live in snapshot.files:
                    path = storage.join(root, live.path)
                    count = int(pq.read_table(path, partitioning=None)["data"][0].as_py())
                add = [write_file(root, run_id, "0", {"a": count + 1})]
                commits.commit(Table(root), snapshot.version, run_id, add, snapshot.files)
            except (datafiles.ConflictError, FileNotFoundError):
                conflicts += 1
                continue
            settling.settle(Table(root))
            break
    return conflicts


@pytest.fixture(scope="module")
def racers() -> Iterator[ProcessPoolExecutor]:
    """Two processes that wait for each other."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    with ProcessPoolExecutor(2, context, _start_racer, (barrier,)) as pool:
        yield pool


class TestRaces:
    @pytest.mark.parametrize("case", ["create", "append", "replace"])
    def test_of_two_runs_from_one_snapshot_one_wins(
        self, root: str, racers: ProcessPoolExecutor, case: str
    ) -> None:
        """Two processes at once: never two winners, never none, never a row twice or lost."""
        for number in range(ROUNDS):
            if case == "create":
                shutil.rmtree(root, ignore_errors=True)
            elif number == 0:
                publish(root, "r1", {"a": 0})
            before = delta.load(Table(root))
            results = [
                future.result(60)
                for future in [
                    racers.submit(_race, root, f"{side}{number}", case == "replace")
                    for side in ("left", "right")
                ]
            ]
            assert sorted(results, key=str) == [before.version + 1, None]
            after = delta.load(Table(root))
            assert after.version == before.version + 1
            added = {file.path for file in after.files} - {file.path for file in before.files}
            assert len(added) == 1
            assert len(after.files) == (1 if case == "replace" else len(before.files) + 1)

    def test_runs_that_start_again_after_a_conflict_lose_no_update(
        self, root: str, racers: ProcessPoolExecutor
    ) -> None:
        """Two processes count to 20 in one row, settling the table under each other."""
        counting = [racers.submit(_count, root, name, 10) for name in ("left", "right")]
        for future in counting:
            future.result(120)
        settling.settle(Table(root))
        for file in storage.list_files(f"{root}/{datafiles.NEW_FOLDER}"):
            os.utime(file.path, (1, 1))  # what lost a race was never published
        settling.settle(Table(root))
        assert_settled(root, [("a", 20, "account")])
