"""Scanning a live file for the rows that compete with a delivery."""

import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import events, seen, table, versions
from pipeline.seen import Seen
from pipeline.table import DataFile
from pipeline.versions import Bucketed

# Small enough that memory is used again and again, whatever the size of the file.
_BATCH_ROWS = 1 << 15


class Scanned(NamedTuple):
    """What scanning a live file gave.

    Attributes:
        versions: Of the rows that may compete, by bucket.
        rows: How many they are.
        seen: Blocks of the delivery that they were compared with.
        seconds: What it took.
        passed_over: Rows of the file, if it was not looked into.
    """

    versions: Bucketed
    rows: int
    seen: int
    seconds: float
    passed_over: int = 0


def pass_over(file: DataFile, delivery: Seen) -> Scanned:
    """Finds nothing in a live file: by the user's promise none of its rows compete."""
    nothing = versions.by_bucket(versions.NONE, 1)
    return Scanned(nothing, 0, delivery.blocks, 0.0, file.rows)


def scan_file(
    root: str, number: int, file: DataFile, delivery: Seen, id_seed: int, buckets: int
) -> Scanned:
    """Finds the rows of a live file that may compete with the delivery.

    Only event_ids are read of all rows. A digest is computed, and the payload read for it, where a
    delivered version has the same timestamp; elsewhere it decides nothing and is 0.

    Args:
        root: The table.
        number: The number of the file as a source; see `versions.place`.
        file: The live file.
        delivery: What the delivery has.
        id_seed: For `events.hash_ids`.
        buckets: Shares of the event_id space.
    """
    started = time.perf_counter()
    with table.open_live(root, file) as stream:
        parquet = pq.ParquetFile(stream)
        keys, rows, hashes = _competing(parquet, delivery, id_seed)
        micros = keys["timestamp"].cast(pa.int64()).to_numpy()
        digests = np.zeros(len(rows), np.int64)
        tied = np.flatnonzero(seen.ties(delivery, hashes, micros)) if len(rows) else rows
        digests[tied] = _digests(parquet, file, rows[tied])
        ids = events.hash_ids(keys["event_id"].to_pylist(), id_seed)
    found = versions.pack(ids, micros, digests, versions.place(number, rows))
    by_bucket = versions.by_bucket(found, buckets)
    return Scanned(by_bucket, len(rows), delivery.blocks, time.perf_counter() - started)


def _competing(
    parquet: pq.ParquetFile, delivery: Seen, id_seed: int
) -> tuple[pa.Table, npt.NDArray[np.int64], seen.Hashes]:
    """The keys of the rows that may compete; which rows these are, and their hashes."""
    columns = ["event_id", "timestamp"]
    keys = [parquet.schema_arrow.empty_table().select(columns)]
    rows, hashes = [np.empty(0, np.int64)], [seen.NOTHING.instants]
    first = 0
    for batch in parquet.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
        batch_hashes = seen.hash_ids(batch["event_id"], id_seed)
        found = np.flatnonzero(seen.competes(delivery, batch_hashes))
        keys.append(pa.Table.from_batches([batch]).take(pa.array(found)))
        rows.append(found + first)
        hashes.append(batch_hashes[found])
        first += len(batch)
    return pa.concat_tables(keys), np.concatenate(rows), np.concatenate(hashes)


def _digests(
    parquet: pq.ParquetFile, file: DataFile, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The digests of some rows of a file, ascending; reads only the row groups that have any."""
    found = [np.empty(0, np.int64)]
    first = 0
    for group in range(parquet.num_row_groups):
        count = parquet.metadata.row_group(group).num_rows
        start, end = np.searchsorted(rows, [first, first + count])
        if end > start:
            columns = ["nanos", "data", "extra"]
            content = parquet.read_row_group(group, columns=columns, use_threads=False)
            content = content.take(pa.array(rows[start:end] - first))
            found.append(
                events.digest(content, file.destination.domain, file.destination.event_type)
            )
        first += count
    return np.concatenate(found)
