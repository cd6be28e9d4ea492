"""The table with one DuckDB ``COPY``: ``python -m benchmarks.peers.with_duckdb INPUT OUTPUT``."""

import sys

import duckdb


def main(pattern: str, output: str) -> None:
    """Reads the files that `pattern` matches and writes the table to `output`."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET preserve_insertion_order = false")  # less memory
        connection.execute(
            f"""
            COPY (
              SELECT event_id, instant AS timestamp, data, domain, event_type,
                     year(instant AT TIME ZONE 'UTC') AS year,
                     month(instant AT TIME ZONE 'UTC') AS month,
                     day(instant AT TIME ZONE 'UTC') AS day
              FROM (
                SELECT event_id, timestamp::TIMESTAMPTZ AS instant, data, domain, event_type
                FROM read_json(
                  '{pattern}', format = 'newline_delimited',
                  columns = {{event_id: 'VARCHAR', timestamp: 'VARCHAR', domain: 'VARCHAR',
                              event_type: 'VARCHAR', data: 'JSON'}}
                )
              )
              QUALIFY row_number() OVER (
                PARTITION BY event_id ORDER BY instant DESC, data::VARCHAR DESC
              ) = 1
            ) TO '{output}' (
              FORMAT parquet, COMPRESSION zstd,
              PARTITION_BY (domain, event_type, year, month, day)
            )
            """
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
