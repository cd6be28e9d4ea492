"""What is in a table, boiled down to what can be compared between programs."""

import pathlib
from typing import NamedTuple

import duckdb


class Contents(NamedTuple):
    """A table's contents. Each digest is a sum of hashes over the rows, so their order is free.

    Attributes:
        rows: How many there are.
        files: Data files.
        bytes: Their size.
        keys: Digest of event_id and instant.
        events: Digest of event_id, instant, destination and payload, the payload as DuckDB writes
            it after parsing it: without spaces, numbers and escapes in one form.
        raw: The same with the payload byte for byte.
    """

    rows: int
    files: int
    bytes: int
    keys: int
    events: int
    raw: int


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


def contents(table: pathlib.Path, tied_ids: pathlib.Path) -> Contents:
    """Reads the whole table.

    Args:
        table: A folder of Parquet files partitioned like a hive.
        tied_ids: Parquet file with the ids of which only `keys` can be compared; see
            `data.tied_ids`.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(
            f"""
            WITH stored AS (
              SELECT event_id, epoch_us(timestamp) AS micros, data, (domain, event_type,
                year::INTEGER, month::INTEGER, day::INTEGER) AS destination,
                event_id IN (FROM read_parquet('{tied_ids}')) AS tied
              FROM read_parquet('{_pattern(table)}', hive_partitioning = true)
            )
            SELECT count(*), sum(hash(event_id, micros)),
              sum(hash(event_id, micros, destination, json(data)::VARCHAR)) FILTER (NOT tied),
              sum(hash(event_id, micros, destination, data::VARCHAR)) FILTER (NOT tied)
            FROM stored
            """
        ).fetchone()
    assert found is not None  # an aggregate has one row
    counted, keys, events, raw = (int(value or 0) for value in found)
    return Contents(counted, len(data_files(table)), size(table), keys, events, raw)


def _pattern(table: pathlib.Path) -> str:
    return f"{table}/domain=*/**/*.parquet"
