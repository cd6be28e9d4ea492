"""What people see of a run: its summary as text, in 80 columns.

The events come first, adding up as on paper; then what has changed in the table, what was refused,
and what to do next. Numbers stand in one column, what they count beside them.
"""

import shlex
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline import storage
from pipeline.amounts import counted, duration, noun
from pipeline.bookkeeping.dead_letters import Letter
from pipeline.bookkeeping.summary import Horizon, RunSummary
from pipeline.catalogue.changes import told
from pipeline.command import console
from pipeline.command.console import one_line

_WIDTH = 80
_NO_BREAK = "\N{NO-BREAK SPACE}"  # between a number and its unit, until the text is in lines
# The steps that take time, in the order of the graph.
_STEPS = ("plan", "read", "scan", "latest", "write", "commit")
_MEASURABLE_SECONDS = 0.05  # less is not worth a word
# Below these a rate says more of the start than of the work.
_RATED_SECONDS = 1.0
_RATED_BYTES = 5_000_000
_NAMED_LIMIT = 3  # the summary names more of the files that were left out
_BREACHES_LIMIT = 10  # the summary names more of the rules that were broken
_ROWS_LIMIT = 3  # of the message about a reject
_WARNINGS_LIMIT = 20  # lines; more would hide what is above them
# Merging pays where partitions have this many files and these are smaller than that.
_MANY_FILES = 4
_SMALL_FILE_BYTES = 8 << 20

Letters = Mapping[str, Sequence[Letter]]


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


def text(summary: RunSummary, letters: Letters | None = None) -> str:
    """Returns the report of a run.

    Args:
        summary: The run's.
        letters: Some dead letters of each reason, of which the first is shown.
    """
    numbers = [*_events(summary), *_table(summary), *_input(summary)]
    rejected = list(_rejected(summary, letters or {}))
    broken = list(_broken(summary))
    width = max(len(line.number) for line in [*numbers, *rejected, *broken])
    lines = [
        f"run {summary.run}",
        "",
        *_rows(numbers, width),
        *_said("fields", _fields(summary)),
        *_said("left out", _left_out(summary)),
        *_said("field map", summary.field_map),
        *_said("searched", _searched(summary.horizon) if summary.horizon else ""),
        *_said("time", _time(summary)),
        *_said("output", summary.output),
        *_rows(rejected, width),
        *_rows(broken, width),
        *_next(summary),
        "",
        *_wrapped(_verdict(summary), _WIDTH),
    ]
    return "\n".join(lines)


def _rows(lines: Sequence[_Line], width: int) -> Iterator[str]:
    """Yields the rows of numbers, which have `width` columns; their words may take several rows."""
    for topic, sign, number, words in lines:
        before = f"  {topic:<11}{sign:1} {number:>{width}} "
        columns = _WIDTH - len(before)
        for row in textwrap.wrap(words, columns, max_lines=_ROWS_LIMIT, placeholder=" …"):
            yield f"{before}{row}"
            before = " " * len(before)


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
        f" {counted(events.exact_duplicates, 'exact duplicate')}, {events.rejected:,} rejected"
    )
    broken = ""
    if summary.contract and summary.contract.broken:
        broken = f" {counted(summary.contract.broken, 'event')} broke their contract."
    searched = f" Searched {_searched(summary.horizon)}." if summary.horizon else ""
    return (
        f"run {summary.run}: {counted(files.read, 'file')}, {counted(events.read, 'event')}:"
        f" {counts}; {summary.wall_seconds:.1f} s; {_verdict(summary)}{searched}{broken}"
    )


def _events(summary: RunSummary) -> Iterator[_Line]:
    """Yields the equation."""
    events = summary.events
    if summary.files.read:
        yield _Line("events", "", f"{events.read:,}", "read")
        yield _Line("", "=", f"{events.kept:,}", "kept")
        yield _Line("", "+", f"{events.superseded:,}", "superseded")
        duplicates = noun(events.exact_duplicates, "exact duplicate")
        yield _Line("", "+", f"{events.exact_duplicates:,}", duplicates)
        yield _Line("", "+", f"{events.rejected:,}", "rejected")


def _rejected(summary: RunSummary, letters: Letters) -> Iterator[_Line]:
    """Yields the reasons, the most frequent first, each with what was said of its first record."""
    topic = "rejected"
    for reason, count in sorted(summary.rejected.items(), key=lambda item: -item[1]):
        messages = [_message(letter, summary) for letter in letters.get(reason, [])[:1]]
        yield _Line(topic, "", f"{count:,}", ": ".join([reason, *messages]))
        topic = ""


def _message(letter: Letter, summary: RunSummary) -> str:
    """Returns how to have a record read if that can be told, and why it was rejected."""
    if letter.reason != "missing-field":
        return one_line(letter.message)
    from pipeline.command import field_names  # most runs never need these
    from pipeline.input import fields

    record = letter.raw.encode()
    way_out = field_names.renaming(record)
    if summary.all_rejected:  # their fields have other names; else a few records lack some
        known = fields.parsed(summary.field_map) if summary.field_map else fields.OWN_NAMES
        option = field_names.option(record, known)
        way_out = f"read it with --fields {option}" if option else ""
    return one_line("; ".join(filter(None, [way_out, letter.message])))


def _broken(summary: RunSummary) -> Iterator[_Line]:
    """Yields how the events have kept to their contract, and what most of them break."""
    contract = summary.contract
    if contract is None or not summary.files.read:
        return
    types = f"{contract.types:,} {noun(contract.types, 'type')}"
    checked = f"{noun(contract.checked, 'event')} of {types} checked"
    if not contract.broken:
        yield _Line("contract", "", f"{contract.checked:,}", f"{checked}, none breaks it")
        return
    yield _Line("contract", "", f"{contract.checked:,}", checked)
    rejected = ", and rejected" if contract.mode != "warn" else ""
    yield _Line("", "", f"{contract.broken:,}", f"broken{rejected}")
    for one in contract.breaches[:_BREACHES_LIMIT]:
        where = one_line(f"{one.domain}/{one.event_type} {one.path} {one.rule}: {one.example}")
        yield _Line("", "", f"{one.events:,}", where)
    more = len(contract.breaches) - _BREACHES_LIMIT
    if more > 0:
        yield _Line("", "", f"{more:,}", "more rules broken, see the run's summary")


def _table(summary: RunSummary) -> Iterator[_Line]:
    """Yields what has changed in the table, and what it has now."""
    table, kept = summary.table, summary.events.kept
    topic = "table"
    if summary.published and not summary.rebuild:
        yield _Line(topic, "+", f"{kept:,}", noun(kept, "row"))
        topic = ""
        if gone := table.replaced_rows:
            yield _Line("", "-", f"{gone:,}", f"older {noun(gone, 'row')} with the same event_ids")
    anew = ", made anew from these files" if summary.published and summary.rebuild else ""
    now = "" if topic else " now"
    yield _Line(topic, "", f"{table.rows:,}", f"{noun(table.rows, 'row')}{now}{anew}")
    written, only_lost = table.partitions_written, table.partitions_touched
    only_lost -= written
    changed = f"; {written:,} written" if summary.published else ""
    if changed and only_lost:
        changed += f", {only_lost:,} with rows removed only"
    partitions = noun(table.partitions, "partition")
    yield _Line("", "", f"{table.partitions:,}", f"{partitions}{changed}")
    changed = ""
    if summary.published:
        changed = f"; {table.files_written:,} new"
        changed += f", {table.files_replaced:,} replaced" if table.files_replaced else ""
    files = f"{noun(table.files, 'file')}, {counted(table.bytes, 'byte')}{changed}"
    yield _Line("", "", f"{table.files:,}", files)
    if new := summary.new_types:
        yield _Line("", "", f"{len(new):,}", f"new {noun(len(new), 'type')}: {_types(new)}")


def _types(types: Sequence[tuple[str, str]]) -> str:
    """Returns the names of the first types, and how many follow."""
    first = [one_line(f"{domain}/{event_type}") for domain, event_type in types[:_NAMED_LIMIT]]
    more = len(types) - len(first)
    return ", ".join(first) + (f" and {more:,} more" if more else "")


def _fields(summary: RunSummary) -> str:
    """Returns how the fields of `data` have changed, for the first types."""
    first = [one_line(told(change)) for change in summary.fields[:_NAMED_LIMIT]]
    more = len(summary.fields) - len(first)
    return "; ".join([*first, f"and {more:,} more {noun(more, 'type')}"] if more else first)


def _input(summary: RunSummary) -> Iterator[_Line]:
    files, left_out = summary.files, summary.left_out.count
    size = f", {counted(summary.bytes, 'byte')}" if files.read else ""
    yield _Line("input", "", f"{files.read:,}", f"{noun(files.read, 'file')} read{size}")
    if files.skipped:
        skipped = f"{noun(files.skipped, 'file')} skipped: published before"
        yield _Line("", "", f"{files.skipped:,}", skipped)
    if left_out:
        yield _Line("", "", f"{left_out:,}", f"{noun(left_out, 'file')} left out: cannot be read")


def _said(topic: str, words: str) -> Iterator[str]:
    """Yields what is said of a topic, in as many lines as it takes; nothing if nothing is."""
    for number, line in enumerate(_wrapped(words, _WIDTH - 15)):
        yield f"  {'' if number else topic:<13}{line}"


def _wrapped(words: str, width: int) -> list[str]:
    """Returns the lines of a text; paths stay whole, and may be longer than a line."""
    lines = textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_NO_BREAK, " ") for line in lines]


def _left_out(summary: RunSummary) -> str:
    """Returns the first files that were left out, with the reasons, and how many follow."""
    found = summary.left_out
    first = [f"{one.path}: {one.reason}" for one in found.first[:_NAMED_LIMIT]]
    more = found.count - len(first)
    return "; ".join([*first, f"and {more:,} more"] if more else first)


def _searched(horizon: Horizon) -> str:
    """Returns how far the table was searched for older versions."""
    return (
        f"within {counted(horizon.days, 'day')} of the delivery's dates; not searched:"
        f" {counted(horizon.files_not_searched, 'file')}"
        f" ({counted(horizon.rows_not_searched, 'row')})"
    )


def _time(summary: RunSummary) -> str:
    """Returns the time on the clock, then that of the steps, which several cores may share."""
    if not summary.files.read:
        return ""
    wall = summary.wall_seconds
    rated = wall >= _RATED_SECONDS and summary.bytes >= _RATED_BYTES
    rate = f" ({summary.bytes / 1e6 / wall:,.1f} MB/s)" if rated else ""
    seconds = {step: summary.seconds.get(step, 0.0) for step in _STEPS}
    steps = [
        f"{step} {duration(took)}".replace(" ", _NO_BREAK)
        for step, took in seconds.items()
        if took >= _MEASURABLE_SECONDS
    ]
    added = f"; added up over cores: {', '.join(steps)}" if steps else ""
    return f"{duration(wall)} from plan to commit{rate}{added}"


def _next(summary: RunSummary) -> Iterator[str]:
    """Yields what a person may want to do now, with commands to copy."""
    table = summary.table
    if summary.rejects:
        yield from _said("next", "look at the rejects; deliver corrected records in a new file:")
        yield from _look_at(summary.rejects)
    if summary.left_out.count:
        yield from _said("next", "mend what was left out: the next run reads it")
    if not summary.published:
        return
    small = table.bytes < _SMALL_FILE_BYTES * table.files
    if small and table.files >= _MANY_FILES * table.partitions:
        yield from _said("next", "merge the small files, beside other runs if need be:")
        yield from _command("compact", "pipeline.compact", summary)
    elif table.files == table.files_written and not summary.rejects:
        yield from _said("next", "see how the table is doing, at any time:")
        yield from _command("status", "pipeline.status", summary)


def _look_at(path: str) -> Iterator[str]:
    """Yields a command that shows dead letters page by page."""
    if not storage.is_local(path):
        yield f"                 {path}"
        return
    yield f"                 {shlex.quote(sys.executable)} -m json.tool --json-lines \\"
    yield f"                   {shlex.quote(path)} | more"


def _command(name: str, module: str, summary: RunSummary) -> Iterator[str]:
    """Yields a command on the run's table."""
    yield f"                 {console.name(name, module)} --output {shlex.quote(summary.output)}"


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
