"""Large live files written anew: as much at a time as a row group, whoever has written them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.keys.partitions import Destination
from pipeline.rows import encoding, live_rows, parquet
from pipeline.rows.content import Rows
from pipeline.rows.encoding import WriteSettings
from pipeline.rows.live_rows import LiveFile
from pipeline.table.datafiles import FILE_SCHEMA, DataFile

HERE = Destination("account", "created", 2021, 1, 8)
OURS = "part-20210108T000000-0a1b2c-0123456789abcdef.parquet"
THEIRS = "part-00000-0a1b2c-c000.snappy.parquet"


def live_file(root: Path, name: str, seconds: Sequence[int], row_group_size: int) -> LiveFile:
    """A live file with a row at each of these seconds."""
    root.mkdir(exist_ok=True)
    number = len(seconds)
    columns = [
        pa.array([f"e{n}" for n in range(number)]),
        pa.array([second * 1_000_000 for second in seconds], pa.timestamp("us", "UTC")),
        pa.array([0] * number, pa.int16()),
        pa.array([f'"{n}"' for n in range(number)]),
        pa.nulls(number, pa.string()),
    ]
    pq.write_table(
        pa.table(columns, schema=FILE_SCHEMA), root / name, row_group_size=row_group_size
    )
    size = (root / name).stat().st_size
    return LiveFile(0, DataFile(name, HERE, number, size, None, None), 60 * number)


def rewrite(
    root: Path, live: LiveFile, superseded: Sequence[int], target_bytes: int = 1 << 28
) -> list[tuple[DataFile, pa.Table]]:
    """The new files, with their rows."""
    rows = Rows(live, np.array(superseded, np.int64))
    files = list(parquet.rewrite(rows, WriteSettings(str(root), "r1", target_bytes)))
    return [(file, pq.ParquetFile(root / file.path).read()) for file in files]


@pytest.fixture(autouse=True)
def small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of ten rows."""
    monkeypatch.setattr(encoding, "ROW_GROUP_ROWS", 10)


@pytest.mark.parametrize("row_group_size", [3, 10, 1000])
def test_our_files_stay_in_their_order(tmp_path: Path, row_group_size: int) -> None:
    """Without the superseded rows, in row groups of the usual size; one file in, one file out.

    Seen to fail with superseded rows counted from the first row of each batch.
    """
    live = live_file(tmp_path, OURS, [n // 2 for n in range(57)], row_group_size)

    ((file, found),) = rewrite(tmp_path, live, [0, 9, 10, 11, 56], 60)

    kept = [n for n in range(57) if n not in (0, 9, 10, 11, 56)]
    assert found["event_id"].to_pylist() == [f"e{n}" for n in kept]
    assert (file.rows, file.min_timestamp, file.max_timestamp) == (52, 0, 27_000_000)
    groups = pq.ParquetFile(tmp_path / file.path).metadata
    sizes = [groups.row_group(n).num_rows for n in range(groups.num_row_groups)]
    assert all(5 <= size < 15 for size in sizes[:-1])


def test_only_a_row_group_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a file that has one giant row group; the next rows are read when these are written.

    Seen to fail with `live_rows.read`, and with the batches gathered in a list.
    """
    at_a_time: list[int] = []
    steps: list[str] = []
    batches, write_table = live_rows.batches, pq.ParquetWriter.write_table

    def read(*arguments: object) -> object:
        for table in batches(*arguments):
            at_a_time.append(len(table))
            steps.append("read")
            yield table

    def write(self: pq.ParquetWriter, table: pa.Table) -> None:
        steps.append("write")
        write_table(self, table)

    live = live_file(tmp_path, OURS, range(50), 1000)
    monkeypatch.setattr(live_rows, "batches", read)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", write)

    rewrite(tmp_path, live, [7])

    assert at_a_time == [10] * 5
    assert steps == ["read", "write"] * 5


def test_where_little_is_kept_row_groups_come_together(tmp_path: Path) -> None:
    """A file of which nearly all goes does not end in row groups of a row."""
    live = live_file(tmp_path, OURS, range(200), 10)
    ((file, found),) = rewrite(tmp_path, live, [n for n in range(200) if n % 10])
    assert found["event_id"].to_pylist() == [f"e{n}" for n in range(0, 200, 10)]
    assert pq.ParquetFile(tmp_path / file.path).num_row_groups == 4


@pytest.mark.parametrize("row_group_size", [3, 1000])
def test_files_of_other_tools_are_sorted(tmp_path: Path, row_group_size: int) -> None:
    """What we write is in order of time; as much as fits into a file at a time.

    Seen to fail with every file taken to be in order.
    """
    seconds = [n * 37 % 100 for n in range(100)]
    live = live_file(tmp_path, THEIRS, seconds, row_group_size)

    found = rewrite(tmp_path, live, [0, 50, 99], 60 * 30)

    assert len(found) > 2
    for file, rows in found:
        times = rows["timestamp"].cast(pa.int64()).to_pylist()
        assert times == sorted(times)
        assert (file.rows, file.min_timestamp, file.max_timestamp) == (
            len(rows),
            times[0],
            times[-1],
        )
    ids = sorted(id_ for _, rows in found for id_ in rows["event_id"].to_pylist())
    assert ids == sorted(f"e{n}" for n in range(100) if n not in (0, 50, 99))


def test_an_error_of_writing_does_not_blame_the_live_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is read, errors mean that it is damaged; a full disk is none of these.

    Seen to fail with the file written within the ``with`` block of the one that is read.
    """

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    live = live_file(tmp_path, OURS, range(50), 10)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        rewrite(tmp_path, live, [7])
