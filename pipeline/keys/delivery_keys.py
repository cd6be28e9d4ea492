"""The keys of a delivery: which rows of the table compete with it, without reading them all.

A row of the table competes with the delivery only if its event_id is delivered again. Its digest,
for which its payload must be read, decides only if the timestamp is the same, too. So three things
are made of the delivery's keys:

- a Bloom filter of the event_ids, which says "no" for nearly all other rows at little cost (B. H.
  Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970);
- unless there are too many, a sorted list of hashes of the event_ids, which says "no" for nearly
  all that are left, and one of the (event_id, timestamp) pairs;
- the days, for users who promise that versions lie close together.

A false positive is harmless: the row competes with no other version.

All of this can take a hundred megabytes, too many for an element. So each block stores its keys in
a file, only the paths travel, and a process that scans the table makes the filter of the files.
"""

import functools
import itertools
import threading
import uuid
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import storage

Hashes = npt.NDArray[np.uint64]

# Two bits of 16 an event_id: about 1.4 % of the other rows pass.
_BITS_PER_ID = 16
# 64 MiB; with more ids than that most rows of any table pass, and looking costs more than it saves.
_BITS_LIMIT = 1 << 29
# Twice 32 MiB of hashes; with more than that, payloads are read for all competing rows instead.
_LISTED_LIMIT = 1 << 22
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads what differs in low bits
# How much of an event_id is hashed. Longer ones with the same beginning all compete, which is
# harmless.
_HASHED_BYTES = 256
# How many ids are hashed in one go: their arrays stay in the processor's cache.
_HASH_ROWS = 1 << 14
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)  # the first bytes of 8
# Threads that scan the table wait for one filter, instead of making one each.
_LOADING = threading.Lock()


class Size(NamedTuple):
    """How large the filter is.

    Attributes:
        bits: Bits of the Bloom filter, a power of two; 0 for no filter: every row competes.
        listed: Whether the event_ids and the (event_id, timestamp) pairs are listed as well.
    """

    bits: int
    listed: bool


class DeliveryKeys(NamedTuple):
    """The keys of some blocks of a delivery, or of all, as they travel.

    Attributes:
        size: How large the filter is.
        paths: Files in the temp directory, with a hash of the event_id and the timestamp of each
            event.
        blocks: How many blocks there are. They are counted, since rows of the table would stay
            beside their later versions if one were lost.
        days: The days of the events, as `partitions.day_number`.
    """

    size: Size
    paths: tuple[str, ...]
    blocks: int
    days: frozenset[int]


class Filter(NamedTuple):
    """The filter, made of all keys of a delivery.

    Attributes:
        size: How large it is.
        bitmap: The Bloom filter, ``size.bits // 8`` bytes.
        ids: Hashes of event_ids, if listed.
        instants: Hashes of (event_id, timestamp) pairs, if listed.
    """

    size: Size
    bitmap: npt.NDArray[np.uint8]
    ids: Hashes
    instants: Hashes


NOTHING = DeliveryKeys(Size(0, False), (), 0, frozenset())
NO_HASHES: Hashes = np.empty(0, np.uint64)


def size_for(ids: int, rows: int) -> Size:
    """Returns the size of the filter for at most `ids` event_ids and a table of `rows` rows."""
    bits = 1 << max(10, (ids * _BITS_PER_ID - 1).bit_length())
    if ids >= rows or bits > _BITS_LIMIT:
        return Size(0, False)
    return Size(bits, ids <= _LISTED_LIMIT)


def hash_ids(ids: pa.StringArray, seed: int) -> Hashes:
    """Hashes n event_ids for the filter, shape (n,).

    Unlike the hashes of `events.hash_ids`, these may be equal for different ids. So they can be
    computed on Arrow's memory, several times faster than with a call for each id, and without
    Python's interpreter lock. Nearly all ids of a table are hashed only to be left out.
    """
    parts = (ids.slice(first, _HASH_ROWS) for first in range(0, len(ids), _HASH_ROWS))
    return np.concatenate([NO_HASHES, *(_hash_part(part, seed) for part in parts)])


def _hash_part(ids: pa.StringArray, seed: int) -> Hashes:
    """Hashes eight bytes of every id at a time.

    The hash of an id must depend on its own bytes only, not on the lengths of its neighbours.
    """
    _, offsets, data = ids.buffers()
    borders = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    starts, lengths = borders[:-1] - borders[0], np.diff(borders)
    size, longest = int(borders[-1] - borders[0]), int(lengths.max())
    content = np.zeros(size + 8, np.uint8)  # there are eight bytes to read from each place
    if size:
        content[:size] = np.frombuffer(data, np.uint8)[borders[0] : borders[-1]]
    words = np.ndarray(size + 1, "<u8", content, strides=(1,))
    # Ids of one length, such as UUIDs: their words lie at regular distances.
    alike = longest == int(lengths.min())
    hashes = lengths.astype(np.uint64) ^ np.uint64(seed)
    for at in range(0, min(longest, _HASHED_BYTES), 8):
        if alike:
            own = np.ndarray(len(ids), "<u8", content, at, (longest,))
            own = own & _MASKS[min(longest - at, 8)]
        else:
            own = words[np.minimum(starts + at, size)] & _MASKS[np.clip(lengths - at, 0, 8)]
        own ^= hashes
        own *= _MIX
        own ^= own >> np.uint64(32)
        hashes = own if alike else np.where(lengths > at, own, hashes)
    return hashes


def collect(
    size: Size,
    id_hashes: Hashes,
    micros: npt.NDArray[np.int64],
    days: Iterable[int],
    directory: str,
) -> DeliveryKeys:
    """Stores the keys of a block of n events.

    Args:
        size: How large the filter is.
        id_hashes: From `hash_ids`, shape (n,).
        micros: Microseconds since 1970, shape (n,).
        days: The days of the events.
        directory: Where to store the keys.
    """
    paths: tuple[str, ...] = ()
    if size.bits and len(id_hashes):
        paths = (storage.join(directory, f"{uuid.uuid4().hex}.keys"),)
        storage.write_bytes(paths[0], np.stack([id_hashes, micros.view(np.uint64)]).tobytes())
    return DeliveryKeys(size, paths, 1, frozenset(days))


def union(parts: Iterable[DeliveryKeys]) -> DeliveryKeys:
    """Returns the keys of several blocks together."""
    parts = list(parts)
    return DeliveryKeys(
        max((part.size for part in parts), default=NOTHING.size),
        tuple(sorted(itertools.chain.from_iterable(part.paths for part in parts))),
        sum(part.blocks for part in parts),
        NOTHING.days.union(*(part.days for part in parts)),
    )


def filter_of(delivery: DeliveryKeys) -> Filter:
    """Returns the filter of a delivery. A process makes it only once."""
    with _LOADING:
        return _load(delivery.size, delivery.paths)


@functools.lru_cache(maxsize=1)
def _load(size: Size, paths: tuple[str, ...]) -> Filter:
    contents = storage.each(storage.read_bytes, paths, min(paths, default=""))
    stored = [np.frombuffer(content, np.uint64).reshape(2, -1) for content in contents]
    id_hashes, micros = np.concatenate([np.empty((2, 0), np.uint64), *stored], axis=1)
    return build(size, id_hashes, micros.view(np.int64))


def build(size: Size, id_hashes: Hashes, micros: npt.NDArray[np.int64]) -> Filter:
    """Makes the filter of n events, from their `hash_ids` and timestamps, each of shape (n,)."""
    bitmap = np.zeros(size.bits // 8, np.uint8)
    if size.bits:
        for at in _positions(id_hashes, size.bits):
            np.bitwise_or.at(bitmap, at >> np.uint32(3), _bit(at))
    ids = instants = NO_HASHES
    if size.listed:
        ids, instants = np.unique(id_hashes), np.unique(_pairs(id_hashes, micros))
    return Filter(size, bitmap, ids, instants)


def near(delivery: DeliveryKeys, day: int, days: int) -> bool:
    """Tells whether anything was delivered for a day, or at most `days` days before or after it."""
    return any(abs(delivered - day) <= days for delivered in delivery.days)


def competes(filter_: Filter, id_hashes: Hashes) -> npt.NDArray[np.int64]:
    """Returns the indices of the rows whose event_id may have been delivered, ascending."""
    rows = np.arange(len(id_hashes))
    bits = filter_.size.bits
    if not bits:
        return rows
    for at in _positions(id_hashes, bits):  # the second bit only where the first is set
        at = at[rows]
        rows = rows[(filter_.bitmap[at >> np.uint32(3)] & _bit(at)) != 0]
    if filter_.size.listed:
        rows = rows[_is_in(id_hashes[rows], filter_.ids)]
    return rows


def ties(
    filter_: Filter, id_hashes: Hashes, micros: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Tells which competing rows may have the event_id and the timestamp of a delivered event."""
    if not filter_.size.listed:
        return np.ones(len(id_hashes), bool)
    return _is_in(_pairs(id_hashes, micros), filter_.instants)


def _is_in(hashes: Hashes, listed: Hashes) -> npt.NDArray[np.bool_]:
    """Tells which hashes are in a sorted list."""
    if not len(listed):
        return np.zeros(len(hashes), bool)
    at = np.searchsorted(listed, hashes)
    found: npt.NDArray[np.bool_] = listed[np.minimum(at, len(listed) - 1)] == hashes
    return found


def _positions(id_hashes: Hashes, bits: int) -> Iterator[npt.NDArray[np.uint32]]:
    """Yields the first bit of each event_id, then the second."""
    mask = np.uint64(bits - 1)
    yield (id_hashes & mask).astype(np.uint32)
    yield ((id_hashes >> np.uint64(32)) & mask).astype(np.uint32)


def _bit(positions: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    return np.left_shift(np.uint8(1), (positions & np.uint32(7)).astype(np.uint8))


def _pairs(id_hashes: Hashes, micros: npt.NDArray[np.int64]) -> Hashes:
    return id_hashes ^ (micros.view(np.uint64) * _MIX)
