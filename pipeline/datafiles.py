"""Data files: what a table's files hold, what they are called, and what is known of each.

Where they go from here, and when they are part of the table, is up to `table`.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pipeline import staging, storage
from pipeline.errors import EventsiftError
from pipeline.partitions import Destination, directory

FILE_SCHEMA = staging.STAGED_SCHEMA
"""The columns within a data file: what is staged. Those of the partition are in path and log."""

NEW_FOLDER = "_eventsift/new"
"""Where files lie until they are settled. Readers of plain Parquet skip folders with ``_``."""

_ENDING = ".parquet"

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class TableError(EventsiftError):
    """The table cannot be read or written, or is not one of ours."""


class ConflictError(TableError):
    """Another run has committed since the snapshot was read: start again from a new one."""


class DataFile(NamedTuple):
    """A data file of the table: one about to be committed, or a live one.

    Attributes:
        path: its place on disk, relative to the table.
        destination: the partition its rows belong to, wherever the file lies.
        rows: how many events it holds.
        bytes: its size.
        min_timestamp: its earliest event, in microseconds since 1970; None if unknown.
        max_timestamp: its latest one.
    """

    path: str
    destination: Destination
    rows: int
    bytes: int
    min_timestamp: int | None
    max_timestamp: int | None


def new_path(run_id: str, name: str, destination: Destination | None = None) -> str:
    """Where a run writes a data file, relative to the table, before it is committed.

    It gets its ending with its place in a partition: until then ``table/**/*.parquet`` must not
    find it. The Delta log names the file by its path, whatever that ends in. But Polars takes the
    values of a live file's partition from its path instead of the log, so this one, too, lies in
    folders that say them.

    Args:
        run_id: the run: letters, digits, ``_``, ``.`` and ``-``.
        name: what tells the run's files apart, also those of a step that ran twice: letters and
            digits.
        destination: where its rows belong; None for any file of the run.
    """
    if not _RUN_ID.fullmatch(run_id) or not re.fullmatch(r"\w+", name):
        raise ValueError(f"cannot name a data file after run {run_id!r} and {name!r}")
    folder = f"/{directory(destination)}" if destination else ""
    return f"{NEW_FOLDER}/{run_id}{folder}/part-{run_id}-{name}"


@contextlib.contextmanager
def open_live(root: str, file: DataFile) -> Iterator[BinaryIO]:
    """A live file opened for reading.

    Raises:
        ConflictError: it is gone, since another run has superseded it.
    """
    try:
        stream = storage.open_read(storage.join(root, file.path))
    except FileNotFoundError as error:
        raise ConflictError(
            f"{root}: another run has superseded {file.path} while it was to be read: run again"
        ) from error
    with stream:
        yield stream


def settled_path(file: DataFile) -> str:
    """The place of a data file in its partition, relative to the table.

    Also of one that has its ending already, as files of earlier versions of eventsift have.
    """
    name = file.path.rpartition("/")[2].removesuffix(_ENDING)
    return f"{directory(file.destination)}/{name}{_ENDING}"
