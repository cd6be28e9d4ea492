"""The rows of live files, whoever wrote them: read into the columns that our own files have.

Other Delta tools write the same columns in their own ways: texts as views or dictionaries,
timestamps with other units or none of a time zone, columns in another order, and none at all where
every value is null. (Delta protocol, "Schema Serialization Format": what a file lacks is null.)
Readers of the table see no difference, so nobody who reads a live file here must see one.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.keys import partitions
from pipeline.keys.partitions import Destination
from pipeline.table import datafiles
from pipeline.table.datafiles import FILE_SCHEMA, DataFile

# All columns that a data file may have.
_COLUMNS = datafiles.file_schema(provenance=True)

# Of files that must be converted: pieces whose texts stay far below the 2 GiB of an Arrow array.
_BATCH_ROWS = 1 << 15


class LiveFile(NamedTuple):
    """The rows of a live file, on their way to whoever writes their destination.

    Attributes:
        shard: That of the destination; see `partitions.shard_of`.
        file: The live file.
        bytes: What the rows take in memory; see `encoding.content_bytes`.
        provenance: Whether the table keeps where each row came from.
    """

    shard: int
    file: DataFile
    bytes: int
    provenance: bool = False

    @property
    def destination(self) -> Destination:
        """Where the rows belong."""
        return self.file.destination

    @property
    def rows(self) -> int:
        """How many they are."""
        return self.file.rows

    @property
    def position(self) -> int:
        """Where in their destination they begin: with the day, if more is not known."""
        first, day = self.file.min_timestamp, partitions.instant(self.destination, 0)
        # What the log says need only be a bound, in files of another tool.
        return partitions.position(day if first is None else max(first, day), 0)


@contextlib.contextmanager
def open_rows(root: str, file: DataFile) -> Iterator[pq.ParquetFile]:
    """Opens a live file to read rows from it, by the functions below.

    Raises:
        datafiles.ConflictError: It is gone, since another run has superseded it.
        datafiles.TableError: It is missing or damaged, as found here or in the ``with`` block.
    """
    with datafiles.open_live(root, file) as stream:
        parquet = open_parquet(stream)
        if parquet.metadata.num_rows != file.rows:
            raise datafiles.damaged(
                root, file, f"it has {parquet.metadata.num_rows:,} rows, the log says {file.rows:,}"
            )
        # In a file of ours other columns are no other way to write them: a bit of it has changed.
        if datafiles.is_ours(file.path.rpartition("/")[2]) and not _is_conform(
            parquet, FILE_SCHEMA.names
        ):
            raise datafiles.damaged(root, file, "its columns are not those that were written")
        yield parquet


def open_parquet(stream: BinaryIO) -> pq.ParquetFile:
    """Returns a reader of a Parquet file.

    It checks the checksums of pages, which our own files have: a damaged page is an error, and its
    rows do not go on into new files. Spark may store a timestamp in 96 bits, which Arrow takes for
    nanoseconds unless told: these overflow outside of 1677 to 2262.

    From a store, columns of a row group that lie side by side are fetched together.
    """
    return pq.ParquetFile(
        stream,
        coerce_int96_timestamp_unit="us",
        page_checksum_verification=True,
        pre_buffer=storage.is_remote(stream),
    )


def batches(parquet: pq.ParquetFile, names: Sequence[str], rows: int) -> Iterator[pa.Table]:
    """Yields the columns `names` of a file, so many rows at a time at most."""
    there = _there(parquet, names)
    if not there:
        left = parquet.metadata.num_rows
        while left > 0:
            yield _absent(min(left, rows), names)
            left -= rows
        return
    for group in range(parquet.num_row_groups):
        for batch in parquet.iter_batches(rows, [group], columns=there, use_threads=False):
            yield conform(pa.Table.from_batches([batch]), names)


def read(parquet: pq.ParquetFile, names: Sequence[str]) -> pa.Table:
    """Returns the columns `names` of a file."""
    if _is_conform(parquet, names):
        return conform(parquet.read(columns=list(names), use_threads=False), names)
    return pa.concat_tables([_absent(0, names), *batches(parquet, names, _BATCH_ROWS)])


def take(parquet: pq.ParquetFile, rows: npt.NDArray[np.int64], names: Sequence[str]) -> pa.Table:
    """Returns some rows of a file, ascending; reads only the row groups that have any."""
    return pa.concat_tables([_absent(0, names), *taken(parquet, rows, names)])


def taken(
    parquet: pq.ParquetFile, rows: npt.NDArray[np.int64], names: Sequence[str]
) -> Iterator[pa.Table]:
    """Yields some rows of a file, ascending, as `take` does, a few at a time."""
    there = _there(parquet, names)
    first = 0
    for group in range(parquet.num_row_groups):
        count = parquet.metadata.row_group(group).num_rows
        start, end = np.searchsorted(rows, [first, first + count])
        if end > start and there:
            batches = parquet.iter_batches(_BATCH_ROWS, [group], there, use_threads=False)
            yield from _taken(batches, rows[start:end] - first, names)
        elif end > start:
            yield _absent(int(end - start), names)
        first += count


def conform(content: pa.Table, names: Sequence[str]) -> pa.Table:
    """Returns the columns `names` as our files have them; what is missing is null, nanos 0."""
    columns = []
    for name in names:
        kind = _COLUMNS.field(name).type
        if name in content.column_names:
            column = _cast(content[name], kind)
        else:
            column = pa.chunked_array([pa.nulls(content.num_rows, kind)])
        columns.append(column.fill_null(0) if name == "nanos" and column.null_count else column)
    return pa.table(columns, schema=_schema(names))


def _taken(
    batches: Iterable[pa.RecordBatch], rows: npt.NDArray[np.int64], names: Sequence[str]
) -> Iterator[pa.Table]:
    """Takes some rows, ascending, of batches that follow each other."""
    first = 0
    for batch in batches:
        start, end = np.searchsorted(rows, [first, first + len(batch)])
        if end > start:
            piece = pa.Table.from_batches([batch])
            own = pa.array(rows[start:end] - first)
            # What must be converted is so before: not all kinds of text can be taken.
            is_ready = all(field.type == _COLUMNS.field(field.name).type for field in batch.schema)
            yield conform(piece.take(own), names) if is_ready else conform(piece, names).take(own)
        first += len(batch)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    found = column.type
    if found == kind:
        return column
    if pa.types.is_timestamp(found) and found.unit == "ns":
        column = pc.floor_temporal(column, unit="microsecond")
    values = found.value_type if pa.types.is_dictionary(found) else found
    if not any(is_kind(values) and is_kind(kind) for is_kind in _KINDS):
        raise pa.ArrowInvalid(f"a column of it is {found}, where the table has {kind}")
    return column.cast(kind)


def _is_text(kind: pa.DataType) -> bool:
    # Some tools do not say of their texts that they are UTF-8; the conversion looks.
    return str(kind) in (
        "string",
        "large_string",
        "string_view",
        "binary",
        "large_binary",
        "binary_view",
    )


_KINDS: Sequence[Callable[[pa.DataType], bool]] = (
    _is_text,
    pa.types.is_timestamp,
    pa.types.is_integer,
)


def _schema(names: Sequence[str]) -> pa.Schema:
    return pa.schema([_COLUMNS.field(name) for name in names])


def _absent(rows: int, names: Sequence[str]) -> pa.Table:
    """Rows of a file that has none of the columns."""
    nothing = {name: pa.nulls(rows, _COLUMNS.field(name).type) for name in names}
    return conform(pa.table(nothing), names)


def _there(parquet: pq.ParquetFile, names: Sequence[str]) -> list[str]:
    known = set(parquet.schema_arrow.names)
    return [name for name in names if name in known]


def _is_conform(parquet: pq.ParquetFile, names: Sequence[str]) -> bool:
    schema = parquet.schema_arrow
    return all(
        name in schema.names and schema.field(name).type == _COLUMNS.field(name).type
        for name in names
    )
