"""Writing a shard: what goes into new files, and which live files these replace.

A shard holds several destinations, because elements for thousands of destinations in each block
would take longer than their rows. However large a destination is, what is in memory of it is about
twice what one file should hold, or less.
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipeline import storage
from pipeline.keys.partitions import Destination
from pipeline.rows import batches, encoding, parquet
from pipeline.rows.content import NO_ROWS, Rows
from pipeline.rows.encoding import WriteSettings
from pipeline.rows.live_rows import LiveFile
from pipeline.steps.route import Routed, is_full
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


class _Work(NamedTuple):
    """What is to be done for a destination.

    Attributes:
        staged: Its staged rows.
        live_files: How many live files it has.
        folded: The live files that are written anew together with the staged rows.
        alone: The live files that are written anew by themselves.
    """

    staged: list[Rows]
    live_files: int
    folded: list[Rows]
    alone: list[Rows]


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
    started, target_bytes = time.perf_counter(), settings.target_bytes
    work = [_work(rows, target_bytes) for rows in by_destination(routed)]
    files: list[DataFile] = []
    parts = [part for one in work for part in _parts([*one.folded, *one.staged], target_bytes)]
    small = (part for part in parts if part[1] <= parquet.LARGE_BYTES)
    with storage.NewFiles(storage.write_new) as new_files:
        for together in batches.up_to(_TOGETHER_BYTES, small):
            files += parquet.write(together, settings, new_files.write)
    for part in (part for part, size in parts if size > parquet.LARGE_BYTES):
        files += parquet.write_large(part, settings)
    for rows in (rows for one in work for rows in one.alone if rows.kept):
        files += parquet.rewrite(rows, settings)
    staged = [rows for one in work for rows in one.staged]
    replaced = [rows for one in work for rows in (*one.folded, *one.alone)]
    written = Written(
        files=tuple(files),
        replaced=tuple(rows.origin.file for rows in replaced if isinstance(rows.origin, LiveFile)),
        slices=len(staged),
        live_files=sum(one.live_files for one in work),
        staged=sum(rows.kept for rows in staged),
        superseded=sum(len(rows.superseded) for rows in (*staged, *replaced)),
        live=sum(rows.kept for rows in replaced),
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
        if isinstance(origin, LiveFile):
            found[origin.destination].append(Rows(origin, superseded))
            continue
        first_rows = list(itertools.accumulate(origin.rows, initial=0))
        borders = itertools.pairwise(np.searchsorted(superseded, first_rows).tolist())
        for slice_, (start, end) in zip(origin.each(), borders, strict=True):
            first_row = slice_.first_row - origin.first_row
            own = superseded[start:end] - first_row if start < end else NO_ROWS
            found[slice_.destination].append(Rows(slice_, own))
    return list(found.values())


def _work(rows: Sequence[Rows], target_bytes: int) -> _Work:
    """What is to be done for a destination that has these rows."""
    staged: list[Rows] = []
    small: list[Rows] = []
    full: list[Rows] = []
    for part in rows:
        if isinstance(part.origin, LiveFile):
            (full if is_full(part.origin, target_bytes) else small).append(part)
        else:
            staged.append(part)
    return _Work(
        staged,
        live_files=len(small) + len(full),
        folded=_folded(small, staged, target_bytes),
        alone=[part for part in full if len(part.superseded)],
    )


def _folded(live: Sequence[Rows], staged: Sequence[Rows], target_bytes: int) -> list[Rows]:
    """The live files, of those that are not full, whose rows are written anew with staged ones.

    Those with superseded rows, always. And if there is anything to write, smaller files with it,
    from the smallest on, as long as each is no larger than all that is written already. So of a
    destination with n rows about log2(n) files at most are not full, and a row is written anew
    about log2(n) times at most. (The size-tiered compaction of log-structured merge trees.) More
    than one file should hold does not come together by this, which bounds what a small delivery
    costs.
    """
    folded = [part for part in live if len(part.superseded)]
    rows, size = (
        sum(getattr(part, name) for part in (*staged, *folded)) for name in ("kept", "kept_bytes")
    )
    if not rows and not folded:
        return []
    for part in sorted(live, key=lambda part: part.origin.rows):
        if part.kept == part.origin.rows <= max(rows, encoding.ROW_GROUP_ROWS // 8):
            rows += part.kept
            size += part.kept_bytes
            if size > target_bytes:
                break
            folded.append(part)
    return folded


def _parts(rows: Sequence[Rows], target_bytes: int) -> Iterator[tuple[list[Rows], int]]:
    """Cuts the rows of a destination into what one file should hold; each part with its bytes.

    In the order of their positions, so that files cover times of their own where origins do.
    """
    kept = sorted((part for part in rows if part.kept), key=lambda part: part.origin.position)
    for some in batches.evenly([(part, part.kept_bytes) for part in kept], target_bytes):
        yield some, sum(part.origin.bytes for part in some)
