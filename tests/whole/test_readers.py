"""A published table through the eyes of its readers, hostile partition values included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable

from tests.end_to_end import (
    Row,
    event,
    expect,
    generate,
    published,
    rows_of,
    run_here,
    write_events,
)

HOSTILE = [
    "a/b", "..", ".", "a=b", " ", "\t", "A", "a", "null", "NULL", "None", "nan", "1", "01", "1.0",
    "true", "2021-01-08", "__HIVE_DEFAULT_PARTITION__", "_hidden", ".hidden", "a%2Fb", "%", "é",
    "e\u0301", "日本", "🦆", "\x01\x7f", "a\nb", "a\\b", 'a"b', "a'b", "a*?[b]", "CON", "x.",
    "y" * 240,
]  # fmt: skip


def by_pandas(output: Path) -> pa.Table:
    """As most people do."""
    return pa.Table.from_pandas(pd.read_parquet(output))


def by_dataset(output: Path) -> pa.Table:
    """PyArrow, told that folders are Hive's."""
    return ds.dataset(output, format="parquet", partitioning="hive").to_table()


def by_duckdb(output: Path) -> pa.Table:
    """The query that run.sh shows."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        files = f"'{output}/domain=*/**/*.parquet'"
        query = f"SELECT * FROM read_parquet({files}, hive_partitioning = true)"
        return connection.sql(query).to_arrow_table()


def by_polars(output: Path) -> pa.Table:
    """A glob, with Hive's folders."""
    return pl.read_parquet(f"{output}/domain=*/**/*.parquet", hive_partitioning=True).to_arrow()


def by_delta(output: Path) -> pa.Table:
    """The Delta log."""
    return DeltaTable(str(output)).to_pyarrow_table()


READERS = [by_pandas, by_dataset, by_duckdb, by_polars, by_delta]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """A table that grew over eleven runs, 22 commits, and the rows it must have."""
    folder = tmp_path_factory.mktemp("grown")
    files = generate(
        folder / "in", 660, files=11, seed=3, types=2, days=2, duplicates=0.4, extra=0.1
    )
    for file in files:
        run_here(file, folder / "out")
    return folder / "out", expect(files).rows


def test_the_log_of_that_table_has_a_checkpoint(table: tuple[Path, list[Row]]) -> None:
    """Checkpoints are Parquet files, which no reader of the data may take for data."""
    output, _ = table
    assert list((output / "_delta_log").glob("*.checkpoint.parquet"))


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_every_reader_sees_the_same_rows(
    table: tuple[Path, list[Row]], reader: Callable[[Path], pa.Table]
) -> None:
    """Invariant 8: plain Parquet for those who have never heard of Delta. Each row once, whole."""
    output, expected = table

    found = reader(output)

    assert rows_of(found) == expected
    days = found["timestamp"].cast(pa.timestamp("us")).to_pylist()
    dates = zip(*(found[name].to_pylist() for name in ("year", "month", "day")), strict=True)
    assert [tuple(map(int, date)) for date in dates] == [(d.year, d.month, d.day) for d in days]


def test_only_partition_folders_are_visible(table: tuple[Path, list[Row]]) -> None:
    """Whatever else the table needs is hidden from readers, which skip names with _ or a dot."""
    output, _ = table
    names = {path.name for path in output.iterdir() if not path.name.startswith("_")}
    assert all(name.startswith("domain=") for name in names)
    assert {path.suffix for path in output.glob("domain=*/**/*") if path.is_file()} == {".parquet"}


def test_hostile_partition_values_come_back_exactly(tmp_path: Path) -> None:
    """No value leaves the table's folder, meets another one, or changes: for Delta and DuckDB.

    Seen to fail: `partitions.encode` that keeps ``/``, or ``=``.
    """
    events = [
        event(f"{n}-{m}", "2021-01-08T10:00:00Z", domain=domain, event_type=event_type)
        for n, domain in enumerate(HOSTILE)
        for m, event_type in enumerate([HOSTILE[n], HOSTILE[-n]])
    ]
    delivery = write_events(tmp_path / "in" / "hostile.jsonl", *events)
    expected = {(one["event_id"], one["domain"], one["event_type"]) for one in events}

    run_here(delivery, tmp_path / "out")

    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    assert len(published(tmp_path / "out")) == len(expected)
    for reader in (by_delta, by_duckdb):
        found = reader(tmp_path / "out").select(["event_id", "domain", "event_type"]).to_pylist()
        assert {tuple(row.values()) for row in found} == expected
