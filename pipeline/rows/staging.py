"""Staged files: payloads of a block in the temp directory, ordered by destination.

A staged file holds Arrow record batches one after another, one or a few for each destination, so
that whoever writes a destination reads only its rows. A block of ordinary size has one such file, a
larger one (a compressed file cannot be cut) has several. What travels on is a `Slice` for each
batch, which says where it lies: with a table of contents in the file (Arrow's file format) each
reader would have to read all of it. (Arrow columnar format, "Encapsulated message format".)
"""

import itertools
import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.keys import delivery_keys, partitions, weights
from pipeline.keys.partitions import Destination
from pipeline.table.datafiles import FILE_SCHEMA, PROVENANCE_SCHEMA, file_schema

# A larger slice is cut: fine enough to bring rows together by time, coarse enough for each to be a
# request to an object store.
_SLICE_BYTES = 512 << 10
_POSITION_BYTES = 8


class Slice(NamedTuple):
    """Rows of one destination in a staged file.

    Attributes:
        destination: Where they belong.
        path: The staged file.
        offset: Where in the file their record batch begins.
        bytes: How long it is.
        first_row: The row in its block of the first of them.
        rows: How many they are.
        position: Where in the destination they begin; see `partitions.position`.
        provenance: Whether they say which file and run they come from.
    """

    destination: Destination
    path: str
    offset: int
    bytes: int
    first_row: int
    rows: int
    position: int
    provenance: bool = False


class Slices(NamedTuple):
    """The slices of one shard in a staged file, one after another.

    As one element, and of plain tuples: pickling many small objects takes longer than their rows.

    Attributes:
        shard: See `partitions.shard_of`.
        path: The staged file.
        first_row: The row in its block of the first of them.
        destinations: Where their rows belong: the fields of each slice's.
        rows: How many they are, for each slice.
        offsets: Where in the file each record batch begins, and where the last one ends.
        positions: See `Slice.position`, for each slice; int64 as bytes.
        provenance: See `Slice`.
    """

    shard: int
    path: str
    first_row: int
    destinations: tuple[tuple[str, str, int, int, int], ...]
    rows: tuple[int, ...]
    offsets: tuple[int, ...]
    positions: bytes
    provenance: bool = False

    def each(self) -> Iterator[Slice]:
        """Yields the slices."""
        first_row = self.first_row
        borders = itertools.pairwise(self.offsets)
        positions = np.frombuffer(self.positions, np.int64).tolist()
        for destination, rows, (start, end), position in zip(
            self.destinations, self.rows, borders, positions, strict=True
        ):
            place = self.path, start, end - start, first_row, rows, position
            yield Slice(Destination(*destination), *place, self.provenance)
            first_row += rows

    def part(self, shard: int, start: int, end: int) -> "Slices":
        """Returns the slices from number `start` to before `end`, as those of another shard."""
        return Slices(
            shard,
            self.path,
            self.first_row + sum(self.rows[:start]),
            self.destinations[start:end],
            self.rows[start:end],
            self.offsets[start : end + 1],
            self.positions[_POSITION_BYTES * start : _POSITION_BYTES * end],
            self.provenance,
        )


def stage(
    events: pa.Table, directory: str, first_row: int, shards: int, run: str = ""
) -> tuple[pa.Table, list[Slices]]:
    """Writes events to a new staged file.

    Args:
        events: A table of `events.EVENT_SCHEMA`, not empty.
        directory: Where to write; the file's name is unique, so a retry never meets it.
        first_row: The rows of the same block that were staged before.
        shards: For `partitions.shard_of`.
        run: The run, if the rows are to say which file and run they come from.

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
    slice_rows = max(1, _SLICE_BYTES * len(events) // events.select(FILE_SCHEMA.names).nbytes)
    members, starts = _cut(order, micros, np.bincount(places[codes]), slice_rows)
    events = events.take(pa.array(order))
    positions = _positions(events["event_id"], micros[order], starts)
    path = storage.join(directory, f"{uuid.uuid4().hex}.arrow")
    borders = [*starts.tolist(), len(events)]
    staged = events.select(FILE_SCHEMA.names)
    if run:
        for field, column in zip(PROVENANCE_SCHEMA, _origins(events, starts, run), strict=True):
            staged = staged.append_column(field, column)
    offsets = _write(staged, borders, path)
    found = []
    end = 0
    for shard, own in itertools.groupby(by_shard[member][0] for member in members):
        first, end = end, end + len(list(own))
        fields = tuple(destinations[by_shard[member][1]][:] for member in members[first:end])
        rows = tuple(
            after - before for before, after in itertools.pairwise(borders[first : end + 1])
        )
        place = shard, path, first_row + borders[first], fields, rows
        found.append(
            Slices(
                *place,
                tuple(offsets[first : end + 1]),
                positions[first:end].tobytes(),
                bool(run),
            )
        )
    return events, found


def _cut(
    order: npt.NDArray[np.int64],
    micros: npt.NDArray[np.int64],
    rows_of: npt.NDArray[np.int64],
    slice_rows: int,
) -> tuple[list[int], npt.NDArray[np.int64]]:
    """Cuts destinations into slices: most into one, large ones into several, by time.

    Args:
        order: The rows, destination by destination; those of large ones are put in order of time.
        micros: When each row was.
        rows_of: How many rows each destination has.
        slice_rows: What a slice should not exceed.

    Returns:
        For each slice the number of its destination, and where in `order` it begins.
    """
    firsts = np.cumsum(rows_of) - rows_of
    counts = -(-rows_of // slice_rows)
    for large in np.flatnonzero(counts > 1).tolist():
        rows = order[firsts[large] : firsts[large] + rows_of[large]]
        rows[:] = rows[np.argsort(micros[rows])]
    members = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(members)) - np.repeat(np.cumsum(counts) - counts, counts)
    return members.tolist(), firsts[members] + within * rows_of[members] // counts[members]


def _positions(
    ids: pa.ChunkedArray, micros: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The positions of the slices that begin at the rows `starts`; shape (n,)."""
    hashes = delivery_keys.hash_ids(ids.take(pa.array(starts)).combine_chunks(), 0)
    spread = hashes >> np.uint64(64 - partitions.SPREAD_BITS)
    return partitions.position(np.minimum.reduceat(micros, starts), spread.astype(np.int64))


def _origins(
    events: pa.Table, starts: npt.NDArray[np.int64], run: str
) -> tuple[pa.StringArray, pa.StringArray]:
    """Returns file and run of n rows, null where they are those of the row before.

    So a path is staged once for many rows.

    Args:
        events: The rows, with their `source_file`.
        starts: Where slices begin; nothing is before their first rows.
        run: The run.
    """
    sources = events["source_file"].unify_dictionaries().combine_chunks()
    codes = sources.indices.to_numpy()
    first = np.zeros(len(codes), bool)
    first[starts] = True
    new = first.copy()
    new[1:] |= codes[1:] != codes[:-1]
    files = pa.DictionaryArray.from_arrays(pa.array(codes, mask=~new), sources.dictionary)
    runs = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(len(codes), np.int32), mask=~first), pa.array([run])
    )
    return files.dictionary_decode(), runs.dictionary_decode()


def _write(rows: pa.Table, borders: Sequence[int], path: str) -> list[int]:
    """Writes a record batch for the rows between each two borders; where they begin and end."""
    (staged,) = rows.combine_chunks().to_batches()
    offsets = [0]
    with storage.create(path) as file:
        for start, end in itertools.pairwise(borders):
            batch = staged.slice(start, end - start).serialize()
            file.write(batch)
            offsets.append(offsets[-1] + batch.size)
    return offsets


def weights_of(slices: Sequence[Slices]) -> bytes:
    """Returns the weights of slices; see `weights`, the module."""
    return weights.pack(
        [partitions.hash_of(fields) for one in slices for fields in one.destinations],
        b"".join(one.positions for one in slices),
        [end - start for one in slices for start, end in itertools.pairwise(one.offsets)],
    )


def read_slices(slices: Sequence[Slice]) -> list[pa.RecordBatch]:
    """Returns the staged rows of each slice."""
    parts = [storage.Part(slice_.path, slice_.offset, slice_.bytes) for slice_ in slices]
    contents = storage.read_parts(parts)
    return [_read(content, one) for content, one in zip(contents, slices, strict=True)]


def _read(content: memoryview, slice_: Slice) -> pa.RecordBatch:
    batch = pa.ipc.read_record_batch(pa.py_buffer(content), file_schema(slice_.provenance))
    if not slice_.provenance:
        return batch
    filled = (
        pc.fill_null_forward(batch[name]) if name in PROVENANCE_SCHEMA.names else batch[name]
        for name in batch.schema.names
    )
    return pa.RecordBatch.from_arrays(list(filled), schema=batch.schema)
