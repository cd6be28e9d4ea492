"""Many rows of a destination, put in order without all of them in memory.

They come in pieces, by the first of their times. As soon as no row that is still to come can be
earlier, rows go on to their file, and pieces of which nothing is left make room. How many pieces
are in memory at a time depends on how far their times overlap; at worst it is all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.keys import partitions
from pipeline.rows import batches, content
from pipeline.rows.content import Rows

# What is read at a time.
_PIECE_BYTES = 16 << 20
# A row group is written in a few times its memory.
GROUP_BYTES = 64 << 20


class Piece(NamedTuple):
    """Some rows in memory.

    Attributes:
        table: The rows, in any order.
        left: Which of them are still to be written; shape (n,).
        next: No row of a later piece is before this instant, in microseconds since 1970.
    """

    table: pa.Table
    left: npt.NDArray[np.bool_]
    next: int


def pieces(parts: Sequence[Rows], root: str) -> Iterator[Piece]:
    """Reads parts of a destination, some at a time.

    Args:
        parts: Some of its rows, in the order of their positions.
        root: The table.

    Raises:
        OSError: What is staged cannot be read.
        datafiles.ConflictError: Another run has superseded a live file.
    """
    groups = list(batches.evenly([(part, part.origin.bytes) for part in parts], _PIECE_BYTES))
    nexts = [_first_micros(group[0]) for group in groups[1:]]
    for group, following in zip(groups, [*nexts, content.NEVER], strict=True):
        table, left = content.read(group, root), content.kept(group)
        if 2 * np.count_nonzero(left) < len(left):  # most of the rows would only take memory
            table, left = table.filter(pa.array(left)), left[left]
        yield Piece(table, left, following)


def _first_micros(part: Rows) -> int:
    """The instant before which no row of a part lies."""
    return partitions.instant(part.origin.destination, part.origin.position)


class RowGroup(NamedTuple):
    """Rows that become a row group.

    Attributes:
        file: The number of their file.
        table: What they are taken from.
        rows: Which rows of it they are, in order; shape (n,).
    """

    file: int
    table: pa.Table
    rows: npt.NDArray[np.int64]


def row_groups(some: Iterable[Piece], file_rows: int, group_rows: int) -> Iterator[RowGroup]:
    """Yields the rows that are left of pieces in the order of (timestamp, event_id).

    Args:
        some: The pieces.
        file_rows: How many rows a file gets.
        group_rows: How many rows a row group gets at most.
    """
    done = 0
    for table, rows in _stretches(some, group_rows):
        while len(rows):
            number, row = divmod(done, file_rows)
            own, rows = np.split(rows, [file_rows - row])
            for group in _divided(table, own, group_rows):
                yield RowGroup(number, table, group)
            done += len(own)
        del table  # not held while more is read


def _stretches(
    some: Iterable[Piece], group_rows: int
) -> Iterator[tuple[pa.Table, npt.NDArray[np.int64]]]:
    """Yields rows in order; no row that follows is before them. Each with a table it is of."""
    held: list[Piece] = []
    for piece in some:
        held.append(piece)
        table = pa.concat_tables([one.table for one in held])
        micros = content.micros(table)
        left = np.concatenate([one.left for one in held])
        ready = np.count_nonzero(left & (micros < piece.next))
        if ready < group_rows and piece.next < content.NEVER:
            continue
        order = content.in_order(table, np.zeros(len(micros), np.int32), micros)
        rows = order[left[order]]
        if piece.next < content.NEVER:
            ready -= ready % group_rows
        yield table, rows[:ready]
        del table
        left[rows[:ready]] = False
        ends = np.cumsum([len(one.left) for one in held])
        held = [
            one._replace(left=own)
            for one, own in zip(held, np.split(left, ends[:-1]), strict=True)
            if own.any()
        ]


def _divided(
    table: pa.Table, rows: npt.NDArray[np.int64], limit: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Divides rows into row groups of at most `limit` rows and about `GROUP_BYTES` of texts."""
    texts = [column for column in table.columns if pa.types.is_string(column.type)]
    lengths = [pc.binary_length(column).fill_null(0).to_numpy()[rows] for column in texts]
    ends = np.sum(lengths, axis=0, dtype=np.int64).cumsum()
    first = 0
    while first < len(rows):
        before = ends[first - 1] if first else 0
        fit = np.searchsorted(ends, before + GROUP_BYTES, side="right")
        end = max(first + 1, min(int(fit), first + limit))
        yield rows[first:end]
        first = end


def take(table: pa.Table, rows: npt.NDArray[np.int64]) -> pa.Table:
    """Returns rows of a table that is in several pieces, in their order.

    Arrow would first make one piece of it. So each piece gives its rows in the order in which it
    has them, and what they give is put in order.
    """
    ascending = np.sort(rows)
    taken, first = [], 0
    for piece in table.to_batches():
        start, end = np.searchsorted(ascending, [first, first + len(piece)])
        taken.append(piece.take(pa.array(ascending[start:end] - first)))
        first += len(piece)
    found = pa.Table.from_batches(taken, table.schema).combine_chunks()
    del taken  # which is as large again
    return found.take(pa.array(np.searchsorted(ascending, rows)))
