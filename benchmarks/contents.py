"""What is in a table, boiled down to what can be compared between programs."""

import pathlib
from typing import NamedTuple

import duckdb
from deltalake import DeltaTable

from benchmarks.data import Reference


class Contents(NamedTuple):
    """A table's contents. Each digest is a sum of hashes over the rows, so their order is free.

    Attributes:
        rows: How many there are.
        files: Data files.
        bytes: Their size.
        keys: Digest of event_id and instant.
        events: Digest of event_id, instant, destination and payload; the payload as DuckDB writes
            it after parsing it, and numbers with 8 digits after the point, since the programs
            differ in the last digit of long ones.
        verbatim: Share of a sample of the rows whose payload is byte for byte as delivered.
    """

    rows: int
    files: int
    bytes: int
    keys: int
    events: int
    verbatim: float


def data_files(table: pathlib.Path) -> list[pathlib.Path]:
    """The data files of a table, whoever wrote it."""
    return sorted(table.glob("domain=*/**/*.parquet"))


def size(table: pathlib.Path) -> int:
    """The bytes of all the data files."""
    return sum(path.stat().st_size for path in data_files(table))


def rows(table: pathlib.Path) -> int:
    """The rows of the table, from the files' footers."""
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT sum(num_rows) FROM parquet_file_metadata('{_pattern(table)}')"
        ).fetchone()
    return int(found[0]) if found else 0


def delta_keys(table: pathlib.Path) -> tuple[int, int]:
    """How many rows a Delta table has, and the digest of event_id and instant; see `Contents`."""
    files = DeltaTable(str(table)).file_uris()
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT count(*), sum(hash(event_id, epoch_us(timestamp))) FROM read_parquet(?)",
            [files],
        ).fetchone()
    assert found is not None  # an aggregate has one row
    return int(found[0]), int(found[1] or 0)


def keys(table: pathlib.Path) -> tuple[int, int]:
    """The same of a folder of Parquet files partitioned like a hive."""
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT count(*), sum(hash(event_id, epoch_us(timestamp))) FROM read_parquet(?)",
            [_pattern(table)],
        ).fetchone()
    assert found is not None  # an aggregate has one row
    return int(found[0]), int(found[1] or 0)


def contents(table: pathlib.Path, reference: Reference) -> Contents:
    """Reads the whole table: a folder of Parquet files partitioned like a hive."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        stored = f"read_parquet('{_pattern(table)}', hive_partitioning = true)"
        digests = connection.execute(
            f"""
            SELECT count(*), sum(hash(event_id, epoch_us(timestamp))),
              sum(hash(
                event_id, epoch_us(timestamp), domain, event_type,
                year::INTEGER, month::INTEGER, day::INTEGER,
                regexp_replace(json(data)::VARCHAR, '([.][0-9]{{8}})[0-9]+', '\\1', 'g')
              )) FILTER (event_id NOT IN (FROM read_parquet('{reference.tied_ids}')))
            FROM {stored}
            """
        ).fetchone()
        verbatim = connection.execute(
            f"""
            SELECT avg(same::INTEGER) FROM (
              SELECT bool_or(contains(line, data::VARCHAR)) AS same
              FROM {stored} AS stored JOIN read_parquet('{reference.lines}') AS delivered
                USING (event_id)
              GROUP BY event_id
            )
            """
        ).fetchone()
    assert digests is not None and verbatim is not None  # an aggregate has one row
    counted, keys, events = (int(value or 0) for value in digests)
    return Contents(
        counted, len(data_files(table)), size(table), keys, events, float(verbatim[0] or 0)
    )


def _pattern(table: pathlib.Path) -> str:
    return f"{table}/domain=*/**/*.parquet"
