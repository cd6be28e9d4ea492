"""Data files: what a table's files hold, what they are called, and what is known of each.

Where they go from here, and when they are part of the table, is up to `table`.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.errors import EventsiftError
from pipeline.keys.partitions import Destination, directory
from pipeline.storage import FileInfo
from pipeline.storage.paths import STATE
from pipeline.table import log

# The columns within a data file: what is staged. The partition's columns are in path and log.
FILE_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("nanos", pa.int16()),
        ("data", pa.string()),
        ("extra", pa.string()),
    ]
)

# The columns of a table that also keeps where each row came from.
PROVENANCE_SCHEMA = pa.schema([("source_file", pa.string()), ("run", pa.string())])
_WITH_PROVENANCE = pa.unify_schemas([FILE_SCHEMA, PROVENANCE_SCHEMA])

# Where files lie until they are settled.
NEW_FOLDER = f"{STATE}/new"

# Where runs show that they are alive; see `leases`.
LEASES_FOLDER = f"{STATE}/alive"

_ENDING = ".parquet"

# What to do about a damaged table.
WAY_OUT = "`verify` lists all that is wrong; `--rebuild` makes the table again from its sources"

# What reading a damaged file raises.
DAMAGE = (OSError, pa.ArrowException, UnicodeDecodeError)

# What a run may be called.
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# A run's id as `run.new_run_id` makes it, and 16 hexadecimal digits. Other Delta tools call theirs
# part-00000-<uuid>-c000.snappy.parquet.
_OURS = re.compile(r"part-\d{8}T\d{6}-[0-9a-f]{6}-[0-9a-f]{16}(\.parquet)?")


class TableError(EventsiftError):
    """The table cannot be read or written, or is not one of ours."""


class ConflictError(TableError):
    """Another run has committed since the snapshot was read: start again from a new one."""


class DataFile(NamedTuple):
    """A data file of the table: one about to be committed, or a live one.

    Attributes:
        path: Its place on disk, relative to the table.
        destination: The partition its rows belong to, wherever the file lies.
        rows: How many events it holds.
        bytes: Its size.
        min_timestamp: Its earliest event, in microseconds since 1970; None if unknown.
        max_timestamp: Its latest event; None if unknown.
    """

    path: str
    destination: Destination
    rows: int
    bytes: int
    min_timestamp: int | None
    max_timestamp: int | None


def file_schema(provenance: bool) -> pa.Schema:
    """Returns the columns within a data file.

    Args:
        provenance: Whether the table keeps where each row came from.
    """
    return _WITH_PROVENANCE if provenance else FILE_SCHEMA


def new_path(run_id: str, name: str, destination: Destination | None = None) -> str:
    """Returns where a run writes a data file before it is committed, relative to the table.

    It gets its ending with its place in a partition: until then ``table/**/*.parquet`` must not
    find it. The Delta log names the file by its path, whatever that ends in.

    Args:
        run_id: The run: letters, digits, ``_``, ``.`` and ``-``.
        name: What tells the run's files apart, also if a step has run twice: letters and digits.
        destination: Where its rows belong, for a file that stays there: Polars takes the values of
            a live file's partition from its path instead of the log, so its folders say them. None
            for a file that gets its place right after the commit: thousands of folders take a
            second.
    """
    if not re.fullmatch(r"\w+", name):
        raise ValueError(f"cannot name a data file {name!r}")
    folder = f"/{directory(destination)}" if destination else ""
    return f"{new_folder(run_id)}{folder}/part-{run_id}-{name}"


def new_folder(run_id: str) -> str:
    """Returns the folder of a run's data files before they are committed; see `new_path`."""
    if not _RUN_ID.fullmatch(run_id):
        raise ValueError(f"cannot name a folder after run {run_id!r}")
    return f"{NEW_FOLDER}/{run_id}"


def relative(root: str, file: FileInfo) -> str:
    """Returns the path of a file of the table at `root` as the log has it."""
    return file.path[len(root) + 1 :]


def is_ours(name: str) -> bool:
    """Tells whether a data file is certainly one of ours, by its name alone."""
    return _OURS.fullmatch(name) is not None


@contextlib.contextmanager
def open_live(root: str, file: DataFile) -> Iterator[BinaryIO]:
    """Opens a live file for reading; in the ``with`` block nothing but reading it may be done.

    Raises:
        ConflictError: It is gone, since another run has superseded it.
        TableError: It is missing or damaged, as found here or in the ``with`` block.
    """
    try:
        with storage.open_read(storage.join(root, file.path)) as stream:
            yield stream
    except DAMAGE as error:
        if not log.is_live(root, file.path):
            raise ConflictError(
                f"{root}: another run has superseded {file.path} while it was to be read: run again"
            ) from error
        if isinstance(error, FileNotFoundError):
            raise TableError(f"{root}: {missing(file.path)}") from error
        raise damaged(root, file, _what_is_wrong(root, file, error)) from error


def missing(path: str) -> str:
    """Says that a live file is not there, and the way out."""
    return f"{path} is live in the log, but missing; {WAY_OUT}"


def damaged(root: str, file: DataFile, what: str) -> TableError:
    """Says what is wrong with a live file, and the way out."""
    return TableError(f"{root}: {file.path} is damaged: {what}; {WAY_OUT}")


def _what_is_wrong(root: str, file: DataFile, error: BaseException) -> str:
    """Says its size, if that is not what the log says; else what its reader says."""
    with contextlib.suppress(Exception), storage.open_read(storage.join(root, file.path)) as stream:
        size = stream.seek(0, io.SEEK_END)
        if size != file.bytes:
            return f"it has {size:,} bytes, the log says {file.bytes:,}"
    return " ".join(str(error).split()) or type(error).__name__


def settled_path(file: DataFile) -> str:
    """Returns the place of a data file in its partition, relative to the table.

    The file may have its ending already, as those of earlier versions of eventsift do.
    """
    return f"{directory(file.destination)}/{settled_name(file.path)}"


def settled_name(path: str) -> str:
    """Returns the name that a data file has in its partition, from any of its paths."""
    return path.rpartition("/")[2].removesuffix(_ENDING) + _ENDING
