"""What a delivery has: tells which rows of the table compete with it, without reading them all.

A row of the table competes with the delivery only if its event_id is delivered again; and its
digest, for which its payload must be read, decides only if the timestamp is the same, too. So the
delivery's event_ids go into a Bloom filter, which says "no" for nearly all other rows (where it
says "yes" wrongly, the row wins against nobody, which is harmless), and its (event_id, timestamp)
pairs into a sorted list of hashes. (B. H. Bloom, "Space/time trade-offs in hash coding with
allowable errors", 1970.) Its days are kept for users who promise that versions lie close together.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]

# Two bits of 16 an event_id: about 1.4 % of the other rows pass.
_BITS_PER_ID = 16
# 64 MiB; with more ids than that most rows of any table pass, and looking costs more than it saves.
_BITS_LIMIT = 1 << 29
# 32 MiB of hashes; with more pairs than that, payloads are read for all competing rows instead.
_INSTANTS_LIMIT = 1 << 22
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads what differs in low bits
# So much of an event_id is hashed; longer ones that begin alike all compete, which is harmless.
_HASHED_BYTES = 256
# Of so many ids: arrays that stay in the processor's cache.
_HASH_ROWS = 1 << 14
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)  # the first bytes of 8


class Size(NamedTuple):
    """How large the filter is.

    Attributes:
        bits: Of the Bloom filter, a power of two; 0 for no filter: every row competes.
        instants: Whether the (event_id, timestamp) pairs are listed.
    """

    bits: int
    instants: bool


class Seen(NamedTuple):
    """What some events of a delivery add to the filter, or all of them together.

    Attributes:
        size: How large the filter is.
        bitmap: The Bloom filter, ``size.bits // 8`` bytes; or of size 0, if nothing was seen yet.
        instants: Hashes of (event_id, timestamp) pairs.
        blocks: How many blocks are in it. Were one lost, rows of the table would not be found to
            compete, and stay beside their later versions: so these are counted, too.
        days: On which the events are, as `partitions.day_number`.
    """

    size: Size
    bitmap: npt.NDArray[np.uint8]
    instants: Hashes
    blocks: int
    days: npt.NDArray[np.int64]


NOTHING = Seen(
    Size(0, False), np.empty(0, np.uint8), np.empty(0, np.uint64), 0, np.empty(0, np.int64)
)


def size_for(ids: int, rows: int) -> Size:
    """The size of the filter for at most `ids` event_ids against a table of `rows` rows."""
    bits = 1 << max(10, (ids * _BITS_PER_ID - 1).bit_length())
    if ids >= rows or bits > _BITS_LIMIT:
        return Size(0, False)
    return Size(bits, ids <= _INSTANTS_LIMIT)


def hash_ids(ids: pa.StringArray, seed: int) -> Hashes:
    """Hashes of n event_ids for the filter, shape (n,).

    They only sort out: unlike those of `events.hash_ids` they need not tell all ids apart. So they
    can be computed on Arrow's memory, several times faster than with a call for each id, and
    without Python's interpreter lock. Nearly all ids of a table are hashed just to be left out.
    """
    parts = (ids.slice(first, _HASH_ROWS) for first in range(0, len(ids), _HASH_ROWS))
    return np.concatenate([NOTHING.instants, *(_hash_part(part, seed) for part in parts)])


def _hash_part(ids: pa.StringArray, seed: int) -> Hashes:
    _, offsets, data = ids.buffers()
    borders = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    size = int(borders[-1] - borders[0])
    content = np.zeros(size + 8, np.uint8)  # there are eight bytes to read from each place
    if size:
        content[:size] = np.frombuffer(data, np.uint8)[borders[0] : borders[-1]]
    words = np.ndarray(size + 1, "<u8", content, strides=(1,))
    starts, lengths = borders[:-1] - borders[0], np.diff(borders)
    hashes = lengths.astype(np.uint64) ^ np.uint64(seed)
    for at in range(0, min(int(lengths.max()), _HASHED_BYTES), 8):
        own = words[np.minimum(starts + at, size)] & _MASKS[np.clip(lengths - at, 0, 8)]
        mixed = (hashes ^ own) * _MIX
        mixed ^= mixed >> np.uint64(32)
        # What an id hashes to must not depend on how long its neighbours are.
        hashes = np.where(lengths > at, mixed, hashes)
    return hashes


def see(
    size: Size, id_hashes: Hashes, micros: npt.NDArray[np.int64], days: Iterable[int] = ()
) -> Seen:
    """What a block of n events adds: from their `hash_ids`, their timestamps and their days."""
    distinct = np.array(sorted(set(days)), np.int64)
    if not size.bits:
        return NOTHING._replace(blocks=1, days=distinct)
    bitmap = np.zeros(size.bits // 8, np.uint8)
    at = _positions(id_hashes, size.bits)
    np.bitwise_or.at(bitmap, at >> np.uint32(3), _bit(at))
    pairs = _pairs(id_hashes, micros) if size.instants else NOTHING.instants
    return Seen(size, bitmap, pairs, 1, distinct)


def union(parts: Iterable[Seen]) -> Seen:
    """What several parts of a delivery add together."""
    seen = NOTHING
    instants = []
    days = []
    blocks = 0
    for part in parts:
        blocks += part.blocks
        days.append(part.days)
        if part.size.bits:
            bitmap = seen.bitmap | part.bitmap if seen.size.bits else part.bitmap
            seen = NOTHING._replace(size=part.size, bitmap=bitmap)
            instants.append(part.instants)
    together = np.unique(np.concatenate([NOTHING.instants, *instants]))
    all_days = np.unique(np.concatenate([NOTHING.days, *days]))
    return seen._replace(instants=together, blocks=blocks, days=all_days)


def near(seen: Seen, day: int, days: int) -> bool:
    """Whether anything was delivered for a day, or at most so many days before or after it."""
    return bool(np.any(np.abs(seen.days - day) <= days))


def competes(seen: Seen, id_hashes: Hashes) -> npt.NDArray[np.bool_]:
    """Which rows may have an event_id that was delivered."""
    if not seen.size.bits:
        return np.ones(len(id_hashes), bool)
    at = _positions(id_hashes, seen.size.bits)
    hits = (seen.bitmap[at >> np.uint32(3)] & _bit(at)) != 0
    both: npt.NDArray[np.bool_] = hits[: len(id_hashes)] & hits[len(id_hashes) :]
    return both


def ties(seen: Seen, id_hashes: Hashes, micros: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which competing rows may have the event_id and the timestamp of a delivered event."""
    if not seen.size.instants:
        return np.ones(len(id_hashes), bool)
    pairs = _pairs(id_hashes, micros)
    at = np.searchsorted(seen.instants, pairs)
    found: npt.NDArray[np.bool_] = seen.instants[np.minimum(at, len(seen.instants) - 1)] == pairs
    return found


def _positions(id_hashes: Hashes, bits: int) -> npt.NDArray[np.uint32]:
    """The two bits of each event_id: first all the first ones, then all the second ones."""
    mask = np.uint64(bits - 1)
    return np.concatenate([id_hashes & mask, (id_hashes >> np.uint64(32)) & mask]).astype(np.uint32)


def _bit(positions: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    return np.left_shift(np.uint8(1), (positions & np.uint32(7)).astype(np.uint8))


def _pairs(id_hashes: Hashes, micros: npt.NDArray[np.int64]) -> Hashes:
    return id_hashes ^ (micros.view(np.uint64) * _MIX)
