"""Reading a block: bytes to staged payloads, versions and dead letters.

This is the work of one call on one core, and all of it: no Beam here, and everything that comes in
or goes out can be sent to another process.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.catalogue import merging, nodes, sample
from pipeline.catalogue.nodes import Catalogue
from pipeline.input.blocks import BLOCK_BYTES, Block
from pipeline.input.contracts import Breach, Broken
from pipeline.input.counts import PackedCounts
from pipeline.keys import delivery_keys, partitions, versions
from pipeline.keys.delivery_keys import DeliveryKeys
from pipeline.keys.versions import Bucketed, Versions
from pipeline.keys.weights import Packed
from pipeline.rows import batches, staging
from pipeline.steps import decode
from pipeline.steps.decode import ReadSettings
from pipeline.steps.sizes import Sizes

# Versions of this many events take 40 MB, and a few times that while they are ordered. A block that
# is cut has a tenth of them.
_PORTION_ROWS = 1 << 20


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
    with decode.Notes(settings) as notes:
        for new_slices, keys, sampled in _staged(
            block, settings, decode.tables(block, settings, notes)
        ):
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
    return (
        versions.by_bucket(found, settings.sizes.buckets, settings.scratch),
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
