"""A status for people, in 80 columns."""

import textwrap
from collections.abc import Iterator, Sequence

from pipeline.amounts import counted, duration, size
from pipeline.command.console import one_line
from pipeline.status.facts import (
    Content,
    OpenRejects,
    PastRun,
    PublishedFile,
    Size,
    Status,
    Waiting,
)

_WIDTH = 80
_TOPIC = 11  # columns of a topic and the space after it
_TYPES_LIMIT = 10
_NAMED_LIMIT = 3
_RUNS_LIMIT = 5
_FILES_LIMIT = 20


def text(status: Status) -> str:
    """Returns a status in lines."""
    content = status.content
    lines = [
        f"table {status.table}",
        "",
        *_topic("version", f"{content.version:,}"),
        *_topic("rows", _rows(content)),
        *_topic("days", f"{content.first_day} to {content.last_day}" if content.first_day else ""),
        *_types(content),
        *_topic("fields", status.fields),
        *_topic("files", _sizes(content.sizes)),
        *_topic("", _small(content)),
        *_runs(status.runs, status.last_run_seconds),
        *_topic("input", _waiting(status.waiting) if status.waiting else ""),
        *_rejects(status.open_rejects),
        *_topic("alive", _named(status.alive, "run", "under way")),
        *_topic("dead", _named(status.dead, "run", "killed: the next run or compact clears up")),
        *(_files(status.files) if status.files is not None else ()),
        *(line for sentence in status.wrong for line in ("", *_wrapped(sentence, _WIDTH))),
    ]
    return "\n".join(lines)


def _topic(topic: str, words: str) -> Iterator[str]:
    """Yields what is said of a topic, in as many lines as it takes; nothing if nothing is."""
    for line in _wrapped(words, _WIDTH - _TOPIC - 2):
        yield f"  {topic:<{_TOPIC}}{line}"
        topic = ""


def _wrapped(words: str, width: int) -> list[str]:
    """Returns the lines of a text; paths stay whole, and may be longer than a line."""
    return textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False)


def _rows(content: Content) -> str:
    unknown = ""
    if content.uncounted:
        unknown = (
            f" and more in {counted(content.uncounted, 'file')} of other tools, of which the log"
            " does not say"
        )
    return (
        f"{content.rows:,}{unknown}, in {counted(content.files, 'file')} of"
        f" {counted(content.partitions, 'partition')}, {size(content.bytes)}"
    )


def _types(content: Content) -> Iterator[str]:
    """Yields a line for each of the largest types."""
    types = content.types
    yield from _topic("types", f"{len(types):,}")
    shown = types[:_TYPES_LIMIT]
    rows = max((len(f"{one.rows:,}") for one in shown), default=0)
    for one in shown:
        name = one_line(f"{one.domain}/{one.event_type}")
        room = _WIDTH - _TOPIC - 2 - rows - 37
        name = name if len(name) <= room else f"{name[: room - 1]}…"
        days = f"{one.first_day} to {one.last_day}"
        yield f"  {'':<{_TOPIC}}{one.rows:>{rows},} {days}  {size(one.bytes):>8}  {name}"
    if more := len(types) - len(shown):
        rest = sum(one.rows for one in types[_TYPES_LIMIT:])
        yield from _topic("", f"and {more:,} more with {counted(rest, 'row')}")


def _sizes(sizes: Sequence[Size]) -> str:
    """Returns how many files are of which size."""
    found, lower = [], 0
    for one in sizes:
        if one.below is None:
            found.append(f"{one.files:,} of {lower // 1_000_000:,} MB or more")
        else:
            found.append(f"{one.files:,} below {one.below // 1_000_000:,} MB")
            lower = one.below
    return ", ".join(found)


def _small(content: Content) -> str:
    """Returns what could be merged."""
    small = content.small
    if not small.files:
        return "none to merge"
    return (
        f"to merge: {small.files:,} small files of {counted(small.partitions, 'partition')},"
        f" about {small.after:,} after `compact`"
    )


def _runs(runs: Sequence[PastRun], seconds: float | None) -> Iterator[str]:
    """Yields a line for each of the last runs."""
    if not runs:
        yield from _topic("runs", "none has left a summary")
        return
    ended = "" if seconds is None else f"the last one ended {duration(seconds)} ago"
    yield from _topic("runs", ended)
    head = ("began (UTC)", "took", "files", "records", "kept", "rejected", "version")
    widths = (16, 9, 7, 12, 12, 10, 9)
    rows = [head, *(_run(run) for run in runs[:_RUNS_LIMIT])]
    for number, row in enumerate(rows):
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield f"  {row[0]:<{widths[0]}}{''.join(cells)}"
        if number and (new := runs[number - 1].new_types):
            names = [one_line("/".join(one)) for one in new[:_NAMED_LIMIT]]
            more = f" and {len(new) - len(names):,} more" if len(new) > len(names) else ""
            yield from _topic("", f"new: {', '.join(names)}{more}")


def _run(run: PastRun) -> tuple[str, ...]:
    """Returns the cells of a run."""
    began = run.began[:16].replace("T", " ") if run.began else run.run[:15]
    numbers = (run.files, run.read, run.kept, run.rejected)
    version = f"{run.version:,}" if run.published else "no news"
    return (began, duration(run.seconds), *(f"{number:,}" for number in numbers), version)


def _files(files: Sequence[PublishedFile]) -> Iterator[str]:
    """Yields two lines for each of the files that arrived last."""
    known = [one for one in files if one.events is not None]
    if not files:
        yield from _topic("published", "no file is known")
        return
    events = sum(one.events or 0 for one in known)
    yield from _topic("published", f"{counted(len(files), 'file')}, {counted(events, 'event')}")
    for one in files[:_FILES_LIMIT]:
        yield f"  {one.path}"
        if one.events is None:
            yield f"      arrived {one.arrived}; what it had is not known"
            continue
        had = f"{counted(one.events, 'event')}, {counted(one.rejects or 0, 'reject')}"
        yield f"      {had}; run {one.run}, version {one.version}"
        if one.most_late_seconds is not None and one.least_late_seconds is not None:
            late = " to ".join(
                dict.fromkeys(map(_late, (one.least_late_seconds, one.most_late_seconds)))
            )
            yield f"      of {one.first_event} to {one.last_event}"
            yield f"      arrived {one.arrived}, {late} later"
    if more := len(files) - _FILES_LIMIT:
        yield from _topic("", f"and {more:,} more; --json has all" if more > 0 else "")


def _late(seconds: float) -> str:
    """Returns how late something came; events may lie in the future."""
    return duration(seconds) if seconds >= 0 else f"-{duration(-seconds)}"


def _waiting(waiting: Waiting) -> str:
    """Returns what is in the input and not published."""
    left_out = ""
    if waiting.left_out:
        left_out = f"; {counted(waiting.left_out, 'file')} cannot be read"
    if not waiting.matched:
        return f"no file matches{left_out}"
    if not waiting.files:
        return f"all published: {counted(waiting.matched, 'file')}{left_out}"
    changed = f", {waiting.changed:,} of them changed since" if waiting.changed else ""
    verb = "waits" if waiting.files == 1 else "wait"
    return (
        f"{counted(waiting.files, 'file')} {verb}, {size(waiting.bytes)}{changed}; the oldest"
        f" for {duration(waiting.oldest_seconds or 0.0)}: {waiting.oldest}{left_out}"
    )


def _rejects(found: OpenRejects) -> Iterator[str]:
    """Yields how many dead letters are open, and where the newest are."""
    if not found.files:
        yield from _topic("rejects", "none open")
        return
    records = found.records
    yield from _topic(
        "rejects",
        f"{counted(records, 'record')} open, in {counted(len(found.files), 'file')}; delete a file"
        " when you have dealt with it:",
    )
    for path in found.files[:_NAMED_LIMIT]:
        yield f"  {'':<{_TOPIC}}{path}"
    if more := len(found.files) - _NAMED_LIMIT:
        yield from _topic("", f"and {more:,} more" if more > 0 else "")


def _named(runs: Sequence[str], noun_: str, what: str) -> str:
    """Returns how many runs there are, and the first of them."""
    if not runs:
        return ""
    more = f" and {len(runs) - _NAMED_LIMIT:,} more" if len(runs) > _NAMED_LIMIT else ""
    return f"{counted(len(runs), noun_)} {what}: {', '.join(runs[:_NAMED_LIMIT])}{more}"
