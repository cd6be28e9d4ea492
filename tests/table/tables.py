"""Small tables for tests, and what each of six readers finds in them."""

import os
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable

from pipeline import storage
from pipeline.keys.partitions import Destination
from pipeline.table import commits, datafiles, delta, settling
from pipeline.table.address import Table

DAY_SECONDS = 86_400
MONDAY = Destination("account", "created", 2021, 1, 8)
TUESDAY = Destination("account", "created", 2021, 1, 9)
OTHER = Destination("shop", "sale", 2021, 1, 8)

# (event_id, version, domain) of each row, sorted: who is there, how often, and where.
Rows = list[tuple[str, int, str]]


def write_file(
    root: str,
    run_id: str,
    name: str,
    rows: dict[str, int],
    destination: Destination = MONDAY,
    micros: int = 1_610_064_000_000_000,
) -> datafiles.DataFile:
    """Writes an unpublished data file with these event ids and versions, a microsecond apart."""
    count = len(rows)
    times = [micros + i for i in range(count)]
    columns = {
        "event_id": pa.array(list(rows)),
        "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
        "data": pa.array([str(version) for version in rows.values()]),
    }
    content = pa.table(
        [columns.get(field.name, pa.nulls(count, field.type)) for field in datafiles.FILE_SCHEMA],
        schema=datafiles.FILE_SCHEMA,
    )
    path = datafiles.new_path(run_id, name)
    with storage.create(storage.join(root, path)) as file:
        pq.write_table(content, file)
    size = os.path.getsize(storage.join(root, path))
    return datafiles.DataFile(path, destination, count, size, times[0], times[-1])


def publish(root: str, run_id: str, rows: dict[str, int], destination: Destination = MONDAY) -> int:
    """Publishes a whole run that adds one file; returns its version."""
    snapshot = settling.settle(Table(root))
    add = [write_file(root, run_id, "0", rows, destination)]
    version = commits.commit(Table(root), snapshot.version, run_id, add, [])
    settling.settle(Table(root))
    return version


def delta_rows(root: str) -> Rows:
    """Returns what deltalake hands to Arrow."""
    return rows_of(DeltaTable(root).to_pyarrow_table())


def rows_of(found: pa.Table) -> Rows:
    """Returns the rows of a table in memory."""
    ids, versions, domains = (found[name].to_pylist() for name in ("event_id", "data", "domain"))
    # Some readers make a number of a folder's name that looks like one.
    return sorted(zip(ids, map(int, versions), map(str, domains), strict=True))


def parquet_files(root: str) -> list[str]:
    """Returns what a plain reader finds, relative to the table."""
    return sorted(str(path.relative_to(root)) for path in Path(root).glob("domain=*/**/*.parquet"))


def duckdb_rows(root: str) -> Rows:
    """Returns what DuckDB finds in the Parquet files."""
    if not parquet_files(root):
        return []
    return sorted(
        duckdb.sql(
            f"SELECT event_id, data::INT, domain FROM read_parquet('{root}/domain=*/**/*.parquet', "
            "hive_partitioning = true, hive_types_autocast = false)"
        ).fetchall()
    )


def pandas_rows(root: str) -> Rows:
    """Returns what pandas finds in the folder."""
    frame = pd.read_parquet(root)
    return sorted(
        zip(frame.event_id, frame.data.astype(int), frame.domain.astype(str), strict=True)
    )


def dataset_rows(root: str) -> Rows:
    """Returns what a PyArrow dataset finds in the folder."""
    return rows_of(ds.dataset(root, partitioning="hive").to_table())


def polars_rows(root: str) -> Rows:
    """Returns what Polars finds in the Parquet files."""
    frame = pl.read_parquet(f"{root}/domain=*/**/*.parquet", hive_partitioning=True)
    return rows_of(frame.to_arrow())


def delta_scan_rows(root: str) -> Rows:
    """Returns what deltalake's own query engine reads."""
    return rows_of(pa.table(DeltaTable(root).scan().read_all()))


ALL_READERS = [
    delta_rows,
    delta_scan_rows,
    duckdb_rows,
    pandas_rows,
    dataset_rows,
    polars_rows,
]


def assert_settled(root: str, expected: Rows) -> None:
    """Checks that every reader sees exactly these rows, and that only live files are there."""
    live = sorted(file.path for file in delta.load(Table(root)).files)
    assert parquet_files(root) == live
    hidden = storage.list_files(storage.join(root, datafiles.NEW_FOLDER))
    assert [file.path for file in hidden] == []
    assert {reader.__name__: reader(root) for reader in ALL_READERS} == {
        reader.__name__: expected for reader in ALL_READERS
    }
