"""Readers of a published table, by name: each gives all of it as one table in memory."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, QueryBuilder

Reader = Callable[[Path], pa.Table]


def by_pandas(root: Path) -> pa.Table:
    """As most people do."""
    return pa.Table.from_pandas(pd.read_parquet(root))


def by_dataset(root: Path) -> pa.Table:
    """PyArrow, told that folders are Hive's."""
    return ds.dataset(root, format="parquet", partitioning="hive").to_table()


def by_duckdb(root: Path) -> pa.Table:
    """The query that run.sh shows."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        files = f"'{root}/domain=*/**/*.parquet'"
        query = f"SELECT * FROM read_parquet({files}, hive_partitioning = true)"
        return connection.sql(query).to_arrow_table()


def by_polars(root: Path) -> pa.Table:
    """A glob, with Hive's folders."""
    return pl.read_parquet(f"{root}/domain=*/**/*.parquet", hive_partitioning=True).to_arrow()


# Readers of plain files; they guess the types of partition values.
OF_FILES: list[Reader] = [by_pandas, by_dataset, by_duckdb, by_polars]


def by_delta(root: Path) -> pa.Table:
    """delta-rs, by PyArrow's datasets."""
    return DeltaTable(root).to_pyarrow_table()


def by_delta_pandas(root: Path) -> pa.Table:
    """The same for pandas."""
    return pa.Table.from_pandas(DeltaTable(root).to_pandas())


def by_datafusion(root: Path) -> pa.Table:
    """The engine within delta-rs."""
    query = QueryBuilder().register("t", DeltaTable(root)).execute("SELECT * FROM t")
    return pa.table(query.read_all())


def by_delta_duckdb(root: Path) -> pa.Table:
    """DuckDB on the files that the log names."""
    with duckdb.connect() as connection:
        connection.register("events", DeltaTable(root).to_pyarrow_dataset())
        return connection.sql("FROM events").to_arrow_table()


def by_delta_polars(root: Path) -> pa.Table:
    """Polars' own reader of Delta, which takes partition values from the paths in the log."""
    return pl.scan_delta(str(root)).collect().to_arrow()


def by_delta_polars_filtered(root: Path) -> pa.Table:
    """The same, skipping files by their partition."""
    events = pl.scan_delta(str(root))
    return events.filter(pl.col("domain").is_not_null() & (pl.col("year") > 0)).collect().to_arrow()


OF_THE_LOG: list[Reader] = [
    by_delta,
    by_delta_pandas,
    by_datafusion,
    by_delta_duckdb,
    by_delta_polars,
    by_delta_polars_filtered,
]
