"""The table as a Beam tutorial would: ``python -m benchmarks.peers.with_beam INPUT OUTPUT``.

One element an event, all of it in memory. ``WriteToFiles`` is not used: with nested directories on
local disk it loses data (Beam 2.77); each destination is written with pyarrow instead.
"""

import datetime
import json
import os
import sys
from collections.abc import Iterable

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

_SCHEMA = pa.schema(
    [("event_id", pa.string()), ("timestamp", pa.timestamp("us", "UTC")), ("data", pa.string())]
)


Version = tuple[int, str, str, str]
"""Microseconds since 1970, data, domain, event_type: compares by instant, then by payload."""

Destination = tuple[str, str, int, int, int]
Row = tuple[str, int, str]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


def parse(line: str) -> tuple[str, Version]:
    """A line of JSON → (event_id, version)."""
    event = json.loads(line)
    # Python 3.10 knows no Z.
    instant = datetime.datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00"))
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=datetime.timezone.utc)
    data = json.dumps(event["data"], ensure_ascii=False, separators=(",", ":"))
    micros = (instant - _EPOCH) // _MICROSECOND
    return event["event_id"], (micros, data, event["domain"], event["event_type"])


def by_destination(element: tuple[str, Version]) -> tuple[Destination, Row]:
    """(event_id, version) → (destination, row)."""
    event_id, (micros, data, domain, event_type) = element
    day = _EPOCH + micros * _MICROSECOND
    return (domain, event_type, day.year, day.month, day.day), (event_id, micros, data)


class WriteParquet(beam.DoFn):
    """(destination, rows) → the path of its file."""

    def __init__(self, output: str) -> None:
        self._output = output

    def process(self, element: tuple[Destination, Iterable[Row]]) -> Iterable[str]:
        """Writes all rows to one file."""
        (domain, event_type, year, month, day), rows = element
        folder = os.path.join(
            self._output,
            f"domain={domain}/event_type={event_type}/year={year}/month={month}/day={day}",
        )
        os.makedirs(folder)
        columns = zip(*rows, strict=True)
        arrays = [
            pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)
        ]
        path = os.path.join(folder, "part.parquet")
        pq.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA), path, compression="zstd")
        yield path


def main(pattern: str, output: str) -> None:
    """Reads the files that `pattern` matches and writes the table to `output`."""
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        (
            pipeline
            | beam.io.ReadFromText(pattern)
            | "parse" >> beam.Map(parse)
            | "latest" >> beam.CombinePerKey(max)
            | "by destination" >> beam.Map(by_destination)
            | beam.GroupByKey()
            | "write" >> beam.ParDo(WriteParquet(output))
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
