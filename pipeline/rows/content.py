"""The rows of origins in memory: read, and put in the order in which files have them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.keys import ties
from pipeline.rows import live_rows, staging
from pipeline.rows.live_rows import LiveFile
from pipeline.table.datafiles import DataFile, file_schema

NO_ROWS = np.empty(0, np.int64)
# Later than any timestamp.
NEVER = np.iinfo(np.int64).max


class Rows(NamedTuple):
    """Rows that belong to a destination, some of which are superseded.

    Attributes:
        origin: Where they are staged; or the live file they are in.
        superseded: The rows of `origin` (counted from 0) that are not to be kept, ascending.
    """

    origin: staging.Slice | LiveFile
    superseded: npt.NDArray[np.int64]

    @property
    def kept(self) -> int:
        """How many of the rows are still the latest."""
        return self.origin.rows - len(self.superseded)

    @property
    def kept_bytes(self) -> int:
        """About how many bytes these have in memory."""
        # Another tool may have written a file without rows.
        return self.origin.bytes * self.kept // max(1, self.origin.rows)


def read(parts: Sequence[Rows], root: str) -> pa.Table:
    """Returns all rows of slices and of live files of the table at `root`, part after part.

    Raises:
        OSError: What is staged cannot be read.
        datafiles.ConflictError: Another run has superseded a live file.
    """
    schema = file_schema(parts[0].origin.provenance)
    slices = [part.origin for part in parts if isinstance(part.origin, staging.Slice)]
    live = (part.origin.file for part in parts if isinstance(part.origin, LiveFile))
    found = storage.each(lambda file: _read_live(file, root, schema), live, root)
    staged = iter(staging.read_slices(slices))
    batches: list[pa.RecordBatch] = []
    for part in parts:
        if isinstance(part.origin, LiveFile):
            batches += next(found).to_batches()
        else:
            batches.append(next(staged))
    return pa.Table.from_batches(batches, schema).combine_chunks()


def _read_live(file: DataFile, root: str, schema: pa.Schema) -> pa.Table:
    with live_rows.open_rows(root, file) as parquet:
        return live_rows.read(parquet, schema.names)


def kept(parts: Sequence[Rows]) -> npt.NDArray[np.bool_]:
    """Returns which of the rows of all parts together are still the latest; shape (n,)."""
    first_rows = np.cumsum([0] + [part.origin.rows for part in parts])
    found = np.ones(first_rows[-1], bool)
    for part, first in zip(parts, first_rows, strict=False):
        found[first + part.superseded] = False
    return found


def micros(table: pa.Table) -> npt.NDArray[np.int64]:
    """Returns the timestamps; a row without one, which another tool has written, comes last."""
    found = table["timestamp"].cast(pa.int64())
    if found.null_count:
        found = found.fill_null(NEVER - 1)
    return found.to_numpy()


def is_complete(table: pa.Table) -> bool:
    """Tells whether all rows have all that ours have, so that the log can say so."""
    return not any(table[name].null_count for name in ("event_id", "timestamp", "data"))


def in_order(
    table: pa.Table, numbers: npt.NDArray[np.int32], micros: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Returns the rows in the order of (destination's number, timestamp, event_id); shape (n,)."""
    one = not len(numbers) or not numbers[-1]
    order = np.argsort(micros) if one else np.lexsort((micros, numbers))
    # Only where timestamps are equal do event_ids decide.
    tied = ties.tied(numbers[order], micros[order])
    if tied.any():
        rows = order[tied]
        order[tied] = _by_id(table["event_id"], rows, _groups(numbers[rows], micros[rows]))
    return order


def _by_id(
    ids: pa.ChunkedArray, rows: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Sorts rows, which come group by group, by event_id within each group; shape (n,)."""
    # Texts take ten times as long to compare as numbers, so their first bytes come first.
    bits = 63 - int(groups[-1]).bit_length()
    keys = groups << bits | _heads(ids)[rows] >> 63 - bits
    order = np.argsort(keys)
    keys, rows = keys[order], rows[order]
    tied = ties.tied(keys)
    if tied.any():
        texts = pa.table([pa.array(keys[tied]), ids.take(pa.array(rows[tied]))], ["key", "id"])
        by_text = [("key", "ascending"), ("id", "ascending")]
        rows[tied] = rows[tied][pc.sort_indices(texts, by_text).to_numpy()]
    return rows


def _groups(*keys: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Numbers the distinct keys of n sorted rows from 0; shape (n,)."""
    return np.concatenate([[0], np.cumsum(np.any([key[1:] != key[:-1] for key in keys], axis=0))])


def _heads(ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The first 63 bits of n event_ids as numbers; all 0 if any is shorter; shape (n,)."""
    heads = pc.binary_slice(ids.cast(pa.binary()), 0, 8).combine_chunks()
    data = heads.buffers()[2]
    if heads.null_count or data is None or data.size != 8 * len(ids):
        return np.zeros(len(ids), np.int64)
    return (np.frombuffer(data, ">u8") >> np.uint64(1)).astype(np.int64)
