"""Parquet: writing destinations' rows to new data files.

Row order and statistics serve readers: rows are sorted by timestamp, so the statistics of row
groups and files say which times they hold.
"""

import itertools
import math
import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.keys import ties
from pipeline.rows import live_rows, staging
from pipeline.table import datafiles
from pipeline.table.datafiles import DataFile

# A row group is what a reader reads at the least: enough rows to compress well and to scan fast.
ROW_GROUP_ROWS = 128 * 1024
# Every reader knows plain and dictionary encoding. fastparquet cannot read texts encoded as
# DELTA_LENGTH_BYTE_ARRAY, nor Spark before 3.3 anything called DELTA_…; with these, the files of a
# million events were 38.1 MB and encoded in 0.42 s, without them they are 39.9 MB and take 0.44 s.
# (DELTA_BINARY_PACKED for the numbers alone: 39.6 MB in 0.43 s.) Ids, payloads and timestamps
# hardly repeat, so a dictionary of them is wasted work; nanoseconds are zero, or one of a thousand
# values.
_DICTIONARY = ["nanos"]
_ENCODINGS = dict.fromkeys(("event_id", "timestamp", "data", "extra"), "PLAIN")
# Payloads get zstd's level 3, and pages that fit its window: 7 % smaller files for no more time. In
# random ids no level finds anything that level 1 does not. Timestamps are 7 % smaller at level 3
# than at 1, no smaller above. Nanoseconds are zero or random.
_LEVELS = {"event_id": 1, "timestamp": 3, "data": 3, "extra": 1}
_COMPRESSION = {name: "zstd" if name in _LEVELS else "none" for name in datafiles.FILE_SCHEMA.names}
_PAGE_BYTES = 4 << 20
# What a row takes in Arrow's memory besides its texts: three offsets, timestamp, nanos, a null bit.
_ROW_BYTES = 23
# How many of these bytes a column has in a Parquet file, too, if it is encoded plainly: lengths and
# timestamps. Other encodings, as in files of earlier versions, make next to nothing of them.
_PLAIN_ROW_BYTES = {"event_id": 4, "timestamp": 8, "data": 4}
_PLAIN = {"PLAIN", "RLE", "BIT_PACKED"}  # the last two are of null bits


# An Arrow array of texts has no more bytes, since it counts them with 31 bits.
_TEXT_LIMIT_BYTES = (1 << 31) - 1

NO_ROWS = np.empty(0, np.int64)


class Rows(NamedTuple):
    """Rows that belong to a destination, some of which are superseded.

    Attributes:
        origin: Where they are staged; or the live file they are in.
        superseded: The rows of `origin` (counted from 0) that are not to be kept, ascending.
    """

    origin: staging.Slice | DataFile
    superseded: npt.NDArray[np.int64]

    @property
    def kept(self) -> int:
        """How many of the rows are still the latest."""
        return self.origin.rows - len(self.superseded)


class WriteSettings(NamedTuple):
    """What writing depends on besides the rows.

    Attributes:
        root: The table.
        run: The run's id.
        target_bytes: What a file should not exceed, reckoned from the rows before compression.
        keeps_history: Whether new files stay where they are first written; see `settling.settle`.
    """

    root: str
    run: str
    target_bytes: int
    keeps_history: bool = False


def write(destinations: Sequence[Sequence[Rows]], settings: WriteSettings) -> Iterator[DataFile]:
    """Writes what is kept of the rows of some destinations to new data files.

    All are read and sorted in one piece: small ones by themselves would take twice as long.

    Args:
        destinations: The rows of each, of which at least one is kept.
        settings: Where and how to write.

    Yields:
        The files of one destination after another, each with as many as its size asks for.

    Raises:
        OSError: What is staged cannot be read, or nothing can be written.
        datafiles.ConflictError: Another run has superseded a live file.
    """
    parts = list(itertools.chain.from_iterable(destinations))
    content = _read([part.origin for part in parts], settings.root)
    size = content.nbytes
    rows_of = [sum(part.origin.rows for part in rows) for rows in destinations]
    numbers = np.repeat(np.arange(len(destinations), dtype=np.int32), rows_of)
    micros, complete = _micros(content), _complete(content)
    order = _in_order(content, numbers, micros)
    order = order[_kept(parts)[order]]
    ends = np.searchsorted(numbers[order], range(len(destinations)), side="right")
    firsts = np.cumsum([0, *rows_of])
    for number, own in enumerate(np.split(order, ends[:-1])):
        destination = destinations[number][0].origin.destination
        files = 1
        if size > settings.target_bytes:
            found = content.slice(firsts[number], rows_of[number])
            files = math.ceil(found.nbytes * len(own) / len(found) / settings.target_bytes)
        rows_per_file = math.ceil(len(own) / files)
        for first in range(0, len(own), rows_per_file):
            rows = own[first : first + rows_per_file]
            stays = destination if settings.keeps_history else None
            path = datafiles.new_path(settings.run, uuid.uuid4().hex[:16], stays)
            file_bytes = _write_file(storage.join(settings.root, path), content, rows)
            known = complete is None or bool(complete[rows].all())
            times = micros[rows[[0, -1]]].tolist() if known else (None, None)
            yield DataFile(path, destination, len(rows), file_bytes, *times)


def merge_files(files: Sequence[DataFile], settings: WriteSettings) -> list[DataFile]:
    """Writes all rows of live files of one destination to new data files, as few as fit.

    Raises:
        datafiles.ConflictError: Another run has superseded one of the files.
    """
    return list(write([[Rows(file, NO_ROWS) for file in files]], settings))


def content_bytes(file: DataFile, root: str) -> int:
    """The bytes of a live file's rows before compression, from its footer.

    They are no fewer than those by which `write` has reckoned: a file that it has filled by half
    never looks smaller.
    """
    with live_rows.open_rows(root, file) as parquet:
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


def _write_file(path: str, content: pa.Table, rows: npt.NDArray[np.int64]) -> int:
    """Writes some rows of `content`, in the order given, to one file; its size."""
    sink = pa.BufferOutputStream()
    with _writer(sink) as writer:
        # By row groups, so that memory does not hold all rows once more.
        for group in _row_groups(content, rows):
            table = content.take(pa.array(group))
            is_wide = table.schema != datafiles.FILE_SCHEMA
            writer.write_table(table.cast(datafiles.FILE_SCHEMA) if is_wide else table)
    file = sink.getvalue()
    storage.write_new(path, file)
    return int(file.size)


def _row_groups(content: pa.Table, rows: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Divides `rows` into row groups, whose texts again fit the arrays that `_read` has widened."""
    wide = [column for column in content.columns if pa.types.is_large_string(column.type)]
    if not wide:
        yield from (
            rows[first : first + ROW_GROUP_ROWS] for first in range(0, len(rows), ROW_GROUP_ROWS)
        )
        return
    lengths = [pc.binary_length(column).fill_null(0).to_numpy()[rows] for column in wide]
    # Of all texts together, which is more than of any column.
    ends = np.sum([np.zeros(len(rows), np.int64), *lengths], axis=0).cumsum()
    first = 0
    while first < len(rows):
        before = ends[first - 1] if first else 0
        fit = np.searchsorted(ends, before + _TEXT_LIMIT_BYTES, side="right")
        end = max(first + 1, min(int(fit), first + ROW_GROUP_ROWS))
        yield rows[first:end]
        first = end


def _writer(sink: pa.NativeFile) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        datafiles.FILE_SCHEMA,
        compression=_COMPRESSION,
        compression_level=_LEVELS,
        data_page_size=_PAGE_BYTES,
        use_dictionary=_DICTIONARY,
        column_encoding=_ENCODINGS,
        write_statistics=["event_id", "timestamp"],
        write_page_checksum=True,
    )


def _read(origins: Sequence[staging.Slice | DataFile], root: str) -> pa.Table:
    """All rows of slices and live files, one after another and in one piece.

    Texts that are too many for one array of `FILE_SCHEMA` come as `large_string`.
    """
    slices = [origin for origin in origins if isinstance(origin, staging.Slice)]
    staged = iter(staging.read_slices(slices))
    size = sum(origin.bytes for origin in slices)  # no less than their texts
    batches: list[pa.RecordBatch] = []
    for origin in origins:
        if isinstance(origin, staging.Slice):
            batches.append(next(staged))
        else:
            rows = _read_live(origin, root)
            batches += rows.to_batches()
            size += rows.nbytes
    content = pa.Table.from_batches(batches, datafiles.FILE_SCHEMA)
    if size > _TEXT_LIMIT_BYTES:
        for at, field in enumerate(content.schema):
            if pa.types.is_string(field.type) and content[at].nbytes > _TEXT_LIMIT_BYTES:
                content = content.set_column(at, field.name, content[at].cast(pa.large_string()))
    return content.combine_chunks()


def _read_live(file: DataFile, root: str) -> pa.Table:
    with live_rows.open_rows(root, file) as parquet:
        return live_rows.read(parquet, datafiles.FILE_SCHEMA.names)


def _micros(content: pa.Table) -> npt.NDArray[np.int64]:
    """The timestamps; a row without one, which another tool has written, comes last."""
    micros = content["timestamp"].cast(pa.int64())
    if micros.null_count:
        micros = micros.fill_null(np.iinfo(np.int64).max)
    return micros.to_numpy()


def _complete(content: pa.Table) -> npt.NDArray[np.bool_] | None:
    """Which rows have all that ours have, so that the log can say so; None if all do."""
    columns = [content[name] for name in ("event_id", "timestamp", "data")]
    if not any(column.null_count for column in columns):
        return None
    return np.logical_and.reduce([column.is_valid().to_numpy() for column in columns])


def _kept(parts: Sequence[Rows]) -> npt.NDArray[np.bool_]:
    """Which of the rows of all parts together are still the latest; shape (n,)."""
    first_rows = np.cumsum([0] + [part.origin.rows for part in parts])
    kept = np.ones(first_rows[-1], bool)
    for part, first in zip(parts, first_rows, strict=False):
        kept[first + part.superseded] = False
    return kept


def _in_order(
    content: pa.Table, numbers: npt.NDArray[np.int32], micros: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The rows in the order of (destination's number, timestamp, event_id); shape (n,)."""
    one = not len(numbers) or not numbers[-1]
    order = np.argsort(micros) if one else np.lexsort((micros, numbers))
    # Only where timestamps are equal are texts compared, which takes ten times as long.
    tied = ties.tied(numbers[order], micros[order])
    if not tied.any():
        return order
    rows = order[tied]
    keys = content.select(["timestamp", "event_id"]).take(pa.array(rows))
    keys = keys.append_column("number", pa.array(numbers[rows]))
    by_id = [(name, "ascending") for name in ("number", "timestamp", "event_id")]
    order[tied] = rows[pc.sort_indices(keys, sort_keys=by_id).to_numpy()]
    return order
