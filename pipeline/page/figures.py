"""All figures of the page, from what was gathered."""

import datetime
from collections.abc import Sequence
from typing import NamedTuple

from pipeline import __version__
from pipeline.amounts import counted, duration, size
from pipeline.bookkeeping.summary import RunSummary
from pipeline.page import flow, words
from pipeline.page.contents import Contents, contents
from pipeline.page.delays import Delays, delays
from pipeline.page.flow import Flow
from pipeline.page.gather import Gathered
from pipeline.page.health import Health, health
from pipeline.page.heat import Heat, heat
from pipeline.page.history import History, history
from pipeline.page.refused import Refused, refused


class LastRun(NamedTuple):
    """The last run that has read something.

    Attributes:
        when: When it began.
        id: Its id.
        lead: What it did, in a sentence.
        flow: Its numbers.
        rejects: Where its dead letters are; None if there are none.
        idle: How many runs after it found nothing to read.
    """

    when: str
    id: str
    lead: str
    flow: Flow
    rejects: str | None
    idle: int


class Figures(NamedTuple):
    """What the page shows.

    Attributes:
        name: The table's name: the last part of its path.
        root: Its path.
        version: Its version, in words.
        totals: What it has: number and noun.
        made: When the page was made.
        program: The version of eventsift.
        last: The last run; None if no run has left a summary.
        heat: Events by type and day.
        contents: What is in `data`.
        delays: How late events come.
        history: Run by run.
        refused: Rejects by reason.
        health: The files.
        runs: How many runs the page tells of.
        notes: What it leaves out.
    """

    name: str
    root: str
    version: str
    totals: Sequence[tuple[str, str]]
    made: str
    program: str
    last: LastRun | None
    heat: Heat | None
    contents: Contents | None
    delays: Delays | None
    history: History | None
    refused: Sequence[Refused]
    health: Health | None
    runs: int
    notes: Sequence[str]


def figures(gathered: Gathered, now: datetime.datetime) -> Figures:
    """Returns the figures of a table.

    Args:
        gathered: What is known of it.
        now: The time, in UTC.
    """
    files, runs = gathered.snapshot.files, gathered.runs
    last = _last(runs)
    return Figures(
        name=words.visible(gathered.root.rpartition("/")[2] or gathered.root, words.NAME_LIMIT),
        root=words.visible(gathered.root),
        version=_version(gathered.snapshot.version),
        totals=_totals(gathered),
        made=words.instant(now),
        program=__version__,
        last=last,
        heat=heat(files, last.id if last else ""),
        contents=contents(
            gathered.catalogue, next((run for run in reversed(runs) if run.files.read), None)
        ),
        delays=delays(runs),
        history=history(runs),
        refused=refused([run for run in runs if run.files.read], gathered.letters),
        health=health(files),
        runs=len(runs),
        notes=_notes(gathered),
    )


def _version(number: int) -> str:
    return f"version {number:,}" if number >= 0 else "nothing published yet"


def _totals(gathered: Gathered) -> list[tuple[str, str]]:
    files = gathered.snapshot.files
    kinds = len({file.destination[:2] for file in files})
    days = len({file.destination[2:] for file in files})
    rows = sum(file.rows for file in files)
    found = [(rows, "event"), (kinds, "type"), (days, "day"), (len(files), "file")]
    return [
        *((f"{number:,}", counted(number, noun).split(" ")[1]) for number, noun in found),
        (size(sum(file.bytes for file in files)), "in all"),
    ]


def _last(runs: Sequence[RunSummary]) -> LastRun | None:
    number = next((n for n in reversed(range(len(runs))) if runs[n].files.read), None)
    if number is None:
        return None
    run = runs[number]
    return LastRun(
        when=words.began(run.run),
        id=words.visible(run.run, words.NAME_LIMIT),
        lead=_lead(run),
        flow=flow.flow_of(run),
        rejects=None if run.rejects is None else words.visible(run.rejects),
        idle=len(runs) - number - 1,
    )


def _lead(run: RunSummary) -> str:
    took = duration(run.wall_seconds)
    read = f"{counted(run.files.read, 'file')} ({size(run.bytes)})"
    if not run.published:
        return f"It read {read} in {took} and changed nothing in the table."
    table = run.table
    wrote = f"wrote {counted(table.partitions_written, 'partition')} of {table.partitions:,}"
    made = "made the table anew" if run.rebuild else f"published version {run.version:,}"
    return f"It read {read} in {took}, {wrote} and {made}."


def _notes(gathered: Gathered) -> list[str]:
    notes = []
    if gathered.older:
        notes.append(
            f"Not shown: {counted(gathered.older, 'older run')}, whose summaries are in"
            " _eventsift/runs."
        )
    if gathered.unreadable:
        what = "1 summary" if gathered.unreadable == 1 else f"{gathered.unreadable:,} summaries"
        notes.append(f"{what} cannot be read.")
    return notes
