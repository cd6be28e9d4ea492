"""The ledger: which input files were published, so that they are not read again.

A file is known by path, size and modification time. The ledger saves work, nothing else: reading a
file twice changes nothing in the table (design: the latest version is a total order), so a ledger
that is lost, or misses a run, costs time only.
"""

import io
import logging
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.storage import FileInfo

LEDGER = "_eventsift/ledger.parquet"

_SCHEMA = pa.schema([("path", pa.string()), ("bytes", pa.int64()), ("modified", pa.float64())])


def write(path: str, files: Iterable[FileInfo]) -> None:
    """Writes a list of files (of FileInfo) as Parquet, in one step."""
    rows = list(files)
    columns = [pa.array(values) for values in zip(*rows, strict=True)] or None
    table = pa.Table.from_arrays(columns, schema=_SCHEMA) if columns else _SCHEMA.empty_table()
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    storage.write_bytes(path, sink.getvalue())


def read(path: str) -> list[FileInfo]:
    """The files that `write` was given; none if there is no such list, or it is unreadable."""
    if not storage.exists(path):
        return []
    try:
        table = pq.read_table(io.BytesIO(storage.read_bytes(path)))
        return list(map(FileInfo, *(column.to_pylist() for column in table.columns)))
    except (pa.ArrowException, OSError) as error:
        logging.getLogger(__name__).warning("%s cannot be read, so it is ignored: %s", path, error)
        return []


def unpublished(files: Iterable[FileInfo], published: Iterable[FileInfo]) -> list[FileInfo]:
    """Those of `files` that were not published as they are now, in their order."""
    known = set(published)
    return [file for file in files if file not in known]


def extend(path: str, files: Iterable[FileInfo]) -> None:
    """Adds files to the ledger at `path`; the newest entry of a path is the one that counts."""
    entries = {file.path: file for file in read(path)}
    entries.update((file.path, file) for file in files)
    write(path, entries.values())
