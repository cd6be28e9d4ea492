"""What a look at the log finds, and what is refused."""

import datetime
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, TableFeatures, write_deltalake

from pipeline import storage
from pipeline.keys.partitions import Destination
from pipeline.table import commits, datafiles, delta, settling
from pipeline.table.address import Table
from tests.table.tables import (
    assert_settled,
    delta_rows,
    parquet_files,
    publish,
    write_file,
)


class TestSnapshot:
    def test_it_has_what_was_committed(self, root: str) -> None:
        """Paths as on disk, counts and times are those of the writer, before and after settling."""
        add = write_file(root, "r1", "0", {"a": 1, "b": 2}, Destination("a/b", "%", 2021, 1, 8))
        commits.commit(Table(root), delta.load(Table(root)).version, "r1", [add], [])
        loaded = delta.load(Table(root))
        assert (loaded.version, loaded.files) == (0, (add,))
        settled = settling.settle(Table(root))
        assert settled.lineage == loaded.lineage._replace(version=1)
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
