"""Parquet: writing destinations' rows to new data files.

Row order and statistics serve readers: rows are sorted by timestamp, so the statistics of row
groups and files say which times they hold.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import storage
from pipeline.keys.partitions import Destination
from pipeline.rows import batches, content, encoding, live_rows, merging
from pipeline.rows.content import NO_ROWS, Rows
from pipeline.rows.encoding import WriteSettings
from pipeline.rows.live_rows import LiveFile
from pipeline.rows.merging import Piece
from pipeline.table import datafiles
from pipeline.table.datafiles import DataFile

# Rows of more bytes than this are written while they are read.
LARGE_BYTES = 64 << 20


def write(
    destinations: Sequence[Sequence[Rows]],
    settings: WriteSettings,
    write_new: encoding.WriteNew = storage.write_new,
) -> Iterator[DataFile]:
    """Writes what is kept of the rows of some small destinations to new data files.

    All are read and sorted in one piece: by themselves they would take twice as long.

    Args:
        destinations: The rows of each, of which at least one is kept.
        settings: Where and how to write.
        write_new: Makes a file.

    Yields:
        The files of one destination after another, each with as many as its size asks for.

    Raises:
        OSError: What is staged cannot be read, or nothing can be written.
        datafiles.ConflictError: Another run has superseded a live file.
    """
    parts = list(itertools.chain.from_iterable(destinations))
    table = content.read(parts, settings.root)
    size = table.nbytes
    rows_of = [sum(part.origin.rows for part in rows) for rows in destinations]
    numbers = np.repeat(np.arange(len(destinations), dtype=np.int32), rows_of)
    order = content.in_order(table, numbers, content.micros(table))
    order = order[content.kept(parts)[order]]
    ends = [0, *np.searchsorted(numbers[order], range(len(destinations)), side="right")]
    # One call for all: one for each destination takes several times as long.
    table = table.take(pa.array(order))
    for rows, (first, end) in zip(destinations, itertools.pairwise(ends), strict=True):
        if first == end:  # nothing but files without rows, which another tool has written
            continue
        own = table.slice(first, end - first)
        files = math.ceil(own.nbytes / settings.target_bytes) if size > settings.target_bytes else 1
        for file in _slices(own, math.ceil(len(own) / files)):
            groups = _slices(file, encoding.ROW_GROUP_ROWS)
            yield encoding.write_small(groups, rows[0].origin.destination, settings, write_new)


def _slices(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    """Cuts a table into slices of so many rows; the last one may have fewer."""
    return (table.slice(first, rows) for first in range(0, len(table), rows))


def write_large(rows: Sequence[Rows], settings: WriteSettings) -> Iterator[DataFile]:
    """Writes what is kept of the rows of one destination, as `write` does, as they are read.

    At worst all are in memory: where the times of all parts overlap.
    """
    parts = sorted(rows, key=lambda part: part.origin.position)
    pieces = merging.pieces(parts, settings.root)
    number, size = (sum(part.kept for part in rows), sum(part.kept_bytes for part in rows))
    yield from _write_pieces(pieces, rows[0].origin.destination, number, size, settings)


def _write_pieces(
    pieces: Iterable[Piece], destination: Destination, rows: int, size: int, settings: WriteSettings
) -> Iterator[DataFile]:
    """Writes pieces of a destination that have so many rows, and bytes, left."""
    file_rows = math.ceil(rows / math.ceil(size / settings.target_bytes))
    group_rows = min(encoding.ROW_GROUP_ROWS, max(1, merging.GROUP_BYTES * rows // size))
    found = merging.row_groups(pieces, file_rows, group_rows)
    for _, groups in itertools.groupby(found, lambda group: group.file):
        tables = (merging.take(group.table, group.rows) for group in groups)
        yield encoding.write_file(tables, destination, settings)


def rewrite(rows: Rows, settings: WriteSettings) -> Iterator[DataFile]:
    """Writes what is kept of one live file's rows to a new file, a row group at a time.

    So the file may have any size. Its rows stay in their order, which in our files is that of their
    timestamps; of a file that another tool has written, as many rows are sorted together as a new
    file should hold.

    Args:
        rows: All rows of a live file, of which at least one is kept.
        settings: Where and how to write.

    Raises:
        OSError: Nothing can be written.
        datafiles.ConflictError: Another run has superseded the live file.
    """
    live = rows.origin
    assert isinstance(live, LiveFile)
    tables = _kept_rows(live, rows.superseded, settings.root)
    if datafiles.is_ours(live.file.path.rpartition("/")[2]):
        yield encoding.write_file(tables, live.destination, settings)
        return
    for some in batches.up_to(settings.target_bytes, ((table, table.nbytes) for table in tables)):
        table = pa.concat_tables(some)
        piece = Piece(table, np.ones(len(table), bool), content.NEVER)
        yield from _write_pieces([piece], live.destination, len(table), table.nbytes, settings)


def _kept_rows(live: LiveFile, superseded: npt.NDArray[np.int64], root: str) -> Iterator[pa.Table]:
    """Yields what is kept of a live file's rows, in tables of the size of row groups."""
    fit = merging.GROUP_BYTES * live.rows // max(1, live.bytes)
    limit = max(1, min(fit, encoding.ROW_GROUP_ROWS))
    names = datafiles.file_schema(live.provenance).names

    def tables() -> Iterator[pa.Table]:
        first = 0
        with live_rows.open_rows(root, live.file) as parquet:
            for table in live_rows.batches(parquet, names, limit):
                start, end = np.searchsorted(superseded, [first, first + len(table)])
                if start < end:
                    kept = np.ones(len(table), bool)
                    kept[superseded[start:end] - first] = False
                    yield table.filter(pa.array(kept))
                else:
                    yield table
                first += len(table)

    # Where little is kept, it comes together to no less than half a row group.
    for some in batches.up_to(-(-limit // 2), ((table, len(table)) for table in tables())):
        table = pa.concat_tables(some)
        if len(table):
            yield table


def merge_files(files: Sequence[DataFile], settings: WriteSettings) -> list[DataFile]:
    """Writes all rows of live files of one destination to new data files, as few as fit.

    At worst all are in memory.

    Raises:
        datafiles.ConflictError: Another run has superseded one of the files.
    """
    root = settings.root
    origin = settings.provenance
    live = (LiveFile(0, file, content_bytes(file, root), origin) for file in files)
    rows = [Rows(one, NO_ROWS) for one in live]
    if sum(part.origin.bytes for part in rows) > LARGE_BYTES:
        return list(write_large(rows, settings))
    return list(write([rows], settings))


def content_bytes(file: DataFile, root: str) -> int:
    """Returns the bytes of a live file's rows before compression, see `encoding`."""
    with live_rows.open_rows(root, file) as parquet:
        return encoding.content_bytes(parquet)
