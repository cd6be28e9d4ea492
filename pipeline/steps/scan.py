"""Scanning a live file for the rows that compete with a delivery."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.input import events
from pipeline.keys import delivery_keys, partitions, versions
from pipeline.keys.delivery_keys import DeliveryKeys, Filter
from pipeline.keys.versions import Bucketed
from pipeline.rows import encoding, live_rows
from pipeline.rows.live_rows import LiveFile
from pipeline.table.datafiles import DataFile

if TYPE_CHECKING:  # planning opens the log; a worker does not
    from pipeline.steps.plan import ScanTask

# Small enough that memory is used again and again, whatever the size of the file.
_BATCH_ROWS = 1 << 15


class Scanned(NamedTuple):
    """What scanning a live file gave.

    Attributes:
        number: The file's, as an origin; see `versions.locate`.
        live: The file, with what its rows take in memory; 0 bytes if it was not looked into.
        versions: Of the rows that may compete, by bucket.
        rows: How many they are.
        blocks: Blocks of the delivery that they were compared with.
        seconds: What it took.
        passed_over: Rows of the file, if it was not looked into.
    """

    number: int
    live: LiveFile
    versions: Bucketed
    rows: int
    blocks: int
    seconds: float
    passed_over: int = 0


def scan_files(root: str, tasks: Sequence[ScanTask], delivery: DeliveryKeys) -> list[Scanned]:
    """Scans some live files; see `scan_file`."""
    return [scan_file(root, task, delivery) for task in tasks]


def is_near(task: ScanTask, delivery: DeliveryKeys, horizon: int | None) -> bool:
    """Tells whether rows of a live file may compete with the delivery.

    Args:
        task: The live file.
        delivery: What the delivery has.
        horizon: By the user's promise no rows compete whose days are further apart; None for none.
    """
    if horizon is None:
        return True
    return delivery_keys.near(delivery, partitions.day_number(*task.file.destination[2:]), horizon)


def pass_over(task: ScanTask, delivery: DeliveryKeys) -> Scanned:
    """Finds nothing in a live file that is not near; see `is_near`."""
    nothing, live = versions.by_bucket(versions.NONE, 1), _live_file(task, 0)
    return Scanned(task.number, live, nothing, 0, delivery.blocks, 0.0, task.file.rows)


def _live_file(task: ScanTask, content_bytes: int) -> LiveFile:
    shard = partitions.shard_of(task.file.destination, task.sizes.shards)
    return LiveFile(shard, task.file, content_bytes, task.provenance)


def scan_file(root: str, task: ScanTask, delivery: DeliveryKeys) -> Scanned:
    """Finds the rows of a live file that may compete with the delivery.

    Only event_ids are read of all rows, and timestamps where a row group has any that competes. A
    digest is computed, and the payload read for it, where a delivered version has the same
    timestamp; elsewhere it decides nothing and is 0.

    Args:
        root: The table.
        task: The live file.
        delivery: What the delivery has.
    """
    started = time.perf_counter()
    number, file, sizes = task.number, task.file, task.sizes
    delivered = delivery_keys.filter_of(delivery)
    with live_rows.open_rows(root, file) as parquet:
        live = _live_file(task, encoding.content_bytes(parquet))
        rows, ids, hashes = _competing(parquet, delivered, sizes.id_seed)
        if not len(rows):  # most small files end here, which saves half of the time
            nothing, seconds = versions.by_bucket(versions.NONE, 1), time.perf_counter() - started
            return Scanned(number, live, nothing, 0, delivery.blocks, seconds)
        times = live_rows.take(parquet, rows, ["timestamp"])["timestamp"]
        if times.null_count:  # written by another tool: without a time nothing is earlier or later
            known = times.is_valid().to_numpy()
            rows, ids, hashes, times = rows[known], ids[:, known], hashes[known], times.drop_null()
        micros = times.cast(pa.int64()).to_numpy()
        tied = np.flatnonzero(delivery_keys.ties(delivered, hashes, micros))
        digests = np.zeros(len(rows), np.int64)
        digests[tied] = _digests(parquet, rows[tied], file)
    found = versions.pack(ids, micros, digests, versions.locate(number, rows))
    by_bucket = versions.by_bucket(found, sizes.buckets)
    seconds = time.perf_counter() - started
    return Scanned(number, live, by_bucket, len(rows), delivery.blocks, seconds)


def _digests(
    parquet: pq.ParquetFile, rows: npt.NDArray[np.int64], file: DataFile
) -> npt.NDArray[np.int64]:
    """The digests of some rows, of which few are in memory at a time; shape (n,)."""
    found = [np.empty(0, np.int64)]
    for content in live_rows.taken(parquet, rows, ["nanos", "data", "extra"]):
        if content["data"].null_count:  # no payload, as another tool may write it, is an empty one
            at = content.column_names.index("data")
            content = content.set_column(at, "data", content["data"].fill_null(""))
        kind = file.destination.domain, file.destination.event_type
        found.append(events.digest(content, *kind))
    return np.concatenate(found)


def _competing(
    parquet: pq.ParquetFile, delivered: Filter, id_seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64], delivery_keys.Hashes]:
    """The rows that may compete, ascending; the hashes of their ids; and those of the filter."""
    rows, hashes = [np.empty(0, np.int64)], [delivery_keys.NO_HASHES]
    ids = [np.empty((2, 0), np.uint64)]
    first = 0
    for batch in live_rows.batches(parquet, ["event_id"], _BATCH_ROWS):
        (batch_ids,) = batch["event_id"].chunks
        batch_hashes = delivery_keys.hash_ids(batch_ids, id_seed)
        found = delivery_keys.competes(delivered, batch_hashes)
        start, first = first, first + len(batch)
        if not len(found):
            continue
        if batch_ids.null_count:  # written by another tool: the row competes with nobody
            found = found[batch_ids.is_valid().to_numpy(zero_copy_only=False)[found]]
        ids.append(events.hash_ids(batch_ids.take(pa.array(found)).to_pylist(), id_seed))
        rows.append(found + start)
        hashes.append(batch_hashes[found])
    return np.concatenate(rows), np.concatenate(ids, axis=1), np.concatenate(hashes)
