"""Routing: the rows of an origin go to their shards, with what is superseded of them.

An origin is a block, whose slices belong to several shards, or a live file, which belongs to one.
A shard is what one call writes: some small destinations with all of their rows, or a part of a
large one, which covers some of its times. A live file that is full is a shard by itself where rows
of it are superseded; else nobody needs it.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.keys import partitions
from pipeline.keys.weights import Cut
from pipeline.rows import staging
from pipeline.rows.live_rows import LiveFile

# A live file with this share of what a file should hold, or more, is full.
_FULL = 1 / 4


class Routed(NamedTuple):
    """The rows of one origin that belong to a shard.

    Attributes:
        origin: Where they are staged, destination by destination; or the live file they are in.
        superseded: Those (counted from 0) that are not to be kept, ascending; int64 as bytes,
            since thousands of small arrays are slow to pickle.
    """

    origin: staging.Slices | LiveFile
    superseded: bytes


def superseded_rows(packed: Iterable[bytes]) -> npt.NDArray[np.int64]:
    """Returns the superseded rows of an origin, ascending; each bucket has sent some, as bytes."""
    return np.sort(np.frombuffer(b"".join(packed), np.int64))


def is_full(live: LiveFile, target_bytes: int) -> bool:
    """Tells whether a live file is large enough to stay as it is, unless rows of it go.

    Then it has a quarter of what a file should hold, or more: `compact` leaves it, too.
    """
    return live.bytes >= _FULL * target_bytes


def live_file(
    number: int,
    live: LiveFile,
    superseded: npt.NDArray[np.int64],
    cuts: Mapping[int, Cut],
    target_bytes: int,
) -> Iterator[tuple[int, Routed]]:
    """Yields the shard that a live file belongs to, and the file; nothing if it stays as it is.

    Args:
        number: The number of the file as an origin.
        live: The live file.
        superseded: Rows of the file, ascending.
        cuts: Where large destinations are cut, by their hashes.
        target_bytes: What a file should hold.
    """
    routed = Routed(live, superseded.tobytes())
    if not is_full(live, target_bytes):
        cut = cuts.get(partitions.hash_of(live.destination))
        yield cut.shard_of(live.position) if cut else live.shard, routed
    elif len(superseded):
        yield -1 - number, routed


def block(
    slices: Sequence[staging.Slices], superseded: npt.NDArray[np.int64], cuts: Mapping[int, Cut]
) -> Iterator[tuple[int, Routed]]:
    """Yields each shard that a block has slices of, with their share of the superseded rows.

    Args:
        slices: All of the block.
        superseded: Rows of the block, ascending; in the result they count from the first row of
            the slices.
        cuts: Where large destinations are cut, by their hashes.
    """
    slices = [part for one in slices for part in _by_shard(one, cuts)]
    firsts = np.array([one.first_row for one in slices], np.int64)
    lasts = firsts + np.array([sum(one.rows) for one in slices], np.int64)
    borders = zip(*np.searchsorted(superseded, [firsts, lasts]).tolist(), strict=True)
    for one, (start, end) in zip(slices, borders, strict=True):
        yield one.shard, Routed(one, (superseded[start:end] - one.first_row).tobytes())


def _by_shard(slices: staging.Slices, cuts: Mapping[int, Cut]) -> Iterator[staging.Slices]:
    """Parts slices of large destinations from the others, and from each other."""
    if not cuts:
        yield slices
        return
    found = [cuts.get(partitions.hash_of(fields)) for fields in slices.destinations]
    positions = np.frombuffer(slices.positions, np.int64).tolist()
    shards = (
        cut.shard_of(position) if cut else slices.shard
        for cut, position in zip(found, positions, strict=True)
    )
    end = 0
    for shard, own in itertools.groupby(shards):
        start, end = end, end + len(list(own))
        yield slices.part(shard, start, end)
