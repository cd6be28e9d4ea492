"""What each input file had: its events, its rejects, the times of its first and last event.

A block counts its own files; what the blocks have counted is added up for the ledger.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from pipeline.input.rejects import Reject

# What a block has counted, on its way to the commit.
PackedCounts = bytes

# Events are those that were read, whatever became of them; times are in microseconds since 1970,
# null where there is no event.
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("events", pa.int64()),
        ("rejects", pa.int64()),
        ("first_event", pa.int64()),
        ("last_event", pa.int64()),
    ]
)
_SUMS = [("events", "sum"), ("rejects", "sum"), ("first_event", "min"), ("last_event", "max")]


class Counts:
    """Counts of the files of a block, as they are read."""

    def __init__(self) -> None:
        self._rejects: dict[str, int] = {}
        self._tables: list[pa.Table] = []

    def add(self, events: pa.Table, rejects: Sequence[Reject]) -> None:
        """Adds events of some files (a table of `events.EVENT_SCHEMA`) and the rejects beside."""
        for reject in rejects:
            self._rejects[reject.source] = self._rejects.get(reject.source, 0) + 1
        if not len(events):
            return
        files = events["source_file"].combine_chunks()
        codes, micros = files.indices.to_numpy(), events["timestamp"].cast(pa.int64()).to_numpy()
        # Events of a file lie side by side.
        starts = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])
        counts = np.diff(np.append(starts, len(codes)))
        self._tables.append(
            pa.table(
                [
                    files.dictionary.take(pa.array(codes[starts])),
                    pa.array(counts),
                    pa.array(np.zeros(len(starts), np.int64)),
                    pa.array(np.minimum.reduceat(micros, starts)),
                    pa.array(np.maximum.reduceat(micros, starts)),
                ],
                schema=SCHEMA,
            )
        )

    def packed(self) -> PackedCounts:
        """Returns what was counted, for `together`; nothing if there was nothing."""
        rejects = list(self._rejects.values())
        nothing = pa.nulls(len(rejects), pa.int64())
        refused = [list(self._rejects), [0] * len(rejects), rejects, nothing, nothing]
        found = _added(pa.concat_tables([pa.table(refused, schema=SCHEMA), *self._tables]))
        if not len(found):
            return b""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA) as writer:
            writer.write_table(found)
        return sink.getvalue().to_pybytes()


def together(packed: Iterable[PackedCounts]) -> pa.Table:
    """Returns what some blocks have counted, added up; a row for each file, sorted by path."""
    tables = [pa.ipc.open_stream(one).read_all() for one in packed if one]
    return _added(pa.concat_tables([SCHEMA.empty_table(), *tables])).sort_by("path")


def _added(counts: pa.Table) -> pa.Table:
    found = counts.group_by("path").aggregate(_SUMS)
    names = ["path", *("_".join(one) for one in _SUMS)]
    return found.select(names).rename_columns(SCHEMA.names).cast(SCHEMA)
