"""After whatever another Delta tool has done to a table, the job goes on and every reader is right.

Each operation of delta-rs, then each thing that may come next: a delivery of what was touched, of
something else, the same delivery again, a compaction, a check, a rebuild. What is right after the
operation is what a reader of the log sees then.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.transaction import AddAction

from pipeline import compact
from pipeline.keys.partitions import Destination, directory
from pipeline.table.address import Table
from pipeline.verify import check as verify
from tests import deliveries, tables
from tests.deliveries import MIDNIGHT, Event
from tests.whole.cases import DELIVERED, DELIVERIES, HISTORY, Case, known, lent, make, without

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Case]:
    """Tables without and with history, by their options."""
    return {options: make(tmp_path_factory.mktemp("table"), options) for options in ((), HISTORY)}


@pytest.fixture(params=[(), HISTORY], ids=["", "history"])
def case(
    request: pytest.FixtureRequest, cases: dict[tuple[str, ...], Case], tmp_path: Path
) -> Iterator[Case]:
    """A table that a test may change, to be run with these options."""
    with lent(cases[request.param], tmp_path / "backup") as case:
        yield case


# What another tool may do


def delete(table: DeltaTable) -> None:
    """One event, from a file that has more."""
    table.delete("event_id = 'a'")


def delete_partition(table: DeltaTable) -> None:
    """All events of a day."""
    table.delete("day = 9")


def delete_all(table: DeltaTable) -> None:
    """Everything."""
    table.delete()


def update(table: DeltaTable) -> None:
    """A payload, and an event's partition."""
    table.update(updates={"data": "'{\"v\": 7}'"}, predicate="event_id = 'a'")
    table.update(updates={"domain": "'Moved é'"}, predicate="event_id = 'd'")


def merge(table: DeltaTable) -> None:
    """A new version of one event, and one more."""
    source = tables.content([Event("a", 8, 8), Event("m", 9, 9)])
    merging = table.merge(source, "t.event_id = s.event_id", source_alias="s", target_alias="t")
    merging.when_matched_update_all().when_not_matched_insert_all().execute()


def append(table: DeltaTable) -> None:
    """Events beside those that are there, unsorted; some in a partition of their own."""
    events = [Event("x", 20, 1), Event("y", 10, 1), Event("z", 3000, 1, "new")]
    write_deltalake(table, tables.content(events), mode="append")


def append_less(table: DeltaTable) -> None:
    """Other units of time, other texts, another order, and columns left out."""
    events = tables.content([Event("x", 20, 1), Event("y", 10, 1)])
    columns = {name: events[name] for name in reversed(events.column_names)}
    columns["timestamp"] = columns["timestamp"].cast(pa.timestamp("ms", "UTC"))
    columns["data"] = columns["data"].cast(pa.large_string())
    columns["event_id"] = columns["event_id"].cast(pa.string_view())
    del columns["nanos"], columns["extra"]
    write_deltalake(table, pa.table(columns), mode="append", schema_mode="merge")


def append_nothing(table: DeltaTable) -> None:
    """Files without rows, in each partition one, as other writers may leave them.

    Seen to fail: each delivery into such a partition divided by 0.
    """
    root = Path(table.table_uri.removeprefix("file://"))
    partitions = {
        tuple(known["partition"].items()) for known in pa.table(table.get_add_actions()).to_pylist()
    }
    nothing = tables.content([Event("a")]).slice(0, 0)
    adds = []
    for number, partition in enumerate(sorted(partitions)):
        values = {name: str(value) for name, value in partition}
        path = directory(Destination(**dict(partition))) + f"/nothing-{number}.parquet"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(nothing, root / path)
        stats = json.dumps({"numRecords": 0})
        adds.append(AddAction(path, (root / path).stat().st_size, values, 0, True, stats))
    table.create_write_transaction(adds, "append", table.schema(), list(dict(partition)))


def overwrite(table: DeltaTable) -> None:
    """The table, with less than it had."""
    write_deltalake(table, tables.content([Event("a", 7, 7), Event("b", 1, 1)]), mode="overwrite")


def overwrite_part(table: DeltaTable) -> None:
    """One day."""
    news = tables.content([Event("g", 1450, 9)])
    write_deltalake(table, news, mode="overwrite", predicate="day = 9")


def optimize(table: DeltaTable) -> None:
    """Small files become large ones."""
    table.optimize.compact()


def z_order(table: DeltaTable) -> None:
    """Rows in another order."""
    table.optimize.z_order(["event_id"])


def vacuum(table: DeltaTable) -> None:
    """Removes what the log knows to be removed."""
    table.delete("event_id = 'a'")
    table.vacuum(0, dry_run=False, enforce_retention_duration=False)


def vacuum_full(table: DeltaTable) -> None:
    """Removes all that is not in the log."""
    table.delete("event_id = 'a'")
    table.vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)


def checkpoint(table: DeltaTable) -> None:
    """The log in one file, and without what is old."""
    table.delete("event_id = 'a'")
    table.compact_logs(0, table.version())
    table.create_checkpoint()
    table.cleanup_metadata()


def forgetful(table: DeltaTable) -> None:
    """A log that forgets removed files at once."""
    table.delete("event_id = 'a'")
    table.alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 0 days"})
    table.delete("event_id = 'c'")
    table.create_checkpoint()


def restore(table: DeltaTable) -> None:
    """Back to before a deletion."""
    version = table.version()
    table.delete("event_id in ('a', 'c')")
    table.restore(version)


def everything(table: DeltaTable) -> None:
    """One after another."""
    for operation in (append, update, merge, z_order, delete, vacuum, optimize, checkpoint):
        operation(table)


OPERATIONS = [
    delete,
    delete_partition,
    delete_all,
    update,
    merge,
    append,
    append_less,
    append_nothing,
    overwrite,
    overwrite_part,
    optimize,
    z_order,
    vacuum,
    vacuum_full,
    checkpoint,
    forgetful,
    restore,
    everything,
]


# What may come next


def another_event(case: Case) -> None:
    """Nothing that was touched is delivered, but its partition has news."""
    truth = case.rows()
    case.deliver(Event("n", 30, 1), Event("o", 1500, 1))
    case.has(truth + deliveries.latest([Event("n", 30, 1), Event("o", 1500, 1)]))


def the_touched_events(case: Case) -> None:
    """Later versions replace what is there, wherever it is by now, and stay the only ones."""
    news = [Event(name, 40, 5) for name in "adxm"]
    truth = case.rows()
    case.deliver(*news)
    case.has(without(truth, *"adxm") + deliveries.latest(news))


def earlier_versions(case: Case) -> None:
    """What is earlier than what is there is superseded, as ever."""
    truth = case.rows()
    there = [row.event_id for row in truth]
    case.deliver(*(Event(name, -1, 0) for name in there), Event("n", 30, 1))
    case.has(truth + deliveries.latest([Event("n", 30, 1)]))


def equal_times(case: Case) -> None:
    """Of versions with one timestamp the content decides, for which the payload is read."""
    truth = case.rows()
    case.deliver(*(Event(row.event_id, (row.micros - MIDNIGHT) // 60_000_000, 3) for row in truth))
    after = case.rows()
    assert {row.event_id for row in after} == {row.event_id for row in truth}
    case.has(after)


def the_same_again(case: Case) -> None:
    """Nothing that was published is read again, so deleted rows stay deleted."""
    truth = case.rows()
    case.run()
    case.has(truth)


def compaction(case: Case) -> None:
    """The rows stay the same."""
    truth = case.rows()
    keep = 7 * 86_400.0 if case.options else 0.0
    compact.compact(Table(str(case.root)), "20210108T000000-0a1b2c", MEBIBYTE, keep_seconds=keep)
    case.has(truth)


def a_check(case: Case) -> None:
    """Before our next run at most what is to be deleted is found; and nothing stops the check."""
    findings = verify.verify(str(case.root)).findings
    assert [text for text in findings if "the job's next run" not in text] == []


def a_rebuild(case: Case) -> None:
    """The table is what was delivered, and nothing else."""
    case.run("--rebuild")
    case.has(deliveries.latest(DELIVERED))


NEXT = [
    another_event,
    the_touched_events,
    earlier_versions,
    equal_times,
    the_same_again,
    compaction,
    a_check,
    a_rebuild,
]


# With history what is deleted differs, and not what is read: fewer steps do.
PAIRS = [
    *(((), step) for step in NEXT),
    *((HISTORY, step) for step in (the_touched_events, the_same_again, compaction, a_check)),
]


@pytest.mark.parametrize(
    ("case", "step"),
    PAIRS,
    indirect=["case"],
    ids=[f"{step.__name__}{'-history' if options else ''}" for options, step in PAIRS],
)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_the_job_goes_on(
    case: Case, operation: Callable[[DeltaTable], None], step: Callable[[Case], None]
) -> None:
    """After every operation, with every next step: right for all readers, by our run's end."""
    operation(DeltaTable(str(case.root)))

    step(case)


def test_an_event_that_was_appended_beside_itself_is_one_again(case: Case) -> None:
    """Another tool does not know that an event is there once; its next delivery mends that."""
    events = [Event("a", 50, 4), Event("b", 1, 1), Event("b", 1, 9), Event("z", 2, 2)]
    write_deltalake(str(case.root), tables.content(events), mode="append")

    case.deliver(Event("a", 60, 5), Event("b", 60, 5))

    expected = deliveries.latest([*DELIVERED, Event("a", 60, 5), Event("b", 60, 5), events[-1]])
    case.has(expected)


@pytest.mark.parametrize("case", [HISTORY], indirect=True)  # without, the files are gone
def test_an_older_version_comes_back_with_its_files(case: Case) -> None:
    """With history a table can be set back to what our own runs had replaced, and go on."""
    first = deliveries.latest(DELIVERIES[0])
    version = next(
        version
        for version in range(DeltaTable(str(case.root)).version())
        if known(tables.delta_rows(case.root, version)) == first
    )
    DeltaTable(str(case.root)).restore(version)
    assert case.rows() == first

    case.run()  # what came after that version is read again
    case.has(deliveries.latest(DELIVERED))
    case.deliver(Event("n", 30, 1))
    case.has(deliveries.latest([*DELIVERED, Event("n", 30, 1)]))


def test_a_partition_on_another_disk(case: Case, tmp_path: Path) -> None:
    """Behind a symbolic link rows are replaced, merged and checked like all others."""
    shutil.move(case.root / "domain=account", tmp_path / "disk")
    os.symlink(tmp_path / "disk", case.root / "domain=account")
    news = [Event("a", 60, 5), Event("g", 1500, 5), Event("n", 30, 1)]

    case.deliver(*news)
    case.has(deliveries.latest([*DELIVERED, *news]))
    compaction(case)
    case.deliver(Event("a", 61, 6))
    case.has(deliveries.latest([*DELIVERED, *news, Event("a", 61, 6)]))
