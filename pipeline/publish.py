"""Publishing: the sums are checked, then the run becomes the table in one commit.

In this order, so that being killed anywhere does no harm: check, commit, settle the files, record
the run (dead letters, ledger, report), remove what was staged. The commit alone decides: what
comes before it is invisible, what comes after it is repeated or tidied by the next run.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from pipeline import ledger, storage, table
from pipeline.errors import EventsiftError
from pipeline.parquet import Written
from pipeline.partitions import directory
from pipeline.plan import Plan, Run
from pipeline.table import DataFile, Snapshot
from pipeline.tally import Tally, add_up, disagreements

RUNS = "_eventsift/runs"
REJECTS = "_eventsift/rejects"


class ReconciliationError(EventsiftError):
    """The steps' counts do not agree, so nothing was published."""


class TooManyPartitionsError(EventsiftError):
    """The run would write more partitions than its limit allows."""


class Outcome(NamedTuple):
    """All that the steps before have to say.

    Attributes:
        plans: The run's plan; more than one, or none, if the runner has erred.
        tallies: Of every call of every step.
        written: Of every destination with new or replaced files.
        dead_letters: Staged files with rejects.
    """

    plans: Sequence[Plan]
    tallies: Sequence[Tally]
    written: Sequence[Written]
    dead_letters: Sequence[str]


def publish(run: Run, outcome: Outcome) -> dict[str, Any]:
    """Checks, commits, settles and records a run; again after it did so, only returns the record.

    Returns:
        The run's record, which is also stored as JSON; see `record`.

    Raises:
        ReconciliationError, TooManyPartitionsError: Nothing was published.
        table.TableError: Another run was faster, or the table cannot be written.
    """
    started = time.perf_counter()
    path = storage.join(run.root, RUNS, f"{run.id}.json")
    if storage.exists(path):  # the runner repeats a step that was done
        storage.delete_tree(run.staging)
        return msgspec.json.decode(storage.read_bytes(path))
    if len(outcome.plans) != 1:
        raise ReconciliationError(
            f"nothing was published: the run has {len(outcome.plans)} plans, it must have one"
        )
    (planned,) = outcome.plans
    counts, seconds = add_up(outcome.tallies)
    snapshot = table.load(run.root, run.storage_options)
    live = snapshot.files if snapshot.version == planned.version else ()
    add = [file for written in outcome.written for file in written.files]
    replaced = [file for written in outcome.written for file in written.replaced]
    remove: Sequence[DataFile] = live if run.rebuild and add else replaced
    counts["commit.files"] = len(add)
    counts["commit.replaced"] = len(replaced)
    counts["commit.dead_letter_files"] = len(outcome.dead_letters)
    counts["commit.rows_added"] = sum(file.rows for file in add)
    counts["commit.rows_replaced"] = sum(file.rows for file in replaced)
    if wrong := disagreements(counts):
        raise ReconciliationError(f"nothing was published, the counts disagree: {'; '.join(wrong)}")
    partitions = {directory(file.destination) for file in add}
    if len(partitions) > run.max_partitions:
        raise TooManyPartitionsError(
            f"nothing was published: the run has {len(partitions):,} partitions, the limit is"
            f" {run.max_partitions:,}; raise it with --max-partitions"
        )
    if run.rebuild and add:  # what was published before will no longer be in the table
        storage.delete([storage.join(run.root, ledger.LEDGER)])
    if add or planned.version >= 0:  # no valid event and no table: none is made
        base = Snapshot(planned.version, tuple(live))
        table.commit(run.root, base, run.id, add, remove, run.storage_options)
    after = table.settle(run.root, run.storage_options, run.keep_seconds)
    seconds["commit"] = time.perf_counter() - started
    wall_seconds = time.time() - planned.began
    touched = partitions | {directory(file.destination) for file in remove}
    rejects = _record_rejects(run, outcome.dead_letters)
    record = {
        "run": run.id,
        "output": run.root,
        "version": after.version,
        "published": bool(add or remove),
        "rebuild": run.rebuild,
        "files": {"matched": planned.matched, "skipped": planned.skipped},
        "bytes": counts["read.bytes"],
        "events": {
            "read": counts["read.events"],
            "kept": counts["write.kept"],
            "superseded": counts["latest.superseded_events"],
            "exact_duplicates": counts["latest.exact_duplicate_events"],
            "rejected": counts["read.rejected"],
        },
        "rejected": {
            name.removeprefix("read.rejected."): count
            for name, count in sorted(counts.items())
            if name.startswith("read.rejected.")
        },
        "rejects": rejects,
        "horizon": None
        if run.dedup_days is None
        else {
            "days": run.dedup_days,
            "files_not_searched": counts["scan.files_passed_over"],
            "rows_not_searched": counts["scan.rows_passed_over"],
        },
        "table": {
            "rows": sum(file.rows for file in after.files),
            "replaced_rows": counts["latest.superseded"] - counts["latest.superseded_events"],
            "files": len(after.files),
            "bytes": sum(file.bytes for file in after.files),
            "partitions": len({file.destination for file in after.files}),
            "partitions_written": len(partitions),
            "partitions_touched": len(touched),
            "files_written": len(add),
            "files_replaced": len(remove),
        },
        "wall_seconds": round(wall_seconds, 3),
        "seconds": {step: round(total, 3) for step, total in seconds.items()},
        "counts": dict(sorted(counts.items())),
    }
    ledger.extend(storage.join(run.root, ledger.LEDGER), ledger.read(planned.inputs))
    storage.write_bytes(path, msgspec.json.format(msgspec.json.encode(record)))
    storage.delete_tree(run.staging)
    return record


def _record_rejects(run: Run, dead_letters: Iterable[str]) -> str | None:
    """Gathers the run's dead letters into one file beside the table; its path, if there are any."""
    staged = sorted(dead_letters)
    if not staged:
        return None
    path = storage.join(run.root, REJECTS, f"{run.id}.jsonl")
    with storage.create(path) as target:
        for source in staged:
            with storage.open_read(source) as letters:
                while chunk := letters.read(1 << 20):
                    target.write(chunk)
    return path
