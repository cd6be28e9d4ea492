"""Routing: the superseded rows of an origin go to the shards that it has rows for.

An origin is a block, whose slices belong to several shards, or a live file, which belongs to one.
A shard is what one call writes: some destinations with all of their rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.rows import staging
from pipeline.rows.live_rows import LiveFile


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


def live_file(live: LiveFile, superseded: npt.NDArray[np.int64]) -> tuple[int, Routed]:
    """Returns the shard that a live file belongs to, and the file with its superseded rows.

    Args:
        live: The live file.
        superseded: Rows of the file, ascending.
    """
    return live.shard, Routed(live, superseded.tobytes())


def block(
    slices: Sequence[staging.Slices], superseded: npt.NDArray[np.int64]
) -> Iterator[tuple[int, Routed]]:
    """Yields each shard that a block has slices of, with their share of the superseded rows.

    Args:
        slices: All of the block.
        superseded: Rows of the block, ascending; in the result they count from the first row of
            the slices.
    """
    firsts = np.array([one.first_row for one in slices], np.int64)
    lasts = firsts + np.array([sum(one.rows) for one in slices], np.int64)
    borders = zip(*np.searchsorted(superseded, [firsts, lasts]).tolist(), strict=True)
    for one, (start, end) in zip(slices, borders, strict=True):
        yield one.shard, Routed(one, (superseded[start:end] - one.first_row).tobytes())
