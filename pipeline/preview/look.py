"""A look at all that a run would meet: its input, the table, the room there is."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from pipeline.amounts import counted, size
from pipeline.bookkeeping import leases, ledger
from pipeline.command import field_names
from pipeline.command.console import one_line
from pipeline.input import contracts, sources
from pipeline.input.fields import FieldMap
from pipeline.input.records import FIELDS
from pipeline.input.rejects import Reject
from pipeline.input.sources import Sources
from pipeline.keys import partitions
from pipeline.keys.partitions import Destination, day_number
from pipeline.preview import beginnings, expect
from pipeline.preview.beginnings import Beginning
from pipeline.preview.facts import Expected, Input, Kind, Merge, Preview, Trouble
from pipeline.run import Run
from pipeline.status import runs
from pipeline.storage import FileInfo
from pipeline.table import delta, layout
from pipeline.table.datafiles import DataFile
from pipeline.table.delta import Snapshot

_FIRST_BYTES = 300  # of an event that is shown
_NAMED_LIMIT = 3


class _Delivery(NamedTuple):
    """The files that a run would read.

    Attributes:
        found: What the patterns match.
        files: The files to read.
        changed: How many of these were published before, with another content.
        beginnings: The beginnings of some of them.
        names: Where the fields of their events are.
    """

    found: Sources
    files: list[FileInfo]
    changed: int
    beginnings: list[Beginning]
    names: FieldMap

    @property
    def rejects(self) -> list[Reject]:
        """The records in the beginnings that would be rejected."""
        return [reject for one in self.beginnings for reject in one.rejects]

    @property
    def events(self) -> int:
        """The events in the beginnings."""
        return sum(len(one.table) for one in self.beginnings)


def look(run: Run, workers: int) -> Preview:
    """Returns what a run would do. Nothing is written.

    Args:
        run: What is asked for; its id is not used.
        workers: Cores that each step would use by itself; 0 if an engine spreads the work.

    Raises:
        NoInputError: There is nothing to read, or a file that was named is not there.
        OtherLayoutError: The table was made in another way than the run asks for.
        TableError: The output is not a table of ours, or cannot be read.
        OSError: A store cannot be listed.
    """
    snapshot = delta.load(run.table)
    delivery = _delivery(run, snapshot)
    destinations = _destinations(delivery.beginnings)
    earlier = runs.last(run.root)
    expected = expect.expected(delivery.files, delivery.beginnings, earlier, run.temp, workers)
    return Preview(
        output=run.root,
        rebuild=run.rebuild,
        input=_input(delivery),
        merge=_merge(run, snapshot, delivery, destinations),
        expected=expected,
        troubles=list(_troubles(run, delivery, len(destinations), expected)),
    )


def _delivery(run: Run, snapshot: Snapshot) -> _Delivery:
    found = sources.find(run.inputs, run.root, run.temp)
    sources.check(found, run.inputs, run.root)
    goes_on = snapshot.version >= 0 and not run.rebuild
    asked = layout.Asked(run.fields, run.provenance)
    kept = layout.decided(run.root, snapshot.layout, asked, may_change=not goes_on)
    published = ledger.known(run.table, snapshot.lineage) if goes_on else []
    files = ledger.unpublished(found.files, published)
    paths = {file.path for file in published}
    return _Delivery(
        found,
        files,
        sum(file.path in paths for file in files),
        beginnings.read(beginnings.chosen(files), run.max_event_bytes, kept.fields, run.contract),
        kept.fields,
    )


def _destinations(found: Sequence[Beginning]) -> set[Destination]:
    """Returns the destinations of the events in the beginnings."""
    tables = [one.table for one in found if len(one.table)]
    if not tables:
        return set()
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    micros = table["timestamp"].cast(pa.int64()).to_numpy()
    domain, event_type = (table[name].combine_chunks() for name in ("domain", "event_type"))
    return set(partitions.group(domain, event_type, micros)[0])


def _input(delivery: _Delivery) -> Input:
    by_kind: dict[str, list[Beginning]] = {}
    for one in delivery.beginnings:
        if one.kind:
            by_kind.setdefault(one.kind, []).append(one)
    kinds = [
        Kind(
            kind,
            len(files),
            files[0].file.path,
            one_line(files[0].first[:_FIRST_BYTES].decode(errors="replace")),
        )
        for kind, files in sorted(by_kind.items(), key=lambda item: -len(item[1]))
    ]
    return Input(
        files=len(delivery.files),
        bytes=sum(file.bytes for file in delivery.files),
        changed=delivery.changed,
        skipped=len(delivery.found.files) - len(delivery.files),
        left_out=len(delivery.found.left_out),
        looked_into=len(delivery.beginnings),
        kinds=kinds,
        events=delivery.events,
        rejected=len(delivery.rejects),
    )


def _merge(
    run: Run, snapshot: Snapshot, delivery: _Delivery, destinations: set[Destination]
) -> Merge:
    live = snapshot.files
    known = {file.destination for file in live}
    types = {destination[:2] for destination in known}
    searched = list(_searched(run, live, destinations)) if delivery.files else []
    return Merge(
        version=snapshot.version,
        rows=sum(file.rows for file in live),
        partitions=len(destinations),
        known_partitions=len(destinations & known),
        new_types=sorted({destination[:2] for destination in destinations} - types),
        searched_files=len(searched),
        searched_rows=sum(file.rows for file in searched),
        all_files=len(live),
    )


def _searched(
    run: Run, live: Sequence[DataFile], destinations: set[Destination]
) -> Iterator[DataFile]:
    """Yields the files that would be searched for older versions, as far as can be told."""
    if run.rebuild:
        return
    days = {day_number(*destination[2:]) for destination in destinations}
    for file in live:
        day = day_number(*file.destination[2:])
        if run.dedup_days is None or any(abs(day - one) <= run.dedup_days for one in days):
            yield file


def _troubles(
    run: Run, delivery: _Delivery, partitions_found: int, expected: Expected
) -> Iterator[Trouble]:
    """Yields what is likely to go wrong."""
    left_out = delivery.found.left_out
    if left_out:
        yield Trouble(
            f"{counted(len(left_out), 'file')} cannot be read, and would be left out:"
            f" {sources.named_first(left_out)}"
        )
    for one in delivery.beginnings:
        if one.error:
            yield Trouble(f"{one.file.path} cannot be read: {one.error}", stops=True)
    if empty := sum(not file.bytes for file in delivery.files):
        yield Trouble(f"{counted(empty, 'file')} of no bytes: nothing is in there")
    yield from _rejected(run, delivery)
    if broken := sum(one.broken for one in delivery.beginnings):
        fails = run.contract is not None and run.contract.mode == contracts.FAIL
        yield Trouble(f"{counted(broken, 'event')} in the beginnings break their contract", fails)
    if partitions_found > run.max_partitions:
        yield Trouble(
            f"the beginnings alone have {partitions_found:,} partitions, the limit is"
            f" {run.max_partitions:,}: raise it with --max-partitions, or look whether domain or"
            " event_type hold free text by mistake",
            stops=True,
        )
    yield from _no_room(run, expected)
    if alive := leases.look(run.root).alive:
        yield Trouble(
            f"under way: {counted(len(alive), 'run')} of this table"
            f" ({', '.join(alive[:_NAMED_LIMIT])}); if one publishes first, this run starts again"
        )


def _rejected(run: Run, delivery: _Delivery) -> Iterator[Trouble]:
    """Yields what would be rejected, by reason, with the first record of each."""
    rejects, events = delivery.rejects, delivery.events
    if not rejects:
        return
    records = len(rejects) + events
    of = f"{len(rejects):,} of {counted(records, 'record')} in the beginnings would be rejected"
    allowed = run.max_rejected is None or run.max_rejected.allows(len(rejects), records)
    if not events:
        yield Trouble(f"every record in the beginnings would be rejected ({records:,})", stops=True)
    elif not allowed and run.max_rejected:
        yield Trouble(f"{of}; --max-rejected allows {run.max_rejected.text}", stops=True)
    else:
        yield Trouble(of)
    for reason, count in Counter(reject.reason for reject in rejects).most_common():
        first = next(reject for reject in rejects if reject.reason == reason)
        where = f"{first.source} at {first.offset:,}"
        hint = _hint(first, delivery.names)
        yield Trouble(f"{count:,} {reason}: {first.message} ({where}){hint}")


def _hint(reject: Reject, known: FieldMap) -> str:
    """Returns how to put a record right, if that can be told; it begins with a semicolon."""
    if reject.reason == "missing-field":
        option = field_names.option(reject.raw, known)
        return f"; read it with --fields {option}" if option else f"; it needs {', '.join(FIELDS)}"
    if reject.reason == "wrong-type" and reject.message.startswith("timestamp"):
        return "; write it as ISO 8601, such as 2021-01-08T10:00:00Z"
    return ""


def _no_room(run: Run, expected: Expected) -> Iterator[Trouble]:
    """Yields where there is not enough room."""
    needed = {expected.temp: expected.temp_bytes}
    needed[run.root] = needed.get(run.root, 0) + expected.table_bytes
    for folder, number in needed.items():
        free = expect.free(folder)
        if free is not None and free < number:
            yield Trouble(
                f"{folder}: {size(number)} would be written there, {size(free)} are free; free"
                " some, or stage elsewhere with --temp",
                stops=True,
            )
