"""A plan for people, in 80 columns."""

import textwrap
from collections.abc import Iterator

from pipeline.amounts import counted, duration, size
from pipeline.preview.facts import Expected, Input, Merge, Preview

_WIDTH = 80
_TOPIC = 12  # columns of a topic and the space after it
_TYPES_LIMIT = 3
_ROWS_LIMIT = 2  # of an event


def text(preview: Preview) -> str:
    """Returns a plan in lines."""
    lines = [
        f"plan for {preview.output} (nothing was written)",
        "",
        *_topic("input", _input(preview.input)),
        *_kinds(preview.input),
        *_topic("table", _table(preview)),
        *_topic("partitions", _partitions(preview.merge)),
        *_topic("search", _search(preview)),
        *_expected(preview),
    ]
    topic = "trouble"
    for trouble in preview.troubles:
        lines += _bullet(topic, f"{'this stops it: ' if trouble.stops else ''}{trouble.what}")
        topic = ""
    return "\n".join([*lines, "", *_wrapped(_verdict(preview), _WIDTH)])


def _topic(topic: str, words: str) -> Iterator[str]:
    """Yields what is said of a topic, in as many lines as it takes; nothing if nothing is."""
    for line in _wrapped(words, _WIDTH - _TOPIC - 2):
        yield f"  {topic:<{_TOPIC}}{line}"
        topic = ""


def _bullet(topic: str, words: str) -> Iterator[str]:
    """Yields what is said of a topic, as one thing of several."""
    sign = "- "
    for line in _wrapped(words, _WIDTH - _TOPIC - 4):
        yield f"  {topic:<{_TOPIC}}{sign}{line}"
        topic, sign = "", "  "


def _wrapped(words: str, width: int) -> list[str]:
    """Returns the lines of a text; paths stay whole, and may be longer than a line."""
    return textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False)


def _input(found: Input) -> str:
    changed = f", {found.changed:,} of them changed since" if found.changed else ""
    skipped = f"; {found.skipped:,} skipped: published before" if found.skipped else ""
    left_out = f"; {found.left_out:,} left out: cannot be read" if found.left_out else ""
    if not found.files:
        return f"nothing new{skipped}{left_out}"
    return (
        f"{counted(found.files, 'file')} to read, {size(found.bytes)}{changed}{skipped}{left_out}"
    )


def _kinds(found: Input) -> Iterator[str]:
    """Yields each kind of files, with its first event."""
    topic = "kinds"
    if found.looked_into < found.files:
        yield from _topic(topic, f"of {counted(found.looked_into, 'file')} looked into:")
        topic = ""
    for kind in found.kinds:
        yield from _topic(topic, f"{kind.kind}: {counted(kind.files, 'file')}, such as")
        yield f"  {'':<{_TOPIC}}{kind.source}"
        columns = _WIDTH - _TOPIC - 4
        for at in range(0, min(len(kind.first), _ROWS_LIMIT * columns), columns):
            yield f"  {'':<{_TOPIC}}  {kind.first[at : at + columns]}"
        topic = ""


def _table(preview: Preview) -> str:
    merge = preview.merge
    if merge.version < 0:
        return "none yet; it would be made"
    rows = f"version {merge.version:,}: {counted(merge.rows, 'row')} in" if merge.rows else ""
    replaced = "; they would be replaced by what the input has" if preview.rebuild else ""
    return f"{rows} {counted(merge.all_files, 'file')}{replaced}"


def _partitions(merge: Merge) -> str:
    if not merge.partitions:
        return ""
    new = ""
    if merge.new_types and merge.version >= 0:
        first = ["/".join(one) for one in merge.new_types[:_TYPES_LIMIT]]
        more = len(merge.new_types) - len(first)
        new = f"; new types: {', '.join(first)}" + (f" and {more:,} more" if more else "")
    known = f", {merge.known_partitions:,} of them in the table" if merge.version >= 0 else ""
    return f"{merge.partitions:,} in the beginnings of the files{known}{new}"


def _search(preview: Preview) -> str:
    merge = preview.merge
    if merge.version < 0 or preview.rebuild or not preview.input.files:
        return ""
    return (
        f"{merge.searched_files:,} of {counted(merge.all_files, 'file')} of the table for older"
        f" versions ({counted(merge.searched_rows, 'row')})"
    )


def _expected(preview: Preview) -> Iterator[str]:
    """Yields what the run would take."""
    if not preview.input.files:
        return
    expected = preview.expected
    events = f"about {expected.events:,} records" if expected.events else "records: unknown"
    yield from _topic("expect", f"{events}; {_time(expected)}")
    free = f" ({size(expected.temp_free)} free)" if expected.temp_free is not None else ""
    yield from _topic("", f"{size(expected.temp_bytes)} staged{free} in {expected.temp}")
    memory = ""
    if expected.memory_bytes is not None:
        memory = f"; {size(expected.memory_bytes)} of memory"
    yield from _topic("", f"{size(expected.table_bytes)} more in the table{memory}")


def _time(expected: Expected) -> str:
    if expected.seconds is None:
        return "the time is up to the engine"
    workers = counted(expected.workers, "core")
    like = "no run to go by"
    if expected.like_runs:
        like = "as the last run" if expected.like_runs == 1 else f"as the last {expected.like_runs}"
    return f"about {duration(expected.seconds)} on {workers} ({like})"


def _verdict(preview: Preview) -> str:
    if any(trouble.stops for trouble in preview.troubles):
        return "As it is, a run would publish nothing."
    if not preview.input.files:
        return "A run would find nothing new."
    return "A run can begin: give the same options to `run`."
