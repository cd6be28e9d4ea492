"""Scanning a live file for the rows that compete with a delivery."""

import itertools
import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.input import events
from pipeline.keys import delivery_keys, versions
from pipeline.keys.delivery_keys import DeliveryKeys, Filter
from pipeline.keys.versions import Bucketed
from pipeline.rows import live_rows
from pipeline.table.datafiles import DataFile

# Small enough that memory is used again and again, whatever the size of the file.
_BATCH_ROWS = 1 << 15


class Scanned(NamedTuple):
    """What scanning a live file gave.

    Attributes:
        versions: Of the rows that may compete, by bucket.
        rows: How many they are.
        blocks: Blocks of the delivery that they were compared with.
        seconds: What it took.
        passed_over: Rows of the file, if it was not looked into.
    """

    versions: Bucketed
    rows: int
    blocks: int
    seconds: float
    passed_over: int = 0


def pass_over(file: DataFile, delivery: DeliveryKeys) -> Scanned:
    """Finds nothing in a live file: by the user's promise none of its rows compete."""
    nothing = versions.by_bucket(versions.NONE, 1)
    return Scanned(nothing, 0, delivery.blocks, 0.0, file.rows)


def scan_file(
    root: str, number: int, file: DataFile, delivery: DeliveryKeys, id_seed: int, buckets: int
) -> Scanned:
    """Finds the rows of a live file that may compete with the delivery.

    Only event_ids are read of all rows, and timestamps where a row group has any that competes. A
    digest is computed, and the payload read for it, where a delivered version has the same
    timestamp; elsewhere it decides nothing and is 0.

    Args:
        root: The table.
        number: The number of the file as an origin; see `versions.locate`.
        file: The live file.
        delivery: What the delivery has.
        id_seed: For `events.hash_ids`.
        buckets: Shares of the event_id space.
    """
    started = time.perf_counter()
    delivered = delivery_keys.filter_of(delivery)
    with live_rows.open_rows(root, file) as parquet:
        ids, rows, hashes = _competing(parquet, delivered, id_seed)
        times = live_rows.take(parquet, rows, ["timestamp"])["timestamp"]
        if times.null_count:  # written by another tool: without a time nothing is earlier or later
            known = times.is_valid().to_numpy()
            ids, times = list(itertools.compress(ids, known)), times.drop_null()
            rows, hashes = rows[known], hashes[known]
        micros = times.cast(pa.int64()).to_numpy()
        tied = np.flatnonzero(delivery_keys.ties(delivered, hashes, micros))
        content = live_rows.take(parquet, rows[tied], ["nanos", "data", "extra"])
    digests = np.zeros(len(rows), np.int64)
    digests[tied] = _digests(content, file)
    id_hashes = events.hash_ids(ids, id_seed)
    found = versions.pack(id_hashes, micros, digests, versions.locate(number, rows))
    by_bucket = versions.by_bucket(found, buckets)
    return Scanned(by_bucket, len(rows), delivery.blocks, time.perf_counter() - started)


def _digests(content: pa.Table, file: DataFile) -> npt.NDArray[np.int64]:
    """The digests of rows; no payload, as another tool may write it, counts as an empty one."""
    if content["data"].null_count:
        at = content.column_names.index("data")
        content = content.set_column(at, "data", content["data"].fill_null(""))
    return events.digest(content, file.destination.domain, file.destination.event_type)


def _competing(
    parquet: pq.ParquetFile, delivered: Filter, id_seed: int
) -> tuple[list[str], npt.NDArray[np.int64], delivery_keys.Hashes]:
    """The ids of the rows that may compete; which rows these are, ascending, and their hashes."""
    ids: list[str] = []
    rows, hashes = [np.empty(0, np.int64)], [delivery_keys.NO_HASHES]
    first = 0
    for batch in live_rows.batches(parquet, ["event_id"], _BATCH_ROWS):
        (batch_ids,) = batch["event_id"].chunks
        batch_hashes = delivery_keys.hash_ids(batch_ids, id_seed)
        found = delivery_keys.competes(delivered, batch_hashes)
        if batch_ids.null_count:  # written by another tool: the row competes with nobody
            found = found[batch_ids.is_valid().to_numpy(zero_copy_only=False)[found]]
        ids += batch_ids.take(pa.array(found)).to_pylist()
        rows.append(found + first)
        hashes.append(batch_hashes[found])
        first += len(batch)
    return ids, np.concatenate(rows), np.concatenate(hashes)
