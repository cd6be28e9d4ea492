"""Staged files: one block's payloads in the temp directory, ordered by destination.

A staged file is an Arrow IPC file with one record batch for each destination, so that whoever
writes a destination reads just its rows. What travels on are a `Slice` for each batch and, for
each event, its version: a hash of its event_id, timestamp, digest and `where` it lies.
"""

import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import partitions, storage
from pipeline.partitions import Destination

STAGED_COLUMNS = ["event_id", "timestamp", "nanos", "data", "extra"]
VERSION_SCHEMA = pa.schema(
    [
        ("id_high", pa.uint64()),
        ("id_low", pa.uint64()),
        ("timestamp", pa.int64()),
        ("digest", pa.int64()),
        ("where", pa.int64()),
    ]
)

# `where` is the number of a source (a live file, or a block) and a row in it, in one integer.
# Live files are numbered from 0 and blocks from here: 4 million of each, 10^12 rows in each.
FIRST_BLOCK = 1 << 22
_ROW_BITS = 40


class Slice(NamedTuple):
    """The rows of one destination in a staged file.

    Attributes:
        destination: Where they belong.
        path: The staged file.
        batch: The index of its record batch that holds them.
        first_row: The row in its block of the first of them.
        rows: How many they are.
    """

    destination: Destination
    path: str
    batch: int
    first_row: int
    rows: int


class Staged(NamedTuple):
    """The slices of one block, as one element: pickling each by itself would take longer."""

    slices: tuple[Slice, ...]


def stage(events: pa.Table, directory: str, first_row: int) -> tuple[pa.Table, list[Slice]]:
    """Writes events to a new staged file.

    Args:
        events: A table of `events.EVENT_SCHEMA`.
        directory: Where to write; the file's name is unique, so a retry never meets it.
        first_row: The rows of the same block that were staged before.

    Returns:
        The events in the order staged, and a slice for each destination.
    """
    micros = events["timestamp"].cast(pa.int64()).to_numpy()
    destinations, codes = partitions.group(
        events["domain"].combine_chunks(), events["event_type"].combine_chunks(), micros
    )
    # Small codes sort by radix, several times faster than the 32 bits they come in.
    small = codes.astype(np.int16) if len(destinations) < 1 << 15 else codes
    events = events.take(pa.array(np.argsort(small, kind="stable")))
    staged = events.select(STAGED_COLUMNS)
    path = storage.join(directory, f"{uuid.uuid4().hex}.arrow")
    slices = []
    row = 0
    with storage.create(path) as file, pa.ipc.new_file(file, staged.schema) as writer:
        for batch, (destination, rows) in enumerate(
            zip(destinations, np.bincount(codes).tolist(), strict=True)
        ):
            writer.write_table(staged.slice(row, rows))
            slices.append(Slice(destination, path, batch, first_row + row, rows))
            row += rows
    return events, slices


def read_slice(slice_: Slice) -> pa.Table:
    """The staged rows of a slice."""
    source = (
        pa.memory_map(storage.local(slice_.path))
        if storage.is_local(slice_.path)
        else pa.PythonFile(storage.open_read(slice_.path), mode="r")
    )
    with source:
        return pa.Table.from_batches([pa.ipc.open_file(source).get_batch(slice_.batch)])


def versions(
    id_hashes: Sequence[npt.NDArray[np.uint64]] | npt.NDArray[np.uint64],
    micros: npt.NDArray[np.int64],
    digests: npt.NDArray[np.int64],
    where: npt.NDArray[np.int64],
) -> pa.Table:
    """A table of `VERSION_SCHEMA` of n rows: from `events.hash_ids`, shape (2, n), and the rest."""
    columns = [*id_hashes, micros, digests, where]
    return pa.Table.from_arrays([pa.array(column) for column in columns], schema=VERSION_SCHEMA)


class Bucketed(NamedTuple):
    """Versions ordered by the bucket of their event_id: one table, to be pickled as a whole.

    Attributes:
        table: The versions.
        rows: How many belong to bucket 0, 1, …
    """

    table: pa.Table
    rows: list[int]

    def split(self) -> Iterator[tuple[int, pa.Table]]:
        """Yields each bucket that has rows, with them."""
        first = 0
        for bucket, rows in enumerate(self.rows):
            if rows:
                yield bucket, self.table.slice(first, rows)
            first += rows


def by_bucket(versions: pa.Table, buckets: int) -> Bucketed:
    """Orders versions by the bucket of their event_id, of which there are `buckets`."""
    versions = versions.combine_chunks()
    if buckets == 1:
        return Bucketed(versions, [len(versions)])
    bucket = versions["id_high"].to_numpy() % np.uint64(buckets)
    bucket = bucket.astype(np.int16 if buckets < 1 << 15 else np.int32)
    ordered = versions.take(pa.array(np.argsort(bucket, kind="stable")))
    return Bucketed(ordered, np.bincount(bucket).tolist())


def place(source: int, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The `where` of rows of a source (a block or a live file, by its number in the run)."""
    return (np.int64(source) << _ROW_BITS) | rows


def source_of(where: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The number of the source of each `where`."""
    return where >> _ROW_BITS


def row_of(where: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The row, in its source, of each `where`."""
    return where & ((1 << _ROW_BITS) - 1)
