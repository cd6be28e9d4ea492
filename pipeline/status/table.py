"""What the log says of a table: rows, types, days, files by size, and what could be merged."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.keys.partitions import PARTITION_COLUMNS
from pipeline.status.facts import Content, Size, Small, Type
from pipeline.table.delta import Opened

# The upper ends of the sizes that are told apart.
_BELOW_BYTES = (1_000_000, 10_000_000, 100_000_000)
# The default of --target-file-mb; a file of less than a quarter is small (see `compact`). Only
# footers say how large the rows of a file are before compression: about this many times its size.
_TARGET_BYTES = 256 << 20
_SMALL_BYTES = _TARGET_BYTES // 4
_CONTENT_RATIO = 4


def content(opened: Opened) -> Content:
    """Returns what a table has. The table must be there."""
    files = _files(opened)
    rows = files["rows"]
    days = pc.min_max(files["date"]).as_py()
    partitions = files.group_by(["domain", "event_type", "date"]).aggregate(
        [("bytes", "count"), ("bytes", "sum"), ("rows", "sum")]
    )
    return Content(
        version=opened.version,
        rows=pc.sum(rows).as_py() or 0,
        files=len(files),
        bytes=pc.sum(files["bytes"]).as_py() or 0,
        partitions=len(partitions),
        uncounted=rows.null_count,
        first_day=_day(days["min"]),
        last_day=_day(days["max"]),
        types=list(_types(partitions)),
        sizes=list(_sizes(files["bytes"])),
        small=_small(files),
    )


def _files(opened: Opened) -> pa.Table:
    """Returns domain, event_type, date (as a number), rows and bytes of each live file."""
    assert opened.delta_table is not None
    adds = pa.table(opened.delta_table.get_add_actions(flatten=True))
    count = adds.num_rows

    def column(name: str, kind: pa.DataType) -> pa.ChunkedArray | pa.Array:
        return adds[name].cast(kind) if name in adds.column_names else pa.nulls(count, kind)

    domain, event_type, *date = (f"partition.{name}" for name in PARTITION_COLUMNS)
    year, month, day = (column(name, pa.int64()) for name in date)
    return pa.table(
        {
            "domain": column(domain, pa.string()),
            "event_type": column(event_type, pa.string()),
            "date": pc.add(pc.add(pc.multiply(year, 10_000), pc.multiply(month, 100)), day),
            "rows": column("num_records", pa.int64()),
            "bytes": column("size_bytes", pa.int64()),
        }
    )


def _types(partitions: pa.Table) -> Iterator[Type]:
    """Yields each type of events, the most frequent first."""
    types = partitions.group_by(["domain", "event_type"]).aggregate(
        [
            ("rows_sum", "sum"),
            ("bytes_count", "sum"),
            ("bytes_sum", "sum"),
            ("date", "count"),
            ("date", "min"),
            ("date", "max"),
        ]
    )
    by_rows = [("rows_sum_sum", "descending"), ("domain", "ascending"), ("event_type", "ascending")]
    for one in types.sort_by(by_rows).to_pylist():
        yield Type(
            domain=str(one["domain"]),
            event_type=str(one["event_type"]),
            rows=one["rows_sum_sum"] or 0,
            files=one["bytes_count_sum"],
            bytes=one["bytes_sum_sum"] or 0,
            partitions=one["date_count"],
            first_day=_day(one["date_min"]) or "",
            last_day=_day(one["date_max"]) or "",
        )


def _sizes(sizes: pa.ChunkedArray) -> Iterator[Size]:
    """Yields how many files are of which size; sizes that no file has are left out."""
    lower = 0
    for below in (*_BELOW_BYTES, None):
        within = pc.greater_equal(sizes, lower)
        if below is not None:
            within = pc.and_(within, pc.less(sizes, below))
            lower = below
        some = sizes.filter(within)
        if len(some):
            yield Size(below, len(some), pc.sum(some).as_py())


def _small(files: pa.Table) -> Small:
    """Returns what could be merged: small files that are not the only one of their partition."""
    few = files.filter(pc.less(files["bytes"], _SMALL_BYTES // _CONTENT_RATIO))
    partitions = few.group_by(["domain", "event_type", "date"]).aggregate(
        [("bytes", "count"), ("bytes", "sum")]
    )
    several = partitions.filter(pc.greater(partitions["bytes_count"], 1))
    after = pc.add(pc.divide(several["bytes_sum"], _TARGET_BYTES // _CONTENT_RATIO), 1)
    return Small(
        len(several), pc.sum(several["bytes_count"]).as_py() or 0, pc.sum(after).as_py() or 0
    )


def _day(number: int | None) -> str | None:
    """Returns a date such as 2021-01-08, from a number such as 20210108."""
    if number is None:
        return None
    return f"{number // 10_000:04}-{number // 100 % 100:02}-{number % 100:02}"
