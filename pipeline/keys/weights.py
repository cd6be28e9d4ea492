"""Weights: how many bytes each destination has, and where; by them large ones are cut into shards.

Each block tells of each of its slices to which destination it belongs, where it begins and how
large it is, in 24 bytes. Of a whole delivery this is brought together, and only few numbers come of
it: the positions at which large destinations are cut. If it is more than 12 MB, neighbours of one
destination become one, down to 24 bytes for each destination; then shards are a bit less even.
Nothing else depends on it: wherever a row goes, it is written once.
"""

import bisect
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_WEIGHT = np.dtype([("destination", "<u8"), ("position", "<i8"), ("bytes", "<i8")])
Weights = npt.NDArray[np.void]
"""Weights of n slices: of dtype `_WEIGHT`, shape (n,)."""

Packed = bytes
"""Weights as they travel."""

# 12 MB: what a runner shuffles in one element.
_LIMIT = 1 << 19
# Of what a file should hold, so that there is room for what live files add to it.
_SHARD = 7 / 8


class Cut(NamedTuple):
    """Where a large destination is cut into shards.

    Attributes:
        first_shard: The number of its first shard; the others follow.
        positions: Where each of the others begins, ascending; see `partitions.position`.
    """

    first_shard: int
    positions: tuple[int, ...]

    def shard_of(self, position: int) -> int:
        """Returns the shard for what begins at a position."""
        return self.first_shard + bisect.bisect_right(self.positions, position)


def pack(destinations: Sequence[int], positions: bytes, sizes: Sequence[int]) -> Packed:
    """Returns the weights of some slices.

    Args:
        destinations: The hashes of their destinations; see `partitions.hash_of`.
        positions: Where they begin; int64 as bytes.
        sizes: Their bytes.
    """
    found = np.empty(len(destinations), _WEIGHT)
    found["destination"] = destinations
    found["position"] = np.frombuffer(positions, np.int64)
    found["bytes"] = sizes
    return found.tobytes()


def union(parts: Iterable[Packed]) -> Packed:
    """Returns the weights of several parts of a delivery: of as few slices as the limit allows."""
    packed = b"".join(parts)
    while len(packed) > _LIMIT * _WEIGHT.itemsize:
        found, firsts = _by_destination(packed)
        counts = np.diff([*firsts, len(found)])
        numbers = np.arange(len(found)) - np.repeat(firsts, counts)
        kept = np.flatnonzero(numbers % 2 == 0)  # each with the one after it, of its destination
        if len(kept) == len(found):
            break
        sizes = np.add.reduceat(found["bytes"], kept)
        found = found[kept]
        found["bytes"] = sizes
        packed = found.tobytes()
    return packed


def cuts(packed: Packed, target_bytes: int, first_shard: int) -> dict[int, Cut]:
    """Cuts each destination that has more bytes than one file should hold.

    Args:
        packed: The weights of a delivery.
        target_bytes: What a file should hold.
        first_shard: The shards are numbered from here.

    Returns:
        The cuts of large destinations, by the hashes of these.
    """
    if not packed:
        return {}
    found, firsts = _by_destination(packed)
    totals = np.add.reduceat(found["bytes"], firsts)
    ends = [*firsts[1:].tolist(), len(found)]
    large: dict[int, Cut] = {}
    for at in np.flatnonzero(totals > target_bytes).tolist():
        own = found[firsts[at] : ends[at]]
        shards = math.ceil(totals[at] / (_SHARD * target_bytes))
        middles = np.cumsum(own["bytes"]) - own["bytes"] / 2
        borders = np.searchsorted(middles, totals[at] * np.arange(1, shards) / shards)
        positions = np.unique(own["position"][np.minimum(borders, len(own) - 1)])
        large[int(own["destination"][0])] = Cut(first_shard, tuple(positions.tolist()))
        first_shard += len(positions) + 1
    return large


def _by_destination(packed: Packed) -> tuple[Weights, npt.NDArray[np.int64]]:
    """Sorts weights by destination and position; where each destination begins."""
    found = np.frombuffer(packed, _WEIGHT)
    found = found[np.lexsort((found["position"], found["destination"]))]
    return found, np.unique(found["destination"], return_index=True)[1]
