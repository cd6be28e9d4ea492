"""Parquet: writing a destination's rows to new data files.

Row order and statistics serve readers: rows are sorted by timestamp, so the statistics of row
groups and files say which times they hold.
"""

import math
import uuid
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import staging, storage, table
from pipeline.table import DataFile

# A row group is what a reader reads at the least: enough rows to compress well and to scan fast.
ROW_GROUP_ROWS = 128 * 1024
# Ids and payloads hardly repeat, so a dictionary of them is work for nothing; sorted timestamps are
# small steps; and with the lengths of texts apart from the texts, a file is 4 % smaller for no more
# time. (Parquet format, "Encodings".)
_DICTIONARY_COLUMNS = ["nanos"]
_ENCODINGS = {
    "timestamp": "DELTA_BINARY_PACKED",
    "event_id": "DELTA_LENGTH_BYTE_ARRAY",
    "data": "DELTA_LENGTH_BYTE_ARRAY",
}
# Payloads get zstd's level 3, and pages that fit its window: 7 % smaller files for no more time. In
# random ids no level finds anything that level 1 does not.
_LEVELS = {name: 3 if name == "data" else 1 for name in table.FILE_SCHEMA.names}
_PAGE_BYTES = 4 << 20
# What a row takes in Arrow's memory besides its texts: three offsets, timestamp, nanos, a null bit.
# Encodings make next to nothing of them.
_ROW_BYTES = 23


class Rows(NamedTuple):
    """Rows that belong to a destination, some of which are superseded.

    Attributes:
        source: Where they are staged; or the live file they are in.
        superseded: The rows of `source` (counted from 0) that are not to be kept, ascending.
    """

    source: staging.Slice | DataFile
    superseded: npt.NDArray[np.int64]

    @property
    def kept(self) -> int:
        """How many of the rows are still the latest."""
        return self.source.rows - len(self.superseded)


class WriteSettings(NamedTuple):
    """What writing depends on besides the rows.

    Attributes:
        root: The table.
        run: The run's id.
        target_bytes: What a file should not exceed, reckoned from the rows before compression.
    """

    root: str
    run: str
    target_bytes: int


class Written(NamedTuple):
    """What became of one destination.

    Attributes:
        files: New data files, not yet committed.
        replaced: The live files whose remaining rows are in them.
        slices: Staged slices taken in.
        live_files: Live files of the destination, replaced or not.
        staged: Staged rows written.
        superseded: Rows left out as superseded, staged and live.
        live: Live rows taken over.
    """

    files: tuple[DataFile, ...]
    replaced: tuple[DataFile, ...]
    slices: int
    live_files: int
    staged: int
    superseded: int
    live: int


def write_destination(rows: Sequence[Rows], settings: WriteSettings) -> Written:
    """Writes what is kept of a destination's rows to new data files, if there is any news.

    Args:
        rows: All staged rows and all live files of the destination.
        settings: Where and how to write.

    Returns:
        The new files and what went into them; `_rewritten` says which live files are in them.
    """
    staged = [part for part in rows if isinstance(part.source, staging.Slice)]
    live = _rewritten(
        [part for part in rows if isinstance(part.source, DataFile)],
        sum(part.kept for part in staged),
    )
    parts = [part for part in (*live, *staged) if part.kept]
    files: tuple[DataFile, ...] = ()
    if parts:
        files = tuple(_write(parts, settings))
    return Written(
        files=files,
        replaced=tuple(part.source for part in live if isinstance(part.source, DataFile)),
        slices=len(staged),
        live_files=len(rows) - len(staged),
        staged=sum(part.kept for part in staged),
        superseded=sum(len(part.superseded) for part in (*live, *staged)),
        live=sum(part.kept for part in live),
    )


def merge_files(files: Sequence[DataFile], settings: WriteSettings) -> list[DataFile]:
    """Writes all rows of live files of one destination to new data files, as few as fit.

    Raises:
        table.ConflictError: Another run has superseded one of the files.
    """
    return list(_write([Rows(file, np.empty(0, np.int64)) for file in files], settings))


def content_bytes(file: DataFile, root: str) -> int:
    """The bytes of a live file's rows before compression, from its footer.

    They are no fewer than those by which `_write` has reckoned: a file that it has filled by half
    never looks smaller.
    """
    with table.open_live(root, file) as stream:
        metadata = pq.ParquetFile(stream).metadata
    groups = range(metadata.num_row_groups)
    encoded = sum(metadata.row_group(group).total_byte_size for group in groups)
    return encoded + metadata.num_rows * _ROW_BYTES


def _rewritten(live: Sequence[Rows], news: int) -> list[Rows]:
    """The live files whose rows are written anew beside `news` rows.

    Those with superseded rows, always. And if there is anything to write, smaller files with it,
    from the smallest on, as long as each is no larger than all that is written already: so a
    partition has no more than about log2 of its rows as files, and a row is written anew no more
    often than that. (The size-tiered compaction of log-structured merge trees.)
    """
    rewritten = [part for part in live if len(part.superseded)]
    if not news and not rewritten:
        return []
    rows = news + sum(part.kept for part in rewritten)
    for part in sorted(live, key=lambda part: part.source.rows):
        if part.kept == part.source.rows <= max(rows, ROW_GROUP_ROWS // 8):
            rewritten.append(part)
            rows += part.kept
    return rewritten


def _write(parts: Sequence[Rows], settings: WriteSettings) -> Iterator[DataFile]:
    """Writes what is kept of a destination's rows to as many files as their size asks for.

    Rows are copied twice: to lie in one piece, and in their order. The latter by row groups, so
    that memory does not hold all of them once more.
    """
    destination = parts[0].source.destination
    content = pa.concat_tables(_read(part.source, settings.root) for part in parts)
    content = content.combine_chunks()
    micros = content["timestamp"].cast(pa.int64()).to_numpy()
    order = _by_time(content, micros)
    order = order[_kept(parts)[order]]
    content_bytes = content.nbytes * len(order) / len(content)
    rows_per_file = math.ceil(len(order) / math.ceil(content_bytes / settings.target_bytes))
    for first in range(0, len(order), rows_per_file):
        rows = order[first : first + rows_per_file]
        path = table.new_path(settings.run, uuid.uuid4().hex[:16])
        with storage.create(storage.join(settings.root, path)) as stream:
            with _writer(stream) as writer:
                for start in range(0, len(rows), ROW_GROUP_ROWS):
                    group = content.take(pa.array(rows[start : start + ROW_GROUP_ROWS]))
                    writer.write_table(group.cast(table.FILE_SCHEMA))
            size = stream.tell()
        times = micros[rows[[0, -1]]].tolist()
        yield DataFile(path, destination, len(rows), size, *times)


def _writer(stream: BinaryIO) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        stream,
        table.FILE_SCHEMA,
        compression="zstd",
        compression_level=_LEVELS,
        data_page_size=_PAGE_BYTES,
        use_dictionary=_DICTIONARY_COLUMNS,
        column_encoding=_ENCODINGS,
        write_statistics=["event_id", "timestamp"],
    )


def _read(source: staging.Slice | DataFile, root: str) -> pa.Table:
    """All rows of a slice or a live file."""
    if isinstance(source, staging.Slice):
        return staging.read_slice(source)
    with table.open_live(root, source) as stream:
        columns = staging.STAGED_SCHEMA.names
        return pq.ParquetFile(stream).read(columns=columns, use_threads=False)


def _kept(parts: Sequence[Rows]) -> npt.NDArray[np.bool_]:
    """Which of the rows of all parts together are still the latest; shape (n,)."""
    first_rows = np.cumsum([0] + [part.source.rows for part in parts])
    kept = np.ones(first_rows[-1], bool)
    for part, first in zip(parts, first_rows, strict=False):
        kept[first + part.superseded] = False
    return kept


def _by_time(content: pa.Table, micros: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The rows in the order of (timestamp, event_id); shape (n,)."""
    order = np.argsort(micros)
    # Only where timestamps are equal are texts compared, which takes ten times as long.
    equal = np.diff(micros[order]) == 0
    if not equal.any():
        return order
    tied = np.append(equal, False) | np.append(False, equal)
    rows = order[tied]
    keys = content.select(["timestamp", "event_id"]).take(pa.array(rows))
    by_id = [(name, "ascending") for name in keys.column_names]
    order[tied] = rows[pc.sort_indices(keys, sort_keys=by_id).to_numpy()]
    return order
