"""Compaction: few files of a good size, the same rows, one commit; and no small-file rot before."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from pipeline import compact, storage
from pipeline.keys.partitions import Destination, directory
from pipeline.rows import parquet, staging
from pipeline.rows.content import Rows
from pipeline.rows.encoding import WriteSettings
from pipeline.rows.live_rows import LiveFile
from pipeline.steps import route, write
from pipeline.table import commits, datafiles, settling
from pipeline.table.address import Table
from pipeline.table.datafiles import DataFile
from tests import tables
from tests.deliveries import Event

MEBIBYTE = 1 << 20
DAYS = [Destination("account", "created", 2021, 1, day) for day in (8, 9)]


def data_file(name: str, start: int = 0) -> DataFile:
    """A live file that begins at a time, by name."""
    return DataFile(f"{name}.parquet", DAYS[0], 1, 1, start, start)


def publish(root: Path, run_id: str, delivered: dict[Destination, list[Event]]) -> None:
    """A run that only adds a file to each destination."""
    snapshot = settling.settle(Table(str(root)))
    settings = WriteSettings(str(root), run_id, 256 * MEBIBYTE)
    add = [
        file
        for destination, events in delivered.items()
        for file in parquet.write([[staged(root, events, destination)]], settings)
    ]
    commits.commit(Table(str(root)), snapshot.version, run_id, add, [])
    settling.settle(Table(str(root)))


def staged(root: Path, events: list[Event], destination: Destination) -> Rows:
    """Events staged beside the table."""
    batch = table_of(events).to_batches()[0].serialize().to_pybytes()
    path = root.with_name("staged")
    path.write_bytes(batch)
    slice_ = staging.Slice(destination, str(path), 0, len(batch), 0, len(events), 0)
    return Rows(slice_, np.empty(0, np.int64))


def table_of(events: list[Event]) -> pa.Table:
    """Events as the columns of a staged file."""
    columns = zip(*(event.row()[:5] for event in events), strict=True)
    fields = datafiles.FILE_SCHEMA
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
    return pa.table(arrays, schema=fields)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A table of five small files in one partition and one in another."""
    root = tmp_path / "table"
    publish(root, "r0", {DAYS[0]: [Event("a0", 0), Event("b0", 9)], DAYS[1]: [Event("c", 1440)]})
    for number in range(1, 5):
        publish(root, f"r{number}", {DAYS[0]: [Event(f"a{number}", number)]})
    return root


class TestGroups:
    def test_small_files_come_together_in_order_of_time(self) -> None:
        """Files that follow each other in time overlap little when merged."""
        files = [data_file("c", 3), data_file("a", 1), data_file("b", 2)]

        assert list(compact.groups(files, [1, 1, 1], 100)) == [[files[1], files[2], files[0]]]

    def test_large_files_stay(self) -> None:
        """What is merged once is not merged again, even if two files came of it."""
        files = [data_file(name) for name in "abc"]

        assert list(compact.groups(files, [25, 25, 25], 100)) == []

    def test_a_single_small_file_stays(self) -> None:
        """There is nothing to merge it with."""
        assert list(compact.groups([data_file("a"), data_file("b")], [1, 99], 100)) == []

    def test_a_group_is_bounded(self) -> None:
        """However many small files there are, a group fits in memory."""
        files = [data_file(f"{number:02}") for number in range(10)]

        found = list(compact.groups(files, [24] * 10, 100))

        assert [len(group) for group in found] == [5, 5]


class TestCompact:
    def test_small_files_become_one(self, root: Path) -> None:
        """The rows stay the same, in order; other partitions are left alone."""
        rows = tables.delta_rows(root)
        other = next((root / directory(DAYS[1])).iterdir())
        before = other.stat()

        done = compact.compact(Table(str(root)), "compaction", 256 * MEBIBYTE)

        assert (done.partitions, done.before, done.after, done.rows) == (1, 6, 2, 6)
        assert tables.delta_rows(root) == tables.plain_rows(root) == rows
        (merged,) = (root / directory(DAYS[0])).iterdir()
        assert pq.read_table(merged, partitioning=None)["event_id"].to_pylist() == [
            "a0", "a1", "a2", "a3", "a4", "b0",
        ]  # fmt: skip
        after = other.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert tables.strays(root) == []

    def test_it_is_no_change_of_data(self, root: Path) -> None:
        """Readers that follow changes do not read the merged files again."""
        version = DeltaTable(str(root)).version()

        compact.compact(Table(str(root)), "compaction", 256 * MEBIBYTE)

        log = root / "_delta_log" / f"{version + 1:020}.json"
        assert '"dataChange":false' in log.read_text()
        assert '"dataChange":true' not in log.read_text()

    def test_a_tidy_table_stays_as_it_is(self, root: Path) -> None:
        """A second compaction makes no commit."""
        first = compact.compact(Table(str(root)), "one", 256 * MEBIBYTE)
        second = compact.compact(Table(str(root)), "two", 256 * MEBIBYTE)

        assert second == first._replace(partitions=0, before=2, rows=0)

    def test_files_keep_to_the_target(self, tmp_path: Path) -> None:
        """Merged files are near the target, which counts bytes before compression."""
        for number in range(6):  # of about 3,600 bytes each
            events = [
                Event(f"e{number}-{row}", number * 100 + row, '{"v": 0}') for row in range(100)
            ]
            publish(tmp_path, f"r{number}", {DAYS[0]: events})

        done = compact.compact(Table(str(tmp_path)), "compaction", 20_000)
        again = compact.compact(Table(str(tmp_path)), "again", 20_000)

        assert done.after == again.after == 2
        assert again.partitions == 0
        assert len(tables.delta_rows(tmp_path)) == 600

    def test_a_run_in_between_is_a_conflict(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A row that has changed meanwhile does not come back."""
        merge = parquet.merge_files

        def slow(files: list[DataFile], settings: WriteSettings) -> list[DataFile]:
            merged = merge(files, settings)
            publish(root, "quick", {DAYS[0]: [Event("new", 5)]})
            return merged

        monkeypatch.setattr(parquet, "merge_files", slow)
        with pytest.raises(datafiles.ConflictError):
            compact.compact(Table(str(root)), "slow", 256 * MEBIBYTE)

        assert len(tables.delta_rows(root)) == 8

    def test_lost_rows_are_not_published(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Rows are counted on both sides of the merge."""
        merge = parquet.merge_files
        monkeypatch.setattr(parquet, "merge_files", lambda files, to: merge(files[1:], to))
        rows = tables.delta_rows(root)

        with pytest.raises(compact.LostRowsError, match="6 rows became 4"):
            compact.compact(Table(str(root)), "compaction", 256 * MEBIBYTE)

        assert tables.delta_rows(root) == rows


class TestCommand:
    def test_it_says_what_it_did(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """In a sentence, and leaves nothing behind."""
        assert compact.main(["--output", str(root)]) == 0
        assert "6 files became 2: 6 rows of 1 partition were" in capsys.readouterr().out
        assert compact.main(["--output", str(root)]) == 0
        assert "Nothing to merge: 2 files." in capsys.readouterr().out
        assert tables.strays(root) == []

    def test_it_starts_again_when_a_run_was_faster(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It ends beside a busy job, too."""
        merge, others = parquet.merge_files, iter(["quick"])

        def slow(files: list[DataFile], settings: WriteSettings) -> list[DataFile]:
            for other in others:
                publish(root, other, {DAYS[0]: [Event("new", 5)]})
            return merge(files, settings)

        monkeypatch.setattr(parquet, "merge_files", slow)

        assert compact.main(["--output", str(root)]) == 0
        assert "another run was faster" in capsys.readouterr().err
        assert len(tables.delta_rows(root)) == 8
        assert tables.strays(root) == []

    def test_where_there_is_no_table_it_says_so(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """And makes none."""
        assert compact.main(["--output", str(tmp_path / "nothing")]) == 1
        assert "there is no table" in capsys.readouterr().err
        assert not list(tmp_path.rglob("*.parquet"))

    def test_unknown_options_are_refused(self, root: Path) -> None:
        """A misspelt option is not ignored."""
        with pytest.raises(SystemExit):
            compact.main(["--output", str(root), "--target-files-mb", "1"])


def test_many_small_deliveries_leave_few_files(tmp_path: Path) -> None:
    """No small-file rot: a delivery folds small files of a destination into the one it writes.

    Seen to fail with `write._folded` returning only files with superseded rows.
    """
    root, settings = str(tmp_path), WriteSettings(str(tmp_path), "r", 256 * MEBIBYTE)
    live: list[DataFile] = []
    most = 0
    for number in range(200):
        events = [Event(f"{number}-{row}", row, number) for row in range(5)]
        kind = pa.DictionaryArray.from_arrays(pa.array([0] * 5, pa.int32()), ["same"])
        content = table_of(events).append_column("domain", kind).append_column("event_type", kind)
        _, slices = staging.stage(content, str(tmp_path / "temp"), 0, 1)
        rows = [LiveFile(0, file, 100 * file.rows) for file in live]
        routed = [route.Routed(source, b"") for source in (*slices, *rows)]
        written, _ = write.write_shard(routed, settings)
        storage.delete(storage.join(root, file.path) for file in written.replaced)
        live = [*(file for file in live if file not in written.replaced), *written.files]
        most = max(most, len(live))

    assert most == 1  # of small deliveries; at most about log2 of the rows of any
    assert sum(file.rows for file in live) == 1000
    assert len([name for _, _, names in os.walk(tmp_path / "_eventsift") for name in names]) == 1
