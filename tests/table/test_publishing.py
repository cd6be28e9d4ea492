"""The table through the eyes of its readers: before, between and after the steps of publishing."""

import pytest
from deltalake import DeltaTable

from pipeline import storage
from pipeline.keys.partitions import Destination
from pipeline.table import commits, delta, settling
from pipeline.table.address import Table
from tests.table.tables import (
    ALL_READERS,
    OTHER,
    assert_settled,
    delta_rows,
    delta_scan_rows,
    duckdb_rows,
    parquet_files,
    publish,
    write_file,
)


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
