"""Staged files: one block's payloads in the temp directory, ordered by destination.

A staged file is a row of Arrow record batches, one for each destination, so that whoever writes a
destination reads just its rows. What travels on is a `Slice` for each batch, which says where it
lies: with a table of contents in the file (Arrow's file format) each reader would have to read all
of it. (Arrow columnar format, "Encapsulated message format".)
"""

import itertools
import operator
import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.keys import partitions
from pipeline.keys.partitions import Destination
from pipeline.table.datafiles import FILE_SCHEMA


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


class Slices(NamedTuple):
    """The slices of one shard in a staged file, one after another.

    As one element, and of plain tuples: pickling many small objects takes longer than their rows.

    Attributes:
        shard: See `partitions.shard_of`.
        path: The staged file.
        first_row: The row in its block of the first of them.
        destinations: Where their rows belong: the fields of each.
        rows: How many they are, for each destination.
        offsets: Where in the file each record batch begins, and where the last one ends.
    """

    shard: int
    path: str
    first_row: int
    destinations: tuple[tuple[str, str, int, int, int], ...]
    rows: tuple[int, ...]
    offsets: tuple[int, ...]

    def each(self) -> Iterator[Slice]:
        """Yields the slices."""
        first_row = self.first_row
        borders = itertools.pairwise(self.offsets)
        for destination, rows, (start, end) in zip(
            self.destinations, self.rows, borders, strict=True
        ):
            yield Slice(Destination(*destination), self.path, start, end - start, first_row, rows)
            first_row += rows


def stage(
    events: pa.Table, directory: str, first_row: int, shards: int
) -> tuple[pa.Table, list[Slices]]:
    """Writes events to a new staged file.

    Args:
        events: A table of `events.EVENT_SCHEMA`, not empty.
        directory: Where to write; the file's name is unique, so a retry never meets it.
        first_row: The rows of the same block that were staged before.
        shards: For `partitions.shard_of`.

    Returns:
        The events in the order staged, and the slices of each shard.
    """
    micros = events["timestamp"].cast(pa.int64()).to_numpy()
    destinations, codes = partitions.group(
        events["domain"].combine_chunks(), events["event_type"].combine_chunks(), micros
    )
    by_shard = sorted(
        (partitions.shard_of(destination, shards), code)
        for code, destination in enumerate(destinations)
    )
    # Small codes sort by radix, several times faster than the 32 bits they come in.
    places = np.empty(len(destinations), np.int16 if len(destinations) < 1 << 15 else np.int32)
    places[[code for _, code in by_shard]] = np.arange(len(destinations))
    order = np.argsort(places[codes], kind="stable")
    events = events.take(pa.array(order))
    (staged,) = events.select(FILE_SCHEMA.names).combine_chunks().to_batches()
    rows_of = np.bincount(codes).tolist()
    path = storage.join(directory, f"{uuid.uuid4().hex}.arrow")
    found = []
    row = offset = 0
    with storage.create(path) as file:
        for shard, members in itertools.groupby(by_shard, operator.itemgetter(0)):
            own = [code for _, code in members]
            rows = tuple(rows_of[code] for code in own)
            starts = itertools.accumulate(rows, initial=row)
            batches = [staged.slice(*part).serialize() for part in zip(starts, rows, strict=False)]
            file.writelines(batches)
            offsets = itertools.accumulate((batch.size for batch in batches), initial=offset)
            found.append(
                Slices(
                    shard,
                    path,
                    first_row + row,
                    tuple(destinations[code][:] for code in own),
                    rows,
                    tuple(offsets),
                )
            )
            row += sum(rows)
            offset = found[-1].offsets[-1]
    return events, found


def read_slices(slices: Sequence[Slice]) -> list[pa.RecordBatch]:
    """The staged rows of each slice. What lies side by side is read in one go."""
    reads: list[list[int]] = []
    end = ("", 0)
    for number in sorted(range(len(slices)), key=lambda number: slices[number][1:3]):
        slice_ = slices[number]
        if (slice_.path, slice_.offset) != end:
            reads.append([])
        reads[-1].append(number)
        end = (slice_.path, slice_.offset + slice_.bytes)
    found: dict[int, pa.RecordBatch] = {}
    for together in reads:
        path, start = slices[together[0]].path, slices[together[0]].offset
        size = sum(slices[number].bytes for number in together)
        content = pa.py_buffer(storage.read_part(path, start, size))
        for number in together:
            slice_ = slices[number]
            own = content.slice(slice_.offset - start, slice_.bytes)
            found[number] = pa.ipc.read_record_batch(own, FILE_SCHEMA)
    return [found[number] for number in range(len(slices))]
