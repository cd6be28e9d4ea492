"""Staged files: one block's payloads in the temp directory, ordered by destination.

A staged file is an Arrow IPC file with one record batch for each destination, so that whoever
writes a destination reads just its rows. What travels on is a `Slice` for each batch.
"""

import uuid
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline import partitions, storage
from pipeline.partitions import Destination

STAGED_COLUMNS = ["event_id", "timestamp", "nanos", "data", "extra"]


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
