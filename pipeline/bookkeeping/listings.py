"""Lists of files, as a run stages them: each file by its path, size and modification time.

A list is an Arrow IPC stream in a Zstandard frame with a checksum: no bit flip passes for a file.
The ledger is such a list, with more columns.
"""

import io
from collections.abc import Collection, Iterable

import pyarrow as pa
import zstandard

from pipeline import storage
from pipeline.bookkeeping import state
from pipeline.bookkeeping.state import DamagedError
from pipeline.storage import FileInfo

SCHEMA = pa.schema([("path", pa.string()), ("bytes", pa.int64()), ("modified", pa.float64())])

# About eight million files.
LIMIT_BYTES = 1 << 30

_LEVEL = 3


def write(path: str, files: Iterable[FileInfo]) -> None:
    """Writes a list of files, in one step."""
    storage.write_bytes(path, pack(_table(files)))


def read(path: str) -> list[FileInfo]:
    """Returns the files that `write` was given; none if there is no such list.

    Raises:
        DamagedError: It is not what was written.
    """
    try:
        return files_of(unpack(state.read(path, LIMIT_BYTES), SCHEMA))
    except FileNotFoundError:
        return []
    except DamagedError as error:
        raise DamagedError(f"{path} {error}; run again") from error


def files_of(entries: pa.Table) -> list[FileInfo]:
    """Returns the files of a list."""
    return list(map(FileInfo, *(entries[name].to_pylist() for name in SCHEMA.names)))


def pack(entries: pa.Table) -> bytes:
    """Returns a list as it is stored."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, entries.schema) as writer:
        writer.write_table(entries)
    return zstandard.ZstdCompressor(_LEVEL, write_checksum=True).compress(sink.getvalue())


def unpack(packed: bytes, schema: pa.Schema, gaps: Collection[str] = ()) -> pa.Table:
    """Returns what was packed, if it has the columns of `schema`.

    Args:
        packed: What `pack` has returned.
        schema: The columns.
        gaps: Names of columns that may have nulls.

    Raises:
        DamagedError: It is something else.
    """
    try:
        header = zstandard.get_frame_parameters(packed)
        if not header.has_checksum or not 0 < header.content_size <= LIMIT_BYTES:
            raise DamagedError("is not a list of files")
        content = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(packed)
        with pa.ipc.open_stream(content) as stream:
            found = stream.read_all()
        found.validate(full=True)
        if found.schema.remove_metadata() != schema:
            raise DamagedError("is not a list of files")
        if any(found[name].null_count for name in found.column_names if name not in gaps):
            raise DamagedError("has gaps")
        return found
    except (zstandard.ZstdError, pa.ArrowException, MemoryError, OSError, ValueError) as error:
        raise DamagedError(f"cannot be read ({' '.join(str(error).split())})") from error


def _table(files: Iterable[FileInfo]) -> pa.Table:
    rows = list(files)
    if not rows:
        return SCHEMA.empty_table()
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.table(arrays, schema=SCHEMA)
