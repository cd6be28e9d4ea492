"""Which event_ids a delivery has: a Bloom filter, so that only rows that can matter are compared.

A row of the table competes with the delivery only if its event_id is delivered again. The filter
says "no" for nearly all others; where it says "yes" wrongly the row wins against nobody, which is
harmless. (B. H. Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970.)
"""

import numpy as np
import numpy.typing as npt

# Two bits of 16 a event_id: about 1.4 % of the other rows pass.
BITS_PER_ID = 16
# 64 MiB; beyond this many ids most of any table passes, and looking them up costs more than it saves.
_BITS_LIMIT = 1 << 29


def filter_bits(ids: int, rows: int) -> int:
    """The size of the filter for at most `ids` event_ids against a table of `rows` rows.

    Returns:
        A power of two; or 0 for no filter, where so many ids come that most rows may matter.
    """
    bits = 1 << max(10, (ids * BITS_PER_ID - 1).bit_length())
    return bits if ids < rows and bits <= _BITS_LIMIT else 0


def positions(id_hashes: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.uint32]:
    """The bits that stand for event_ids, from their `events.hash_ids`; shape (2 n,)."""
    if not bits:
        return np.empty(0, np.uint32)
    mask = np.uint64(bits - 1)
    return np.concatenate([id_hashes & mask, (id_hashes >> np.uint64(32)) & mask]).astype(np.uint32)


def empty() -> npt.NDArray[np.uint8]:
    """The filter no event_id was added to yet."""
    return np.empty(0, np.uint8)


def add(
    bitmap: npt.NDArray[np.uint8], added: npt.NDArray[np.uint32], bits: int
) -> npt.NDArray[np.uint8]:
    """The filter with the bits at `added` set, made anew if it is still empty (of size 0)."""
    if not bitmap.size:
        bitmap = np.zeros(bits // 8, np.uint8)
    np.bitwise_or.at(bitmap, added >> np.uint32(3), _bit(added))
    return bitmap


def contains(
    bitmap: npt.NDArray[np.uint8], id_hashes: npt.NDArray[np.uint64], bits: int
) -> npt.NDArray[np.bool_]:
    """Which event_ids may have been added, by their hashes; all if there is no filter (0 bits)."""
    if not bits or not bitmap.size:
        return np.full(len(id_hashes), not bits)
    found = positions(id_hashes, bits)
    hits = (bitmap[found >> np.uint32(3)] & _bit(found)) != 0
    both: npt.NDArray[np.bool_] = hits[: len(id_hashes)] & hits[len(id_hashes) :]
    return both


def _bit(positions: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    return np.left_shift(np.uint8(1), (positions & np.uint32(7)).astype(np.uint8))
