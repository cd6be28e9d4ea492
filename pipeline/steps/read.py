"""Reading a block: bytes to staged payloads, versions and dead letters.

This is the work of one call on one core, and all of it: no Beam here, and everything that comes in
or goes out can be sent to another process.
"""

import contextlib
import io
import itertools
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.catalogue import merging, nodes, sample
from pipeline.catalogue.nodes import Catalogue
from pipeline.framing import borders
from pipeline.input import events, sniff, streams
from pipeline.input.blocks import BLOCK_BYTES, Block
from pipeline.input.contracts import Breach, Broken, Checker, Contract
from pipeline.input.counts import Counts, PackedCounts
from pipeline.input.decoding import Decoded, Part, decode
from pipeline.input.fields import OWN_NAMES, FieldMap
from pipeline.input.rejects import Reject
from pipeline.keys import delivery_keys, partitions, versions
from pipeline.keys.delivery_keys import DeliveryKeys
from pipeline.keys.versions import Bucketed, Versions
from pipeline.keys.weights import Packed
from pipeline.rows import batches, staging
from pipeline.steps.sizes import Sizes

# What is decoded together. The objects that come of it stay in the processor's cache, and their
# memory is used again and again: with whole blocks, decoding takes half as long again.
PART_BYTES = 4 << 20
# What a reject takes in memory, about, besides its bytes.
_REJECT_BYTES = 1 << 10
# Versions of this many events take 40 MB, and a few times that while they are ordered. A block that
# is cut has a tenth of them.
_PORTION_ROWS = 1 << 20
# Files of up to this share of a part are decoded together.
_SMALL = 1 / 64


class ReadSettings(NamedTuple):
    """What reading depends on besides the block.

    Attributes:
        run: The run's id, for dead letters.
        directory: Where payloads and dead letters are staged.
        sizes: How the work is divided.
        max_event_bytes: Limit on one event's data and extra fields.
        store_versions: Whether versions are stored beside the payloads; else they are returned.
        part_bytes: How many bytes are decoded together.
        names: Where the fields of the events are.
        contract: What their data has to fulfil; None if nothing is asked.
        provenance: Whether rows are to say which file and run they come from.
    """

    run: str
    directory: str
    sizes: Sizes
    max_event_bytes: int
    store_versions: bool = False
    part_bytes: int = PART_BYTES
    names: FieldMap = OWN_NAMES
    contract: Contract | None = None
    provenance: bool = False


class BlockRead(NamedTuple):
    """What reading a block gave.

    Attributes:
        number: The block's.
        bytes: Bytes read, as stored.
        rows: Events staged.
        slices: Where their payloads lie.
        weights: How many bytes these have, and where; see `weights`, the module.
        versions: Their versions by bucket; those that are not in `earlier`.
        delivery_keys: What they add to the filter for the table's rows.
        rejected: How many records were refused, by reason.
        dead_letters: The file that holds them, "" if there are none.
        seconds: What it took.
        days: How many events were staged, by their day; see `partitions.day_number`.
        earlier: Versions that came before, where a block has too many to hold them all.
        catalogue: What a sample of the events has, encoded; see `catalogue`, the package.
        sampled: How many events these are.
        checked: How many events were held against a contract, and how many of these break it.
        breaches: What they break.
        files: What each file had; see `counts`, the module.
    """

    number: int
    bytes: int
    rows: int
    slices: list[staging.Slices]
    weights: Packed
    versions: Bucketed
    delivery_keys: DeliveryKeys
    rejected: Counter[str]
    dead_letters: str
    seconds: float
    days: Counter[int]
    earlier: Sequence[Bucketed] = ()
    catalogue: nodes.Encoded = b""
    sampled: int = 0
    checked: tuple[int, int] = (0, 0)
    breaches: Mapping[Breach, Broken] = {}
    files: PackedCounts = b""


class _Keys(NamedTuple):
    """The keys of some events: their versions, and their hashes for the filter, if there is one."""

    versions: Versions
    hashes: delivery_keys.Hashes


def read_block(block: Block, settings: ReadSettings) -> BlockRead:
    """Reads, decodes and stages a block.

    Raises:
        OSError: A file cannot be read, or nothing can be written to the temp directory.
    """
    *earlier, last = portions(block, settings)
    assert isinstance(last, BlockRead)
    return last._replace(earlier=[part for part in earlier if isinstance(part, Bucketed)])


def portions(block: Block, settings: ReadSettings) -> Iterator[Bucketed | BlockRead]:
    """Reads a block as `read_block` does, but does not hold all of its versions.

    A compressed file of any size is one block, for it cannot be cut.

    Yields:
        Versions, whenever they have become many; then the block, with all the rest.
    """
    started = time.perf_counter()
    slices: list[staging.Slices] = []
    waiting: list[_Keys] = []
    stored: list[DeliveryKeys] = []
    seen = Catalogue()
    with _Notes(settings) as notes:
        for new_slices, keys, sampled in _staged(block, settings, _tables(block, settings, notes)):
            slices += new_slices
            waiting.append(keys)
            seen = merging.merge(seen, sampled)
            if sum(len(keys.versions) for keys in waiting) >= _PORTION_ROWS:
                portion, for_filter = _together(waiting, settings)
                stored.append(for_filter)
                waiting.clear()
                yield portion
    portion, for_filter = _together(waiting, settings)
    days = _days(slices)
    for_filter = delivery_keys.union([*stored, for_filter])
    yield BlockRead(
        number=block.number,
        bytes=notes.bytes,
        rows=sum(days.values()),
        slices=slices,
        weights=staging.weights_of(slices),
        versions=portion,
        delivery_keys=for_filter._replace(blocks=1, days=frozenset(days)),
        rejected=notes.reasons,
        dead_letters=notes.path,
        seconds=time.perf_counter() - started,
        days=days,
        catalogue=nodes.encode(seen) if slices else b"",
        sampled=seen.payloads,
        checked=notes.checked(),
        breaches=notes.checker.breaches if notes.checker else {},
        files=notes.by_file.packed(),
    )


class _Notes(contextlib.ExitStack):
    """What is noted of a block beside its events, and its dead letters.

    Attributes:
        bytes: How many bytes were read.
        by_file: What each file had.
        checker: Holds the events against their contract; None if there is none.
        path: The file of the dead letters, which is made when the first of them comes, "" if there
            are none; complete after the ``with`` block.
        reasons: How many there are, by reason.
    """

    def __init__(self, settings: ReadSettings) -> None:
        super().__init__()
        self.bytes = 0
        self.by_file = Counts()
        self.checker = Checker(settings.contract) if settings.contract else None
        self.path = ""
        self.reasons: Counter[str] = Counter()
        self._settings = settings
        self._file: BinaryIO | None = None

    def checked(self) -> tuple[int, int]:
        """Returns how many events were held against a contract, and how many of these break it."""
        return (self.checker.checked, self.checker.broken) if self.checker else (0, 0)

    def add(self, table: pa.Table, rejects: Sequence[Reject]) -> None:
        """Notes what was made of some bytes: events, and rejects, which become dead letters."""
        self.by_file.add(table, rejects)
        if not rejects:
            return
        if self._file is None:
            self.path = storage.join(self._settings.directory, f"{uuid.uuid4().hex}.jsonl")
            self._file = self.enter_context(storage.create(self.path))
        self._file.writelines(reject.dead_letter(self._settings.run) for reject in rejects)
        self.reasons.update(reject.reason for reject in rejects)


def _staged(
    block: Block, settings: ReadSettings, tables: Iterable[tuple[pa.Table, int]]
) -> Iterator[tuple[list[staging.Slices], _Keys, Catalogue]]:
    """Stages events, given with their bytes, as many together as a block has that is cut.

    Yields:
        Where some are, their keys, and what a sample of them has.
    """
    rows, run = 0, settings.run if settings.provenance else ""
    for some in batches.up_to(BLOCK_BYTES, tables):
        table = pa.concat_tables(some)
        if len(table):
            table, slices = staging.stage(
                table, settings.directory, rows, settings.sizes.shards, run
            )
            keys = _keys_of(table, block.number, rows, settings.sizes)
            yield slices, keys, _sample(table, slices, rows)
            rows += len(table)


def _keys_of(table: pa.Table, number: int, first_row: int, sizes: Sizes) -> _Keys:
    """The keys of staged events of a block, which are its rows from this one on."""
    ids = [table[name].to_numpy() for name in ("id_high", "id_low")]
    micros = table["timestamp"].cast(pa.int64()).to_numpy()
    locations = versions.locate(number, np.arange(first_row, first_row + len(table)))
    found = versions.pack(ids, micros, table["digest"].to_numpy(), locations)
    if not sizes.filter_size.bits:
        return _Keys(found, delivery_keys.NO_HASHES)
    return _Keys(found, delivery_keys.hash_ids(table["event_id"].combine_chunks(), sizes.id_seed))


def _sample(table: pa.Table, slices: Sequence[staging.Slices], first_row: int) -> Catalogue:
    """What a sample of staged events has; `first_row` is the number of the first in the block."""
    rows = []
    for some in slices:
        start = some.first_row - first_row
        for destination, count in zip(some.destinations, some.rows, strict=True):
            rows.append(sample.Rows(destination, start, count))
            start += count
    return sample.take(table["data"], table["timestamp"].cast(pa.int64()).to_numpy(), rows)


def _together(waiting: Sequence[_Keys], settings: ReadSettings) -> tuple[Bucketed, DeliveryKeys]:
    """Brings keys together: versions by bucket, and what they add to the filter."""
    found = np.concatenate([versions.NONE, *(keys.versions for keys in waiting)])
    hashes = np.concatenate([delivery_keys.NO_HASHES, *(keys.hashes for keys in waiting)])
    directory = settings.directory if settings.store_versions else ""
    return (
        versions.by_bucket(found, settings.sizes.buckets, directory),
        delivery_keys.collect(
            settings.sizes.filter_size, hashes, found["timestamp"], (), settings.directory
        ),
    )


def _days(slices: Sequence[staging.Slices]) -> Counter[int]:
    """Returns how many events of some slices lie on each day."""
    dates: Counter[tuple[int, int, int]] = Counter()
    for some in slices:
        for destination, rows in zip(some.destinations, some.rows, strict=True):
            dates[destination[2:]] += rows
    return Counter({partitions.day_number(*date): rows for date, rows in dates.items()})


def _tables(block: Block, settings: ReadSettings, notes: _Notes) -> Iterator[tuple[pa.Table, int]]:
    """Tables of a block's events, each with the bytes it is made of; rejects become dead letters.

    Many small files become one table.
    """
    sized = (
        (part, part[1].consumed + _REJECT_BYTES * len(part[1].rejects))
        for part in _parts(block, settings, notes)
    )
    for parts in batches.up_to(settings.part_bytes, sized):
        table, rejects = events.to_table(
            parts, settings.max_event_bytes, settings.sizes.id_seed, notes.checker
        )
        notes.add(table, rejects)
        if not settings.provenance:
            table = table.drop_columns("source_file")
        yield table, sum(decoded.consumed for _, decoded in parts)


def _parts(block: Block, settings: ReadSettings, notes: _Notes) -> Iterator[tuple[Part, Decoded]]:
    """The decoded parts of a block's pieces; adds up the bytes read."""
    how = settings.part_bytes, settings.max_event_bytes, settings.names
    small: list[tuple[str, bytes]] = []
    small_bytes = 0
    for piece, stream in zip(block.pieces, storage.open_ranges(block.ranges), strict=True):
        with stream:
            if piece.start or piece.end > _SMALL * settings.part_bytes:
                yield from streams.parts(stream, piece, *how)
                notes.bytes += stream.tell() - piece.start
                if settings.sizes.forget and storage.is_local(piece.path):
                    storage.forget(stream, piece.start, piece.end)
                continue
            data = stream.read(piece.end)
        notes.bytes += len(data)
        if not (borders.is_between_borders(data) and sniff.is_json(data[: sniff.HEAD_BYTES])):
            yield from streams.parts(io.BytesIO(data), piece, *how)
            continue
        small.append((piece.path, data))
        small_bytes += len(data)
        if small_bytes >= settings.part_bytes:
            yield from _decode_together(small, settings.names)
            small, small_bytes = [], 0
    if small:
        yield from _decode_together(small, settings.names)


def _decode_together(
    files: Sequence[tuple[str, bytes]], names: FieldMap
) -> Iterator[tuple[Part, Decoded]]:
    """Small files, given with their content, as one part, and decoded.

    Each by itself would take as long as ten events. They are joined at borders, which changes
    nothing in the result.
    """
    paths, contents = zip(*files, strict=True)
    starts = itertools.accumulate(len(data) + 1 for data in contents)
    more = tuple(zip(starts, paths[1:], strict=False))
    part = Part(paths[0], 0, b"\n".join(contents), more=more, names=names)
    decoded = decode(part)
    if not decoded.is_stopped and all(reject.length for reject in decoded.rejects):
        yield part, decoded
        return
    # An array that is not closed: only by itself a file shows where that was noticed.
    for path, data in files:
        yield from streams.decode_all(Part(path, 0, data, names=names))
