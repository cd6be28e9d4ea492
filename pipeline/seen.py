"""What a delivery has: tells which rows of the table compete with it, without reading them all.

A row of the table competes with the delivery only if its event_id is delivered again; and its
digest, for which its payload must be read, decides only if the timestamp is the same, too. So the
delivery's event_ids go into a Bloom filter, which says "no" for nearly all other rows (where it
says "yes" wrongly, the row wins against nobody, which is harmless), and its (event_id, timestamp)
pairs into a sorted list of hashes. (B. H. Bloom, "Space/time trade-offs in hash coding with
allowable errors", 1970.)
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

# Two bits of 16 an event_id: about 1.4 % of the other rows pass.
_BITS_PER_ID = 16
# 64 MiB; with more ids than that most rows of any table pass, and looking costs more than it saves.
_BITS_LIMIT = 1 << 29
# 32 MiB of hashes; with more pairs than that, payloads are read for all competing rows instead.
_INSTANTS_LIMIT = 1 << 22
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads what differs in low bits


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
    """

    size: Size
    bitmap: npt.NDArray[np.uint8]
    instants: Hashes
    blocks: int


NOTHING = Seen(Size(0, False), np.empty(0, np.uint8), np.empty(0, np.uint64), 0)


def size_for(ids: int, rows: int) -> Size:
    """The size of the filter for at most `ids` event_ids against a table of `rows` rows."""
    bits = 1 << max(10, (ids * _BITS_PER_ID - 1).bit_length())
    if ids >= rows or bits > _BITS_LIMIT:
        return Size(0, False)
    return Size(bits, ids <= _INSTANTS_LIMIT)


def see(size: Size, id_hashes: Hashes, micros: npt.NDArray[np.int64]) -> Seen:
    """What a block of n events adds: from the hashes of their event_ids and their timestamps."""
    if not size.bits:
        return NOTHING._replace(blocks=1)
    bitmap = np.zeros(size.bits // 8, np.uint8)
    at = _positions(id_hashes, size.bits)
    np.bitwise_or.at(bitmap, at >> np.uint32(3), _bit(at))
    pairs = _pairs(id_hashes, micros) if size.instants else NOTHING.instants
    return Seen(size, bitmap, pairs, 1)


def union(parts: Iterable[Seen]) -> Seen:
    """What several parts of a delivery add together."""
    seen = NOTHING
    instants = []
    blocks = 0
    for part in parts:
        blocks += part.blocks
        if part.size.bits:
            bitmap = seen.bitmap | part.bitmap if seen.size.bits else part.bitmap
            seen = Seen(part.size, bitmap, part.instants, 0)
            instants.append(part.instants)
    together = np.unique(np.concatenate([NOTHING.instants, *instants]))
    return seen._replace(instants=together, blocks=blocks)


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
