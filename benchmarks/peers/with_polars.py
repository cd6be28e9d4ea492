"""The table with Polars: ``python -m benchmarks.peers.with_polars INPUT OUTPUT``.

Each line is parsed twice, since ``scan_ndjson`` cannot keep a payload whose shape varies: read as
String, Polars 2.1 writes it without escaping what was escaped, which is no JSON any more.
"""

import sys

import polars as pl

_KIND = {"domain": pl.String, "event_type": pl.String}


def main(pattern: str, output: str) -> None:
    """Reads the files that `pattern` matches and writes the table to `output`."""
    line = pl.col("line")
    fields = pl.Struct({name: pl.String for name in ("event_id", "timestamp")} | _KIND)
    text = pl.col("timestamp").str.replace(" ", "T", literal=True)
    zoned = pl.when(text.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$")).then(text).otherwise(text + "Z")
    instant = zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC")
    (
        pl.scan_lines(pattern)
        .select(
            line.str.json_decode(fields).alias("event"), data=line.str.json_path_match("$.data")
        )
        .unnest("event")
        .with_columns(timestamp=instant)
        .sort("timestamp", "data")
        .unique("event_id", keep="last")
        .with_columns(
            year=pl.col("timestamp").dt.year(),
            month=pl.col("timestamp").dt.month(),
            day=pl.col("timestamp").dt.day(),
        )
        .sink_parquet(
            pl.PartitionBy(output, key=[*_KIND, "year", "month", "day"], include_key=False),
            compression="zstd",
            mkdir=True,
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
