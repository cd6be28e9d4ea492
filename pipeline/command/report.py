"""What people see of a run: its record as text.

Numbers stand in one column, what they count beside them; the events add up as on paper.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

# The steps that take time, in the order of the graph.
_STEPS = ("plan", "read", "scan", "latest", "write", "commit")
_MEASURABLE_SECONDS = 0.05  # below this a rate says nothing
_NAMED_LIMIT = 3  # the record names more of the files that were left out
_WARNINGS_LIMIT = 20  # lines; more would hide what is above them


class _Line(NamedTuple):
    """A number of the report.

    Attributes:
        topic: What this line and those below it are about; "" in the lines below.
        sign: How the number stands to the one above it.
        number: The number as text.
        words: What it counts.
    """

    topic: str
    sign: str
    number: str
    words: str


def text(record: dict[str, Any]) -> str:
    """The report of a run.

    Args:
        record: As `publish.publish` returns it.
    """
    lines = list(_lines(record))
    width = max(len(line.number) for line in lines)
    rows = [
        f"  {topic:<11}{sign:1} {number:>{width}} {words}" for topic, sign, number, words in lines
    ]
    left_out = [f"  {'left out':<13}{_left_out(record)}"] if record["left_out"]["count"] else []
    places = [f"  {'searched':<13}{_searched(record)}"] if record["horizon"] else []
    if record["rejects"]:
        places.append(f"  {'rejects':<13}{record['rejects']}")
    places.append(f"  {'output':<13}{record['output']}")
    return "\n".join([f"run {record['run']}", "", *rows, *left_out, *places, "", _verdict(record)])


def warnings(record: dict[str, Any]) -> list[str]:
    """Returns a line for each file that was left out, and one for those that are too many to name.

    Args:
        record: As for `text`.
    """
    found = record["left_out"]
    lines = [f"left out {one['path']}: {one['reason']}" for one in found["first"][:_WARNINGS_LIMIT]]
    more = found["count"] - len(lines)
    return [*lines, f"left out {more:,} more, see the run's record"] if more else lines


def line(record: dict[str, Any]) -> str:
    """The report of a run in one line.

    Args:
        record: As for `text`.
    """
    files, events = record["files"], record["events"]
    counts = ", ".join(
        f"{events[name]:,} {name.replace('_', ' ')}"
        for name in ("kept", "superseded", "exact_duplicates", "rejected")
    )
    searched = f" Searched {_searched(record)}." if record["horizon"] else ""
    return (
        f"run {record['run']}: {files['matched'] - files['skipped']:,} files,"
        f" {events['read']:,} events: {counts}; {record['wall_seconds']:.1f} s;"
        f" {_verdict(record)}{searched}"
    )


def _left_out(record: dict[str, Any]) -> str:
    """The first few files that were left out, with the reasons, and how many follow."""
    found = record["left_out"]
    first = [f"{one['path']}: {one['reason']}" for one in found["first"][:_NAMED_LIMIT]]
    more = found["count"] - len(first)
    return "; ".join([*first, f"and {more:,} more"] if more else first)


def _searched(record: dict[str, Any]) -> str:
    """How far the table was searched for older versions."""
    horizon = record["horizon"]
    return (
        f"within {horizon['days']:,} days of the delivery's dates; not searched:"
        f" {horizon['files_not_searched']:,} files ({horizon['rows_not_searched']:,} rows)"
    )


def _lines(record: dict[str, Any]) -> Iterator[_Line]:
    files, events, table = record["files"], record["events"], record["table"]
    new = files["matched"] - files["skipped"]
    yield _Line("files", "", f"{new:,}", "read")
    if files["skipped"]:
        yield _Line("", "", f"{files['skipped']:,}", "skipped: published before")
    if record["left_out"]["count"]:
        yield _Line("", "", f"{record['left_out']['count']:,}", "left out: cannot be read")
    if new:
        yield _Line("bytes", "", f"{record['bytes']:,}", "read")
        yield _Line("events", "", f"{events['read']:,}", "read")
        yield _Line("", "=", f"{events['kept']:,}", "kept")
        yield _Line("", "+", f"{events['superseded']:,}", "superseded")
        yield _Line("", "+", f"{events['exact_duplicates']:,}", "exact duplicates")
        yield _Line("", "+", f"{events['rejected']:,}", "rejected")
        for reason, count in sorted(record["rejected"].items(), key=lambda item: -item[1]):
            yield _Line("", "", "", f"  {count:,} {reason}")
    if record["published"]:
        yield _Line("partitions", "", f"{table['partitions_written']:,}", "written")
        yield _Line("", "", f"{table['partitions_touched']:,}", "touched")
    yield _Line("table", "", f"{table['rows']:,}", "rows")
    if table["replaced_rows"]:
        yield _Line("", "", f"{table['replaced_rows']:,}", "older rows have left it")
    yield _Line("", "", f"{table['partitions']:,}", "partitions")
    yield _Line("", "", f"{table['files']:,}", "files")
    yield _Line("", "", f"{table['bytes']:,}", "bytes")
    if new:
        yield from _times(record)


def _times(record: dict[str, Any]) -> Iterator[_Line]:
    """The seconds on the clock, then those of the steps, which several cores may share."""
    wall = record["wall_seconds"]
    rate = _rate(record, wall, " of input")
    yield _Line(
        "seconds", "", f"{wall:,.2f}", f"from plan to commit{rate}; steps, added up over cores:"
    )
    for step in _STEPS:
        if seconds := record["seconds"].get(step):
            yield _Line("", "", f"{seconds:,.2f}", f"  {step}{_rate(record, seconds)}")


def _rate(record: dict[str, Any], seconds: float, what: str = "") -> str:
    if seconds < _MEASURABLE_SECONDS:
        return ""
    return f", {record['bytes'] / 1e6 / seconds:,.1f} MB/s{what}"


def all_rejected(record: dict[str, Any]) -> bool:
    """Whether a run has read records, and rejected every one."""
    events = record["events"]
    return bool(events["read"]) and events["read"] == events["rejected"]


def _verdict(record: dict[str, Any]) -> str:
    events = record["events"]
    if record["published"]:
        return f"Published as version {record['version']}."
    if record["files"]["matched"] == record["files"]["skipped"]:
        return "Nothing new: every file was published before."
    if all_rejected(record):
        return (
            "Nothing was published: every record was rejected, the first with"
            f" {record['first_reject']!r}. The dead letters are in {record['rejects']}: correct the"
            " records, and deliver them in a new file."
        )
    if not events["read"]:
        return "Nothing was published: the files have no record."
    return "Nothing new to publish: no event is later than what the table has."
