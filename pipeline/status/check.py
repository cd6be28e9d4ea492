"""``status --output TABLE``: how a table is doing, and whether that is as it should be."""

import time
from collections.abc import Iterator, Sequence

import msgspec

from pipeline.amounts import counted, duration
from pipeline.bookkeeping import leases
from pipeline.command import console, one_table, options
from pipeline.errors import EventsiftError
from pipeline.input.fields import shown
from pipeline.status import files, runs, table, text
from pipeline.status.facts import Status
from pipeline.status.waiting import waiting
from pipeline.table import delta
from pipeline.table.address import Table

# As for the job: what is found is more than is allowed.
_EXCEEDED = console.REJECTED


class Limits(msgspec.Struct, frozen=True):
    """What is still as it should be; None where anything is.

    Attributes:
        age: Seconds since the last run; if there is an input, that a file in it may have to wait.
        open_rejects: Dead letters that nobody has dealt with.
    """

    age: float | None = None
    open_rejects: int | None = None


NO_LIMITS = Limits()


def status(
    where: Table,
    patterns: Sequence[str] = (),
    limits: Limits = NO_LIMITS,
    now: float | None = None,
    *,
    with_files: bool = False,
) -> Status:
    """Returns how a table is doing. Nothing is written, and no data file is opened.

    Args:
        where: The table.
        patterns: Patterns of the files to read; none if nobody asks what is waiting.
        limits: What is to be reported as wrong.
        now: The time, in seconds since 1970; if not given, the system's.
        with_files: Whether the published files are told.

    Raises:
        EventsiftError: There is no table, or its log cannot be read.
        OSError: Something beside the table, or the input, cannot be listed.
    """
    now = time.time() if now is None else now
    opened = delta.open_newest(where)
    root = opened.table.root
    if opened.delta_table is None:
        raise EventsiftError(f"{root}: there is no table; --output names the table's folder")
    lineage = opened.lineage()
    last = runs.last(root)
    seen = leases.look(root)
    found = Status(
        table=root,
        content=table.content(opened),
        runs=[runs.told(one) for one in last],
        last_run_seconds=runs.seconds_since(last[0], now) if last else None,
        open_rejects=runs.open_rejects(root, lineage.rebuilt),
        alive=seen.alive,
        dead=seen.dead,
        waiting=waiting(patterns, opened.table, lineage, now) if patterns else None,
        fields=shown(opened.layout().fields),
        provenance=opened.layout().provenance,
        files=files.published(opened.table, lineage) if with_files else None,
    )
    return msgspec.structs.replace(found, wrong=list(_wrong(found, limits)))


def _wrong(found: Status, limits: Limits) -> Iterator[str]:
    """Yields a sentence for each limit that is exceeded."""
    if limits.age is not None:
        allowed = f"--max-age allows {duration(limits.age)}"
        ended, waits = found.last_run_seconds, found.waiting
        if waits is None and ended is None:
            yield f"Too old: no run has left a summary that says when it ended; {allowed}."
        elif waits is None and ended is not None and ended > limits.age:
            yield f"Too old: the last run ended {duration(ended)} ago, {allowed}."
        elif waits and waits.oldest_seconds is not None and waits.oldest_seconds > limits.age:
            waited = duration(waits.oldest_seconds)
            yield f"Too old: {waits.oldest} has waited {waited}, {allowed}."
    records = found.open_rejects.records
    if limits.open_rejects is not None and records > limits.open_rejects:
        yield (
            f"Too many rejects: {counted(records, 'record')} open, --max-open-rejects allows"
            f" {limits.open_rejects:,}."
        )


def main(arguments: Sequence[str]) -> int:
    """Prints how a table is doing.

    Returns:
        0; 1 if there is no table or it cannot be read, 2 for a usage error, 3 if a limit that was
        given is exceeded.
    """
    own, where = one_table.parsed(_parser(), arguments)
    if where is None:
        return console.FAILED
    try:
        limits = Limits(own.max_age, own.max_open_rejects)
        found = status(where, own.input, limits, with_files=own.files)
    except (EventsiftError, OSError) as error:
        console.say(f"eventsift: {error}", error=True)
        return console.FAILED
    if own.json:
        console.say(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        console.say(text.text(found))
    return _EXCEEDED if found.wrong else console.DONE


def _parser() -> console.Parser:
    parser = console.Parser(
        prog=console.name("status", "pipeline.status"),
        description="Tell how a table is doing, from its log and what its runs have left: what it"
        " has, its last runs, what waits in the input, open rejects. Writes nothing.",
        epilog="Beam's options for object stores may follow, e.g. --s3_endpoint_url. Exit codes: 0;"
        " 1 if there is no table; 2 for a usage error; 3 if a limit is exceeded.",
        allow_abbrev=False,
    )
    parser.add_argument("--output", type=options.path, metavar="DIR", help="the table's folder")
    options.add_paths(
        parser,
        "--input",
        "PATTERN",
        "what the job reads, to see which files are not published yet",
    )
    parser.add_argument(
        "--files",
        action="store_true",
        help="list each published file: its run, events and rejects, the times of its first and"
        " last event, and how long after them it arrived (--json has all of them)",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument(
        "--max-age",
        type=options.seconds,
        metavar="TIME",
        help="exit with 3 if the last run ended longer ago than this, e.g. 2h; with --input"
        " instead if a file has waited longer than this to be published",
    )
    parser.add_argument(
        "--max-open-rejects",
        type=options.count,
        metavar="N",
        help="exit with 3 if there are more open rejects; the rejects of a run are open as long"
        " as their file"
        " lies in _eventsift/rejects/ and no later run has rebuilt the table: delete the file when"
        " you have dealt with them",
    )
    return parser
