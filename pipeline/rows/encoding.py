"""How a data file is encoded, and what its rows take in memory."""

import contextlib
import secrets
from collections.abc import Callable, Iterable
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.keys.partitions import Destination
from pipeline.rows import content
from pipeline.table import datafiles
from pipeline.table.datafiles import DataFile

# A row group is what a reader reads at the least: enough rows to compress well and to scan fast.
ROW_GROUP_ROWS = 128 * 1024
# Every reader knows plain and dictionary encoding. fastparquet cannot read texts encoded as
# DELTA_LENGTH_BYTE_ARRAY, nor Spark before 3.3 anything called DELTA_…; with these, the files of a
# million events were 38.1 MB and encoded in 0.42 s, without them they are 39.9 MB and take 0.44 s.
# (DELTA_BINARY_PACKED for the numbers alone: 39.6 MB in 0.43 s.) Ids, payloads and timestamps
# hardly repeat, so a dictionary of them is wasted work; nanoseconds are zero, or one of a thousand
# values, and the names of files and runs that rows came from repeat a lot.
_DICTIONARY = ["nanos", *datafiles.PROVENANCE_SCHEMA.names]
_ENCODINGS = dict.fromkeys(("event_id", "timestamp", "data", "extra"), "PLAIN")
# Payloads get zstd's level 3, and pages that fit its window: 7 % smaller files for no more time. In
# random ids no level finds anything that level 1 does not. Timestamps are 7 % smaller at level 3
# than at 1, no smaller above. Nanoseconds are zero or random.
_LEVELS = {"event_id": 1, "timestamp": 3, "data": 3, "extra": 1}
_COMPRESSED = {*_LEVELS, *datafiles.PROVENANCE_SCHEMA.names}
_PAGE_BYTES = 4 << 20
# What a row takes in Arrow's memory besides its texts: three offsets, timestamp, nanos, a null bit.
_ROW_BYTES = 23
# How many of these bytes a column has in a Parquet file, too, if it is encoded plainly: lengths and
# timestamps. Other encodings, as in files of earlier versions, make next to nothing of them.
_PLAIN_ROW_BYTES = {"event_id": 4, "timestamp": 8, "data": 4}
_PLAIN = {"PLAIN", "RLE", "BIT_PACKED"}  # the last two are of null bits

# Makes a file, given its path and its content.
WriteNew = Callable[[str, pa.Buffer], None]


class WriteSettings(NamedTuple):
    """What writing depends on besides the rows.

    Attributes:
        root: The table.
        run: The run's id.
        target_bytes: What a file should not exceed, reckoned from the rows before compression.
        keeps_history: Whether new files stay where they are first written; see `settling.settle`.
        provenance: Whether the table keeps where each row came from; only where no origin says it.
    """

    root: str
    run: str
    target_bytes: int
    keeps_history: bool = False
    provenance: bool = False


def write_file(
    row_groups: Iterable[pa.Table], destination: Destination, settings: WriteSettings
) -> DataFile:
    """Writes a data file as it grows, so that it may be larger than what is in memory.

    Args:
        row_groups: Its rows in the order of their timestamps; each table becomes a row group.
        destination: Where they belong.
        settings: Where and how to write.

    Raises:
        OSError: Nothing can be written.
    """
    path = _new_path(destination, settings)
    with storage.create(storage.join(settings.root, path)) as stream:
        rows, times = _encode(stream, row_groups)
        size = stream.tell()
    return DataFile(path, destination, rows, size, *times)


def write_small(
    row_groups: Iterable[pa.Table],
    destination: Destination,
    settings: WriteSettings,
    write_new: WriteNew,
) -> DataFile:
    """Writes a data file that is made in memory first, which takes less time.

    Args:
        row_groups: As for `write_file`.
        destination: As for `write_file`.
        settings: As for `write_file`.
        write_new: Makes the file; see `storage.NewFiles`.
    """
    path = _new_path(destination, settings)
    sink = pa.BufferOutputStream()
    rows, times = _encode(sink, row_groups)
    file = sink.getvalue()
    write_new(storage.join(settings.root, path), file)
    return DataFile(path, destination, rows, file.size, *times)


def _new_path(destination: Destination, settings: WriteSettings) -> str:
    stays = destination if settings.keeps_history else None
    return datafiles.new_path(settings.run, secrets.token_hex(8), stays)


def _encode(
    sink: pa.NativeFile | BinaryIO, row_groups: Iterable[pa.Table]
) -> tuple[int, tuple[int | None, int | None]]:
    """Writes row groups; their rows, and the first and last timestamp, None if one is unknown."""
    writer: pq.ParquetWriter | None = None

    def write(table: pa.Table) -> tuple[int, list[int | None], bool]:
        nonlocal writer
        writer = writer or stack.enter_context(_writer(sink, table.schema))
        writer.write_table(table)
        times = table["timestamp"]
        return len(table), [times[0].value, times[-1].value], content.is_complete(table)

    with contextlib.ExitStack() as stack:
        # No table is held while the next one is made.
        rows, ends, complete = zip(*map(write, row_groups), strict=True)
    return sum(rows), (ends[0][0], ends[-1][1]) if all(complete) else (None, None)


def _writer(sink: pa.NativeFile | BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    compression = {name: "zstd" if name in _COMPRESSED else "none" for name in schema.names}
    return pq.ParquetWriter(
        sink,
        schema,
        compression=compression,
        compression_level=_LEVELS,
        data_page_size=_PAGE_BYTES,
        use_dictionary=_DICTIONARY,
        column_encoding=_ENCODINGS,
        write_statistics=["event_id", "timestamp"],
        write_page_checksum=True,
    )


def content_bytes(parquet: pq.ParquetFile) -> int:
    """Returns the bytes of a file's rows before compression, from its footer.

    They are no fewer than those by which writing has reckoned: a file that it has filled by half
    never looks smaller.
    """
    metadata = parquet.metadata
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    return sum(
        group.total_byte_size + group.num_rows * (_ROW_BYTES - _plain_row_bytes(group))
        for group in groups
    )


def _plain_row_bytes(group: pq.RowGroupMetaData) -> int:
    """How many of `_ROW_BYTES` a row group's encoded size has already."""
    columns = map(group.column, range(group.num_columns))
    plain = (column for column in columns if _PLAIN.issuperset(column.encodings))
    return sum(_PLAIN_ROW_BYTES.get(column.path_in_schema, 0) for column in plain)
