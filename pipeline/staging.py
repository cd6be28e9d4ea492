"""Staged files: one block's payloads in the temp directory, ordered by destination.

A staged file is a row of Arrow record batches, one for each destination, so that whoever writes a
destination reads just its rows. What travels on is a `Slice` for each batch, which says where it
lies: with a table of contents in the file (Arrow's file format) each reader would have to read all
of it. (Arrow columnar format, "Encapsulated message format".)
"""

import uuid
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline import partitions, storage
from pipeline.partitions import Destination

STAGED_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("nanos", pa.int16()),
        ("data", pa.string()),
        ("extra", pa.string()),
    ]
)


class Slice(NamedTuple):
    """The rows of one destination in a staged file.

    Attributes:
        destination: Where they belong.
        path: The staged file.
        offset: Where in the file their record batch begins.
        bytes: How long it is.
        first_row: The row in its block of the first of them.
        rows: How many they are.
    """

    destination: Destination
    path: str
    offset: int
    bytes: int
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
    (staged,) = events.select(STAGED_SCHEMA.names).combine_chunks().to_batches() or [None]
    path = storage.join(directory, f"{uuid.uuid4().hex}.arrow")
    slices = []
    row = offset = 0
    with storage.create(path) as file:
        for destination, rows in zip(destinations, np.bincount(codes).tolist(), strict=True):
            batch = staged.slice(row, rows).serialize()
            file.write(batch)
            slices.append(Slice(destination, path, offset, batch.size, first_row + row, rows))
            row += rows
            offset += batch.size
    return events, slices


def read_slice(slice_: Slice) -> pa.Table:
    """The staged rows of a slice."""
    content = storage.read_part(slice_.path, slice_.offset, slice_.bytes)
    batch = pa.ipc.read_record_batch(pa.py_buffer(content), STAGED_SCHEMA)
    return pa.Table.from_batches([batch])
