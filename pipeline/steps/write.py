"""Writing a shard: what goes into new files, and which live files these replace.

A shard holds several destinations, because elements for thousands of destinations in each block
would take longer than their rows.
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.keys.partitions import Destination
from pipeline.rows import batches, parquet, staging
from pipeline.rows.parquet import Rows, WriteSettings
from pipeline.steps.route import Routed
from pipeline.table.datafiles import DataFile

# Destinations are written in batches of about this many bytes; one larger destination may complete
# a batch.
_TOGETHER_BYTES = 4 << 20


class Written(NamedTuple):
    """What became of a shard.

    Attributes:
        files: New data files, not yet committed.
        replaced: The live files whose remaining rows are in them.
        slices: Staged slices taken in.
        live_files: Live files of the destinations, replaced or not.
        staged: Staged rows written.
        superseded: Rows left out as superseded, staged and live.
        live: Live rows taken over.
    """

    files: tuple[DataFile, ...]
    replaced: tuple[DataFile, ...]
    slices: int
    live_files: int
    staged: int
    superseded: int
    live: int


def write_shard(routed: Iterable[Routed], settings: WriteSettings) -> tuple[Written, float]:
    """Writes what is kept of some destinations' rows to new data files, where there is any news.

    Args:
        routed: All staged rows and all live files of these destinations.
        settings: Where and how to write.

    Returns:
        The new files and what went into them, and the seconds it took.

    Raises:
        OSError: What is staged cannot be read, or nothing can be written.
        datafiles.ConflictError: Another run has superseded one of the live files.
    """
    started = time.perf_counter()
    slices: list[Rows] = []
    taken: list[Rows] = []
    live_files = 0
    wanted: list[tuple[list[Rows], int]] = []
    for rows in by_destination(routed):
        staged = [part for part in rows if isinstance(part.origin, staging.Slice)]
        live = [part for part in rows if isinstance(part.origin, DataFile)]
        rewritten = _rewritten(live, sum(part.kept for part in staged))
        if parts := [part for part in (*rewritten, *staged) if part.kept]:
            wanted.append((parts, sum(part.origin.bytes for part in parts)))
        slices += staged
        taken += rewritten
        live_files += len(live)
    together = batches.up_to(_TOGETHER_BYTES, wanted)
    written = Written(
        files=tuple(file for some in together for file in parquet.write(some, settings)),
        replaced=tuple(part.origin for part in taken if isinstance(part.origin, DataFile)),
        slices=len(slices),
        live_files=live_files,
        staged=sum(part.kept for part in slices),
        superseded=sum(len(part.superseded) for part in (*taken, *slices)),
        live=sum(part.kept for part in taken),
    )
    return written, time.perf_counter() - started


def by_destination(routed: Iterable[Routed]) -> list[list[Rows]]:
    """Returns the rows of each destination, from all origins.

    Args:
        routed: All staged rows and all live files of some destinations, in any order.

    Returns:
        For each destination its slices and live files, each with its own superseded rows.
    """
    found: defaultdict[Destination, list[Rows]] = defaultdict(list)
    for origin, packed in routed:
        superseded = np.frombuffer(packed, np.int64)
        if isinstance(origin, DataFile):
            found[origin.destination].append(Rows(origin, superseded))
            continue
        first_rows = list(itertools.accumulate(origin.rows, initial=0))
        borders = itertools.pairwise(np.searchsorted(superseded, first_rows).tolist())
        for slice_, (start, end) in zip(origin.each(), borders, strict=True):
            first_row = slice_.first_row - origin.first_row
            own = superseded[start:end] - first_row if start < end else parquet.NO_ROWS
            found[slice_.destination].append(Rows(slice_, own))
    return list(found.values())


def _rewritten(live: Sequence[Rows], news: int) -> list[Rows]:
    """The live files whose rows are written anew beside `news` rows.

    Those with superseded rows, always. And if there is anything to write, smaller files with it,
    from the smallest on, as long as each is no larger than all that is written already: so a
    partition has no more than about log2 of its rows as files, and a row is written anew no more
    often than that. (The size-tiered compaction of log-structured merge trees.)
    """
    rewritten = [part for part in live if len(part.superseded)]
    if not news and not rewritten:
        return []
    rows = news + sum(part.kept for part in rewritten)
    for part in sorted(live, key=lambda part: part.origin.rows):
        if part.kept == part.origin.rows <= max(rows, parquet.ROW_GROUP_ROWS // 8):
            rewritten.append(part)
            rows += part.kept
    return rewritten
