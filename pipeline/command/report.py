"""What people see of a run: its summary as text.

Numbers stand in one column, what they count beside them; the events add up as on paper.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.bookkeeping.summary import Horizon, RunSummary

# The steps that take time, in the order of the graph.
_STEPS = ("plan", "read", "scan", "latest", "write", "commit")
_MEASURABLE_SECONDS = 0.05  # below this a rate says nothing
_NAMED_LIMIT = 3  # the summary names more of the files that were left out
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


def text(summary: RunSummary, page: str = "") -> str:
    """Returns the report of a run.

    Args:
        summary: The run's.
        page: Where the page about the table is, or is about to be; "" if there is none.
    """
    lines = list(_lines(summary))
    width = max(len(line.number) for line in lines)
    rows = [
        f"  {topic:<11}{sign:1} {number:>{width}} {words}" for topic, sign, number, words in lines
    ]
    left_out = [f"  {'left out':<13}{_left_out(summary)}"] if summary.left_out.count else []
    places = [f"  {'searched':<13}{_searched(summary.horizon)}"] if summary.horizon else []
    if summary.rejects:
        places.append(f"  {'rejects':<13}{summary.rejects}")
    places.append(f"  {'output':<13}{summary.output}")
    if page:
        places.append(f"  {'page':<13}{page}")
    return "\n".join([f"run {summary.run}", "", *rows, *left_out, *places, "", _verdict(summary)])


def warnings(summary: RunSummary) -> list[str]:
    """Returns a line for each of the first files that were left out, and one for all the others."""
    found = summary.left_out
    lines = [f"left out {one.path}: {one.reason}" for one in found.first[:_WARNINGS_LIMIT]]
    more = found.count - len(lines)
    return [*lines, f"left out {more:,} more, see the run's summary"] if more else lines


def line(summary: RunSummary) -> str:
    """Returns the report of a run in one line."""
    files, events = summary.files, summary.events
    counts = (
        f"{events.kept:,} kept, {events.superseded:,} superseded,"
        f" {events.exact_duplicates:,} exact duplicates, {events.rejected:,} rejected"
    )
    searched = f" Searched {_searched(summary.horizon)}." if summary.horizon else ""
    return (
        f"run {summary.run}: {files.read:,} files,"
        f" {events.read:,} events: {counts}; {summary.wall_seconds:.1f} s;"
        f" {_verdict(summary)}{searched}"
    )


def _left_out(summary: RunSummary) -> str:
    """Returns the first files that were left out, with the reasons, and how many follow."""
    found = summary.left_out
    first = [f"{one.path}: {one.reason}" for one in found.first[:_NAMED_LIMIT]]
    more = found.count - len(first)
    return "; ".join([*first, f"and {more:,} more"] if more else first)


def _searched(horizon: Horizon) -> str:
    """Returns how far the table was searched for older versions."""
    return (
        f"within {horizon.days:,} days of the delivery's dates; not searched:"
        f" {horizon.files_not_searched:,} files ({horizon.rows_not_searched:,} rows)"
    )


def _lines(summary: RunSummary) -> Iterator[_Line]:
    files, events, table = summary.files, summary.events, summary.table
    new = files.read
    yield _Line("files", "", f"{new:,}", "read")
    if files.skipped:
        yield _Line("", "", f"{files.skipped:,}", "skipped: published before")
    if summary.left_out.count:
        yield _Line("", "", f"{summary.left_out.count:,}", "left out: cannot be read")
    if new:
        yield _Line("bytes", "", f"{summary.bytes:,}", "read")
        yield _Line("events", "", f"{events.read:,}", "read")
        yield _Line("", "=", f"{events.kept:,}", "kept")
        yield _Line("", "+", f"{events.superseded:,}", "superseded")
        yield _Line("", "+", f"{events.exact_duplicates:,}", "exact duplicates")
        yield _Line("", "+", f"{events.rejected:,}", "rejected")
        for reason, count in sorted(summary.rejected.items(), key=lambda item: -item[1]):
            yield _Line("", "", "", f"  {count:,} {reason}")
    if summary.published:
        yield _Line("partitions", "", f"{table.partitions_written:,}", "written")
        yield _Line("", "", f"{table.partitions_touched:,}", "touched")
    yield _Line("table", "", f"{table.rows:,}", "rows")
    if table.replaced_rows:
        yield _Line("", "", f"{table.replaced_rows:,}", "older rows have left it")
    yield _Line("", "", f"{table.partitions:,}", "partitions")
    yield _Line("", "", f"{table.files:,}", "files")
    yield _Line("", "", f"{table.bytes:,}", "bytes")
    if new:
        yield from _times(summary)


def _times(summary: RunSummary) -> Iterator[_Line]:
    """Yields the seconds on the clock, then those of the steps, which several cores may share."""
    wall = summary.wall_seconds
    rate = _rate(summary, wall, " of input")
    yield _Line(
        "seconds", "", f"{wall:,.2f}", f"from plan to commit{rate}; steps, added up over cores:"
    )
    for step in _STEPS:
        if seconds := summary.seconds.get(step):
            yield _Line("", "", f"{seconds:,.2f}", f"  {step}{_rate(summary, seconds)}")


def _rate(summary: RunSummary, seconds: float, what: str = "") -> str:
    if seconds < _MEASURABLE_SECONDS:
        return ""
    return f", {summary.bytes / 1e6 / seconds:,.1f} MB/s{what}"


def _verdict(summary: RunSummary) -> str:
    events = summary.events
    if summary.published:
        return f"Published as version {summary.version}."
    if not summary.files.read:
        return "Nothing new: every file was published before."
    if summary.all_rejected:
        return (
            "Nothing was published: every record was rejected, the first with"
            f" {summary.first_reject!r}. The dead letters are in {summary.rejects}: correct the"
            " records, and deliver them in a new file."
        )
    if not events.read:
        return "Nothing was published: the files have no record."
    return "Nothing new to publish: no event is later than what the table has."
