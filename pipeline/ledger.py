"""The ledger: which input files were published, so that they are not read again.

A file is known by path, size and modification time. The ledger saves work, nothing else: reading a
file twice changes nothing in the table (design: the latest version is a total order), so a ledger
that is lost, or misses a run, costs time only. What must never be is a file in it whose events are
not in the table: so an entry says which version of the table has them, and is void once the table
was made afresh after that version, also if it was written later.
"""

import io
import logging
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage, table
from pipeline.storage import FileInfo

LEDGER = "_eventsift/ledger.parquet"

_SCHEMA = pa.schema([("path", pa.string()), ("bytes", pa.int64()), ("modified", pa.float64())])
_LEDGER_SCHEMA = _SCHEMA.append(pa.field("version", pa.int64()))


def write(path: str, files: Iterable[FileInfo]) -> None:
    """Writes a list of files as Parquet, in one step."""
    _write(path, _table(files))


def read(path: str) -> list[FileInfo]:
    """The files that `write` was given; none if there is no such list, or it is unreadable."""
    return _files(_read(path, _SCHEMA))


def published(root: str, storage_options: dict[str, str] | None = None) -> list[FileInfo]:
    """The files whose events the table at `root` has."""
    entries = _read(storage.join(root, LEDGER), _LEDGER_SCHEMA)
    if not len(entries):
        return []
    rebuilt = table.rebuilt(root, storage_options)
    return _files(entries.filter(pc.greater_equal(entries["version"], rebuilt)))


def unpublished(files: Iterable[FileInfo], published: Iterable[FileInfo]) -> list[FileInfo]:
    """Those of `files` that were not published as they are now, in their order."""
    known = set(published)
    return [file for file in files if file not in known]


def extend(path: str, listing: str, version: int) -> None:
    """Adds files that are published as of a version of the table to the ledger at `path`.

    The newest entry of a path is the one that counts.

    Args:
        path: The ledger's.
        listing: Where `write` has put the files.
        version: Of the table.
    """
    before, added = _read(path, _LEDGER_SCHEMA), _read(listing, _SCHEMA)
    if len(added):
        kept = pc.invert(pc.is_in(before["path"], added["path"].combine_chunks()))
        versions = pa.array([version] * len(added), pa.int64())
        added = added.append_column(_LEDGER_SCHEMA.field("version"), versions)
        _write(path, pa.concat_tables([before.filter(kept), added]))


def _table(files: Iterable[FileInfo]) -> pa.Table:
    rows = list(files)
    if not rows:
        return _SCHEMA.empty_table()
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    return pa.table(arrays, schema=_SCHEMA)


def _files(entries: pa.Table) -> list[FileInfo]:
    return list(map(FileInfo, *(entries[name].to_pylist() for name in _SCHEMA.names)))


def _read(path: str, schema: pa.Schema) -> pa.Table:
    if not storage.exists(path):
        return schema.empty_table()
    try:
        return pq.read_table(io.BytesIO(storage.read_bytes(path))).select(schema.names).cast(schema)
    except (pa.ArrowException, KeyError, OSError) as error:
        logging.getLogger(__name__).warning("%s cannot be read, so it is ignored: %s", path, error)
        return schema.empty_table()


def _write(path: str, table: pa.Table) -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    storage.write_bytes(path, sink.getvalue())
