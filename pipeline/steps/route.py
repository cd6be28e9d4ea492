"""Routing: the superseded rows of a source go to the groups of destinations that it has rows of.

A source is a block, whose slices belong to several groups, or a live file, which belongs to one.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.keys import partitions
from pipeline.rows import staging
from pipeline.table.datafiles import DataFile


class Routed(NamedTuple):
    """The rows of one source that belong to a group of destinations.

    Attributes:
        source: Where they are staged, destination by destination; or the live file they are in.
        superseded: Those (counted from 0) that are not to be kept, ascending; int64 as bytes,
            since thousands of small arrays are slow to pickle.
    """

    source: staging.Slices | DataFile
    superseded: bytes


def superseded_rows(packed: Iterable[bytes]) -> npt.NDArray[np.int64]:
    """Returns the superseded rows of a source, ascending; each bucket has sent some, as bytes."""
    return np.sort(np.frombuffer(b"".join(packed), np.int64))


def live_file(file: DataFile, groups: int, superseded: npt.NDArray[np.int64]) -> tuple[int, Routed]:
    """Returns the group that a live file belongs to, and the file with its superseded rows.

    Args:
        file: The live file.
        groups: In which destinations are written; see `partitions.group_of`.
        superseded: Rows of the file, ascending.
    """
    group = partitions.group_of(file.destination, groups)
    return group, Routed(file, superseded.tobytes())


def block(
    slices: Sequence[staging.Slices], superseded: npt.NDArray[np.int64]
) -> Iterator[tuple[int, Routed]]:
    """Yields each group that a block has slices of, with their share of the superseded rows.

    Args:
        slices: All of the block.
        superseded: Rows of the block, ascending; in the result they count from the first row of
            the slices.
    """
    firsts = np.array([one.first_row for one in slices], np.int64)
    lasts = firsts + np.array([sum(one.rows) for one in slices], np.int64)
    borders = zip(*np.searchsorted(superseded, [firsts, lasts]).tolist(), strict=True)
    for one, (start, end) in zip(slices, borders, strict=True):
        yield one.group, Routed(one, (superseded[start:end] - one.first_row).tobytes())
